from vmdk2kvm.fixes.plan_text import render
from vmdk2kvm.formats.plan_json import plan_of
from vmdk2kvm.model.changes import (
    Change,
    MakeSymlink,
    PlannedChange,
    Rebuild,
    RebuildKind,
    RemoveFile,
    RemoveLink,
    RunCommand,
    WriteFile,
)
from vmdk2kvm.model.guest_os import InitramfsTool
from vmdk2kvm.model.report import Finding, Level


def shown(*changes: Change, findings: tuple[Finding, ...] = ()) -> str:
    return render(plan_of([PlannedChange(fix="a-fix", change=change) for change in changes], findings))


def test_exact_changes_are_diffs() -> None:
    assert shown(
        WriteFile(path="/etc/x", before=b"a\n", after=b"b\n"), RemoveFile(path="/y", before=b"c\n")
    ) == (
        "# a-fix\n--- a/etc/x\n+++ b/etc/x\n@@ -1 +1 @@\n-a\n+b\n\n"
        "# a-fix\n--- a/y\n+++ /dev/null\n@@ -1 +0,0 @@\n-c\n"
    )


def test_links() -> None:
    assert shown(MakeSymlink(path="/l", before=None, target="t")) == "# a-fix\n/l -> t\n"
    assert shown(MakeSymlink(path="/l", before="o\x1b", target="t")) == "# a-fix\n/l -> t (was o\\x1b)\n"
    assert shown(RemoveLink(path="/l", before="o\x1b")) == "# a-fix\n/l -> o\\x1b removed\n"


def test_opaque_changes_are_commands() -> None:
    rebuild = Rebuild(
        what=RebuildKind.INITRAMFS,
        tool=InitramfsTool.DRACUT,
        kernel="6.1",
        path="/boot/initramfs-6.1.img",
        must_hold=frozenset({"virtio_pci", "virtio_blk"}),
        estimated_bytes=1,
    )
    assert shown(rebuild) == (
        "# a-fix\n$ dracut --force /boot/initramfs-6.1.img 6.1\n"
        "  /boot/initramfs-6.1.img must then hold: virtio_blk, virtio_pci\n"
    )
    command = RunCommand(argv=("rm", "a b"), done_when="/done", may_write=())
    assert shown(command) == "# a-fix\n$ rm 'a b'\n  until it is done: /done\n"


def test_findings_and_nothing() -> None:
    finding = Finding(id="x-y", level=Level.WARNING, message="bad\x07", remedy="do it")
    assert shown(findings=(finding,)) == "! warning: bad\\x07 [x-y]\n  do it\n"
    assert shown() == "nothing to change.\n"
