"""What bad input gets, from the command itself: one sentence, the next step, the exit code, nothing else."""

import fcntl
import json
import os
import re
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

COMMAND = str(Path(sys.executable).parent / "vmdk2kvm")
NO_GUEST = [word for stage in ("fetch", "flatten", "convert") for word in ("--stages", stage)]
SECTORS = 2048 * 16


def vmdk2kvm(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True, timeout=300)


def descriptor(*extents: str, parent_cid: str = "ffffffff", cid: str = "0000000a", hint: str = "") -> bytes:
    lines = [
        "# Disk DescriptorFile",
        "version=1",
        f"CID={cid}",
        f"parentCID={parent_cid}",
        'createType="monolithicFlat"',
        *([f'parentFileNameHint="{hint}"'] if hint else []),
        "# Extent description",
        *(extents or (f'RW {SECTORS} FLAT "disk-flat.vmdk" 0',)),
        "# The Disk Data Base",
        'ddb.adapterType = "lsilogic"',
    ]
    return ("\n".join(lines) + "\n").encode()


def flat(folder: Path, size_bytes: int = SECTORS * 512) -> None:
    with (folder / "disk-flat.vmdk").open("wb") as file:
        file.truncate(size_bytes)


def write(content: bytes) -> Callable[[Path], None]:
    def make(folder: Path) -> None:
        flat(folder)
        (folder / "disk.vmdk").write_bytes(content)

    return make


def cut_off(folder: Path) -> None:
    write(descriptor())(folder)
    flat(folder, SECTORS * 512 - 512)


def missing_extent(folder: Path) -> None:
    write(descriptor())(folder)
    (folder / "disk-flat.vmdk").unlink()


def wrong_cid(folder: Path) -> None:
    write(descriptor(parent_cid="0000000c", cid="0000000b", hint="base.vmdk"))(folder)
    (folder / "base.vmdk").write_bytes(descriptor())


def cycle(folder: Path) -> None:
    write(descriptor(parent_cid="0000000a", hint="other.vmdk"))(folder)
    (folder / "other.vmdk").write_bytes(descriptor(parent_cid="0000000a", hint="disk.vmdk"))


def link_out(folder: Path) -> None:
    write(descriptor())(folder)
    (folder / "disk-flat.vmdk").unlink()
    (folder / "disk-flat.vmdk").symlink_to("/etc/shadow")


def parent_link_out(folder: Path) -> None:
    write(descriptor(parent_cid="0000000a", cid="0000000b", hint="base.vmdk"))(folder)
    (folder / "base.vmdk").symlink_to("/etc/shadow")


def hundred_megabytes(folder: Path) -> None:
    write(descriptor())(folder)
    with (folder / "disk.vmdk").open("r+b") as file:
        file.truncate(100 << 20)


def capacity_zero(folder: Path) -> None:
    """QEMU would believe the embedded descriptor, and read the host file that it names."""
    text = descriptor('RW 16 FLAT "/etc/shadow" 0')
    header = struct.pack("<4sIIQQQQIQQQB4sH", b"KDMV", 1, 3, 0, 128, 1, 20, 512, 0, 0, 128, 0, b"\n \r\n", 0)
    content = header.ljust(512, b"\0") + text.ljust(20 * 512, b"\0")
    (folder / "disk.vmdk").write_bytes(content.ljust(1 << 20, b"\0"))


EXTENT = f'RW {SECTORS} FLAT "disk-flat.vmdk" 0'
BAD_DISKS = {
    "missing extent": (missing_extent, "disk-flat.vmdk"),
    "cut-off extent": (cut_off, "disk-flat.vmdk"),
    "parent of another CID": (wrong_cid, "base.vmdk"),
    "cycle": (cycle, ".vmdk"),
    "absolute extent": (write(descriptor(f'RW {SECTORS} FLAT "/etc/shadow" 0')), "/etc/shadow"),
    "extent above the folder": (write(descriptor(f'RW {SECTORS} FLAT "../../x" 0')), "../../x"),
    "extent is a link that leaves": (link_out, "disk-flat.vmdk"),
    "absolute parent": (write(descriptor(parent_cid="0000000a", hint="/etc/shadow")), "/etc/shadow"),
    "parent above the folder": (write(descriptor(parent_cid="0000000a", hint="../x.vmdk")), "../x.vmdk"),
    "parent is a link that leaves": (parent_link_out, "base.vmdk"),
    "garbage": (write(bytes(range(256)) * 64), "disk.vmdk"),
    "100 MB": (hundred_megabytes, "disk.vmdk"),
    "NUL bytes": (write(descriptor().replace(b"CID=0000", b"CID=\0\0\0\0")), "disk.vmdk"),
    "not a VMDK": (write(b"QFI\xfb" + bytes(4096)), "disk.vmdk"),
    "unknown createType": (write(descriptor().replace(b"monolithicFlat", b"holographic")), "holographic"),
    "capacity 0": (capacity_zero, "disk.vmdk"),
    "extent behind a vertical tab": (write(descriptor(EXTENT, '# x\vRW 1 FLAT "a" 0')), "disk.vmdk"),
    "extent behind U+0085": (write(descriptor(EXTENT, '# x\u0085RW 1 FLAT "a" 0')), "disk.vmdk"),
    "extent behind U+2028": (write(descriptor(EXTENT, '# x\u2028RW 1 FLAT "a" 0')), "disk.vmdk"),
    "empty file": (write(b""), "disk.vmdk"),
}


@pytest.mark.parametrize("name", BAD_DISKS)
def test_a_bad_disk_is_refused_before_anything_is_written(tmp_path, name):
    make, named = BAD_DISKS[name]
    folder = tmp_path / "vm"
    folder.mkdir()
    make(folder)
    result = vmdk2kvm("local", "--vmdk", folder / "disk.vmdk", "--output-dir", tmp_path / "out", *NO_GUEST)
    assert_refused(result, 4, named)
    assert images(tmp_path / "out") == []


LEGAL_DISKS = {
    "CRLF": descriptor().replace(b"\n", b"\r\n"),
    "tabs": descriptor().replace(b"RW ", b"RW\t").replace(b" FLAT ", b"\tFLAT\t"),
    "lower-case keywords": descriptor().replace(b"RW ", b"rw ").replace(b" FLAT ", b" flat "),
    "no newline at the end": descriptor().rstrip(b"\n"),
}


@pytest.mark.appliance
@pytest.mark.parametrize("name", LEGAL_DISKS)
def test_an_unusual_but_legal_descriptor_is_read(tmp_path, name):
    write(LEGAL_DISKS[name])(tmp_path)
    result = vmdk2kvm("local", "--vmdk", tmp_path / "disk.vmdk", "--output-dir", tmp_path / "out", *NO_GUEST)
    assert result.returncode == 0, result.stderr
    assert images(tmp_path / "out") == ["disk-disk0.qcow2"]


def test_a_file_that_is_not_there_is_named(tmp_path):
    result = vmdk2kvm("local", "--vmdk", tmp_path / "no.vmdk", "--output-dir", tmp_path / "out")
    assert_refused(result, 3, "no.vmdk")


@pytest.mark.parametrize(
    "arguments",
    [
        ["local"],
        ["local", "--vmdk", "disk.vmdk", "--skip-fix", "no-such-fix"],
        ["local", "--vmdk", "disk.vmdk", "--stages", "fetch", "--stages", "convert"],
        ["local", "--vmdk", "disk.vmdk", "--to-output", "a", "--to-output", "b"],
        ["local", "--vmdk", "disk.vmdk", "--to-output", "../../disk.vmdk"],
        ["local", "--vmdk", "disk.vmdk", "--vm-name", ".."],
        ["local", "--vmdk", "disk.vmdk", "--vmdk", "disk.vmdk"],
        ["local", "--vmdk", "disk.vmdk", "--out-format", "raw", "--compress"],
        ["validate"],
    ],
)
def test_a_contradiction_is_refused(tmp_path, monkeypatch, arguments):
    monkeypatch.chdir(tmp_path)
    write(descriptor())(tmp_path)
    before = (tmp_path / "disk.vmdk").read_bytes()
    assert_refused(vmdk2kvm(*arguments), 2, "")
    assert (tmp_path / "disk.vmdk").read_bytes() == before
    assert images(tmp_path / "out") == []


def test_two_runs_on_one_folder_do_not_meet(tmp_path):
    write(descriptor())(tmp_path)
    lock = tmp_path / "out" / "disk" / ".vmdk2kvm" / "lock"
    lock.parent.mkdir(parents=True)
    with lock.open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        result = vmdk2kvm(
            "local", "--vmdk", tmp_path / "disk.vmdk", "--output-dir", tmp_path / "out", *NO_GUEST
        )
    assert_refused(result, 2, str(tmp_path / "out" / "disk"))


def test_a_file_that_is_not_ours_is_not_replaced(tmp_path):
    write(descriptor())(tmp_path)
    target = tmp_path / "out" / "disk" / "disk-disk0.qcow2"
    target.parent.mkdir(parents=True)
    target.write_text("somebody's")
    arguments = ["local", "--vmdk", tmp_path / "disk.vmdk", "--output-dir", tmp_path / "out", *NO_GUEST]
    assert_refused(vmdk2kvm(*arguments), 6, target.name)
    assert target.read_text() == "somebody's"
    assert vmdk2kvm(*arguments, "--force").returncode == 0
    assert vmdk2kvm(*arguments, "--force").returncode == 0


@pytest.mark.parametrize(
    ("flag", "value"),
    [
        ("--to-output", "{folder}/disk-flat.vmdk"),
        ("--to-output", "{folder}/link/disk-flat.vmdk"),
        ("--to-output", "{folder}/alias.qcow2"),
        ("--report", "{folder}/disk.vmdk"),
        ("--to-output", "report.json"),
        ("--to-output", "../disk/plan.json"),
        ("--to-output", "boot/disk.qcow2"),
        ("--to-output", ".vmdk2kvm/disk.qcow2"),
    ],
)
def test_neither_a_source_nor_a_file_of_ours_is_overwritten(tmp_path, flag, value):
    write(descriptor())(tmp_path)
    (tmp_path / "link").symlink_to(tmp_path)
    (tmp_path / "alias.qcow2").symlink_to(tmp_path / "disk-flat.vmdk")
    before = {name: (tmp_path / name).read_bytes() for name in ("disk.vmdk", "disk-flat.vmdk")}
    result = vmdk2kvm(
        *("local", "--vmdk", tmp_path / "disk.vmdk", "--output-dir", tmp_path / "out", "--force", *NO_GUEST),
        *(flag, value.format(folder=tmp_path)),
    )
    assert_refused(result, 2, Path(value).name)
    assert {name: (tmp_path / name).read_bytes() for name in before} == before


def test_another_source_under_the_same_name_is_refused(tmp_path):
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        write(descriptor())(tmp_path / name)

    def run(name: str, *flags: str) -> subprocess.CompletedProcess[str]:
        disk = tmp_path / name / "disk.vmdk"
        return vmdk2kvm("local", "--vmdk", disk, "--output-dir", tmp_path / "out", *NO_GUEST, *flags)

    assert run("a").returncode == 0
    assert_refused(run("b"), 2, str(tmp_path / "a" / "disk.vmdk"))
    assert run("b", "--force").returncode == 0
    assert run("b", "--vm-name", "other").returncode == 0


def test_a_finished_vm_is_not_done_again_until_its_result_changes(tmp_path):
    write(descriptor())(tmp_path)
    command = [
        "local",
        "--vmdk",
        tmp_path / "disk.vmdk",
        "--output-dir",
        tmp_path / "out",
        "--json",
        *NO_GUEST,
    ]

    def convert_status() -> str:
        stages = json.loads(vmdk2kvm(*command).stdout)["stages"]
        return next(stage["status"] for stage in stages if stage["name"] == "convert")

    image = tmp_path / "out" / "disk" / "disk-disk0.qcow2"
    assert [convert_status(), convert_status()] == ["ok", "reused"]
    image.write_bytes(image.read_bytes() + b"x")
    assert [convert_status(), convert_status()] == ["ok", "reused"]
    with (tmp_path / "disk-flat.vmdk").open("r+b") as file:
        file.write(b"a source that changed")
    assert [convert_status(), convert_status()] == ["ok", "reused"]


@pytest.mark.appliance
def test_a_full_output_disk_is_told_before_the_copy(tmp_path):
    write(descriptor())(tmp_path)
    with (tmp_path / "disk-flat.vmdk").open("r+b") as file:
        file.write(os.urandom(8 << 20))
    output = tmp_path / "small"
    with mounted(output, "size=4m"):
        result = vmdk2kvm("local", "--vmdk", tmp_path / "disk.vmdk", "--output-dir", output, *NO_GUEST)
        assert_refused(result, 6, str(output))
        assert images(output) == []


@pytest.mark.appliance
def test_a_read_only_output_folder_is_told(tmp_path):
    write(descriptor())(tmp_path)
    output = tmp_path / "readonly"
    with mounted(output, "ro,size=4m"):
        result = vmdk2kvm("local", "--vmdk", tmp_path / "disk.vmdk", "--output-dir", output, *NO_GUEST)
        assert_refused(result, 6, str(output))


@pytest.mark.appliance
def test_a_blank_disk_has_no_operating_system(tmp_path):
    write(descriptor())(tmp_path)
    result = vmdk2kvm("local", "--vmdk", tmp_path / "disk.vmdk", "--output-dir", tmp_path / "out")
    assert_refused(result, 5, "disk.vmdk")
    assert images(tmp_path / "out") == []


class mounted:
    """A tmpfs for the length of a block."""

    def __init__(self, folder: Path, options: str) -> None:
        self.folder, self.options = folder, options

    def __enter__(self) -> None:
        self.folder.mkdir()
        subprocess.run(["mount", "-t", "tmpfs", "-o", self.options, "tmpfs", self.folder], check=True)

    def __exit__(self, *error: object) -> None:
        subprocess.run(["umount", self.folder], check=True)


def images(folder: Path) -> list[str]:
    """Every disk image, whole or not, that a run left."""
    found = [path for suffix in ("qcow2", "raw", "vdi", "part") for path in folder.rglob(f"*.{suffix}")]
    return sorted(path.name for path in found if ".vmdk2kvm" not in path.parts)


def assert_refused(result: subprocess.CompletedProcess[str], status: int, named: str) -> None:
    assert result.returncode == status, (result.returncode, result.stderr)
    assert "Traceback" not in result.stderr
    errors = [line for line in result.stderr.split("\n") if line.startswith("vmdk2kvm: ")]
    assert len(errors) == 1, result.stderr
    assert named in errors[0]
    assert errors[0].endswith(".")
    hint = result.stderr.rstrip().split("\n")[-1]
    assert re.match("  [^ ]", hint), "the last line says what to do next"
