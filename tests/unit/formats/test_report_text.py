"""report.json, report.md and the text of plans."""

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats import plan_text, report_json, report_md
from vmdk2kvm.model.changes import (
    Change,
    MakeSymlink,
    PlannedChange,
    Rebuild,
    RebuildKind,
    RemoveFile,
    RunCommand,
    WriteFile,
)
from vmdk2kvm.model.disk import OutputFormat, TargetDisk
from vmdk2kvm.model.guest_os import (
    BootLoader,
    BootLoaderKind,
    DeviceNames,
    FileSystem,
    Firmware,
    GuestOs,
    Initramfs,
    InitramfsTool,
    Kernel,
    Mount,
    OsFamily,
    Space,
)
from vmdk2kvm.model.report import (
    BootEvidence,
    Finding,
    Level,
    Report,
    RunStatus,
    StageName,
    StageResult,
    StageStatus,
    Verdict,
)

EVIL = "x\x1b[31m|`<b>*_\n# y\u202e\udcff"
CHANGES: tuple[Change, ...] = (
    WriteFile(path="/etc/fstab", before=b"/dev/sda1 / ext4\n", after=b"UUID=1 / ext4\n```\n"),
    WriteFile(path="/new", before=None, after=b"\x00\xff", mode=0o600),
    RemoveFile(path="/boot/grub/device.map", before=b"(hd0) /dev/sda\n"),
    MakeSymlink(path="/link", before="old", target=EVIL),
    RunCommand(argv=("sh", "-c", EVIL), done_when="/done", may_write=("/var/lib",)),
    Rebuild(
        what=RebuildKind.INITRAMFS,
        tool=InitramfsTool.DRACUT,
        kernel="6.1",
        path="/boot/initrd",
        must_hold=frozenset({"virtio_blk", "ext4"}),
        estimated_bytes=1,
    ),
)


def guest(name: str) -> GuestOs:
    file_system = FileSystem(device="/dev/sda1", type="ext4", size_bytes=2**30, uuid="1", label=name)
    initramfs = Initramfs(
        path="/boot/initrd", size_bytes=1, compression="zstd", modules=frozenset({"b", "a"}), error=None
    )
    return GuestOs(
        family=OsFamily.DEBIAN,
        id="debian",
        version="12",
        name=name,
        arch="x86_64",
        firmware=Firmware.BIOS,
        names=DeviceNames(filesystems=(file_system,)),
        mounts=(Mount(device="/dev/sda1", mountpoint="/", type="ext4"),),
        space=(Space(mountpoint="/", free_bytes=5),),
        kernels=(
            Kernel(
                version="6.1",
                image="/boot/vmlinuz",
                initramfs=initramfs,
                available=frozenset({"thousands"}),
                builtin=frozenset(),
            ),
        ),
        boot_loaders=(
            BootLoader(kind=BootLoaderKind.GRUB2, firmware=Firmware.BIOS, files=("/boot/grub/grub.cfg",)),
        ),
        initramfs_tool=InitramfsTool.DRACUT,
        fstab=f"{name}\n",
    )


def report(text: str) -> Report:
    return Report(
        vm=text,
        status=RunStatus.FAILED,
        stages=(StageResult(name=StageName.FIX, status=StageStatus.OK, seconds=61.0),),
        disks=(TargetDisk(path=Path("/o/" + text), format=OutputFormat.VDI, virtual_size_bytes=512),),
        guest=guest(text),
        changes=tuple(PlannedChange(fix="a-fix", change=change) for change in CHANGES),
        boot=BootEvidence(
            verdict=Verdict.FAILED,
            firmware="bios",
            bus="virtio-blk",
            seconds=2.0,
            reason=text,
            evidence=("boot/console.log",),
            facts=(("kernel", text),),
        ),
        findings=(Finding(id="an-id", level=Level.ERROR, message=text, remedy=text),),
    )


def test_report_json_has_the_shape_programs_rely_on() -> None:
    told = json.loads(report_json.render(report("web")))
    assert list(told) == [
        "schema", "vm", "status", "stages", "disks", "guest", "changes", "boot", "findings",
    ]  # fmt: skip
    assert told["schema"] == 1
    assert told["stages"] == [{"name": "fix", "status": "ok", "seconds": 61.0}]
    assert told["disks"] == [{"path": "/o/web", "format": "vdi", "virtual_size_bytes": 512, "sha256": None}]
    assert list(told["boot"]) == ["verdict", "firmware", "bus", "seconds", "evidence", "reason", "facts"]
    assert told["boot"]["facts"] == {"kernel": "web"}
    assert told["findings"] == [{"id": "an-id", "level": "error", "message": "web", "remedy": "web"}]
    assert {"fix", "kind", "path"} <= set(told["changes"][0])
    assert told["guest"]["kernels"][0]["initramfs"]["modules"] == ["a", "b"]
    assert "thousands" not in json.dumps(told)


def test_report_json_holds_sums_and_not_contents() -> None:
    text = report_json.render(report("web"))
    assert "UUID=1" not in text
    assert set(json.loads(text)["changes"][0]["after"]) == {"sha256"}


def test_a_boot_test_that_did_not_run_says_so() -> None:
    empty = Report(vm="web", status=RunStatus.OK, stages=())
    told = json.loads(report_json.render(empty))
    assert told["boot"]["verdict"] == "not-run"
    assert told["guest"] is None
    assert "Boot: not tested." in report_md.render(empty)


def test_report_json_is_text_for_every_reader() -> None:
    text = report_json.render(report(EVIL))
    assert text.isascii()
    assert not re.search(r"\\ud[c-f]", text, re.IGNORECASE)


def test_report_md_shows_diffs_findings_times_and_evidence() -> None:
    text = report_md.render(report("web"))
    assert "# web: failed\n" in text
    assert "Took 1m01s." in text
    assert "- **error** `an-id`: web\n  → web" in text
    assert "````diff\n--- a/etc/fstab\n+++ b/etc/fstab\n" in text  # a longer fence than the one inside
    assert "**failed** on virtio-blk by BIOS, after 2.0s: web." in text
    assert "| fix | ok | 1m01s |" in text
    assert "Evidence: `boot/console.log`" in text


def outside_code(markdown: str) -> str:
    """What Markdown acts on: the text without fences and spans."""
    text = re.sub(r"^(`{3,})\w*\n.*?^\1\n", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


@given(st.text() | st.just(EVIL))
def test_text_of_a_guest_is_never_markup(text: str) -> None:
    plain, evil = report_md.render(report("w")), report_md.render(report(text))
    for line in outside_code(evil).split("\n"):
        unescaped = re.sub(r"\\[!-/:-@\[-`{-~]", "", line)
        assert not re.search(r"<|\[|~~|__", unescaped)
    heads = [line.split(" ")[0] for line in outside_code(evil).split("\n") if line.startswith("#")]
    assert heads == [line.split(" ")[0] for line in outside_code(plain).split("\n") if line.startswith("#")]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", evil)


@pytest.mark.parametrize("text", ["plain", "a`b", "``", "`", " ", "", "a|b"])
def test_code_spans_hold_their_backticks(text: str) -> None:
    span = report_md.code(text)
    ticks = re.match("`+", span)
    assert ticks is not None
    inner = span[len(ticks.group()) : -len(ticks.group())]
    assert ticks.group() not in re.findall("`+", inner)
    assert "|" not in span


def test_plans_show_diffs_and_commands() -> None:
    planned = [PlannedChange(fix="fix-one", change=CHANGES[0])]
    planned += [PlannedChange(fix="fix-two", change=change) for change in CHANGES[1:]]
    text = plan_text.render(planned)
    assert text.count("# fix-one\n") == text.count("# fix-two\n") == 1
    assert "-/dev/sda1 / ext4\n+UUID=1 / ext4\n" in text
    assert "new file, mode 0600\n--- /dev/null\n" in text
    assert "--- a/boot/grub/device.map\n+++ /dev/null\n" in text
    assert 'link "/link" -> "x\\x1b[31m' in text
    assert "run sh -c " in text
    assert (
        'rebuild initramfs "/boot/initrd" for kernel "6.1" with dracut\n  must hold ext4, virtio_blk\n'
        in text
    )
    assert "\x1b" not in text


def test_an_empty_plan_is_no_text() -> None:
    assert plan_text.render([]) == ""
