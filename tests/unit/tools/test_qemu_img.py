import errno
from pathlib import Path

import pytest

from vmdk2kvm.errors import OutputFull, OutputNotWritable, ToolFailed
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.tools import qemu_img
from vmdk2kvm.tools.qemu_img import BlockNode, ImageFile
from vmdk2kvm.tools.run import Completed

OVERLAY = ImageFile(path=Path("/s/o.qcow2"), format="qcow2")
NODE = BlockNode(text='json:{"driver":"vmdk"}')
OUTPUT = Path("/out/x.qcow2")


@pytest.fixture
def ran(monkeypatch):
    """Stands for tools.run.run: keeps each command, answers with `ran.answer`."""

    class Ran(list):
        answer = Completed(status=0, stdout="{}", stderr="")

        def __call__(self, argv, *, env, check):
            assert env["LC_ALL"] == "C"
            self.append(argv)
            return self.answer

    calls = Ran()
    monkeypatch.setattr(qemu_img, "run", calls)
    return calls


def test_an_overlay_names_its_own_format_and_that_of_its_backing(ran):
    qemu_img.create_overlay(OUTPUT, backing=NODE, backing_format="vmdk")
    assert ran == [["qemu-img", "create", "-q", "-f", "qcow2", "-F", "vmdk", "-b", NODE.text, str(OUTPUT)]]


@pytest.mark.parametrize(
    ("format", "cluster"), [(OutputFormat.VDI, "1M"), (OutputFormat.RAW, "64k"), (OutputFormat.QCOW2, "64k")]
)
def test_measure_counts_in_the_blocks_of_the_format(ran, format, cluster):
    ran.answer = Completed(status=0, stdout='{"required": 5, "fully-allocated": 9}', stderr="")
    measured = qemu_img.measure(OVERLAY, format=format)
    assert measured.required_bytes == 5
    assert f"cluster_size={cluster}" in ran[0]
    assert ran[0][-3:] == ["-f", "qcow2", "/s/o.qcow2"]


@pytest.mark.parametrize(("status", "same"), [(0, True), (1, False)])
def test_compare_tells_two_contents_apart(ran, status, same):
    ran.answer = Completed(status=status, stdout="", stderr="")
    assert qemu_img.same_content(NODE, OVERLAY) is same
    assert ran[0] == ["qemu-img", "compare", "-q", "-F", "qcow2", NODE.text, "/s/o.qcow2"]


def test_a_comparison_that_could_not_be_made_is_no_difference(ran):
    ran.answer = Completed(status=2, stdout="", stderr="qemu-img: Could not open")
    with pytest.raises(ToolFailed):
        qemu_img.same_content(NODE, OVERLAY)


@pytest.mark.parametrize(
    ("said", "error"),
    [
        ("qemu-img: error while writing at byte 0: No space left on device", OutputFull),
        ("qemu-img: error while writing at byte 0: Disk quota exceeded", OutputFull),
        ("qemu-img: error while writing at byte 4294967296: File too large", OutputFull),
        (f"qemu-img: {OUTPUT}: Could not create '{OUTPUT}': Read-only file system", OutputNotWritable),
        (f"qemu-img: {OUTPUT}: Could not create '{OUTPUT}': Permission denied", OutputNotWritable),
        ("qemu-img: Could not open '/vm/disk-flat.vmdk': Permission denied", ToolFailed),
        ("qemu-img: error while reading at byte 0: Input/output error", ToolFailed),
    ],
)
def test_what_qemu_img_says_is_translated(ran, said, error):
    ran.answer = Completed(status=1, stdout="", stderr=said)
    with pytest.raises(error) as caught:
        qemu_img.create_overlay(OUTPUT, backing=NODE, backing_format="vmdk")
    assert type(caught.value) is error
    if error is not ToolFailed:
        assert caught.value.path == OUTPUT


def test_every_sign_has_its_number():
    assert set(qemu_img._SIGNS.values()) == {errno.ENOSPC, errno.EROFS, errno.EACCES}
