"""A report with something of everything in it, around a text that may be hostile."""

from pathlib import Path

from vmdk2kvm.model.changes import (
    AppendInitramfs,
    Change,
    CopyWithin,
    MakeSymlink,
    PlannedChange,
    Rebuild,
    RebuildKind,
    Relabel,
    RemoveFile,
    RunCommand,
    SetLabel,
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
    CopyWithin(path="/copy", source=EVIL, size_bytes=1536, sha256="5e"),
    AppendInitramfs(
        path="/boot/initrd",
        kernel="6.1",
        files=(("conf/modules", "c0"), (EVIL, "f1")),
        must_hold=frozenset({"virtio_blk"}),
        before_bytes=1000,
        before_sha256="b0",
        after_bytes=3048,
        after_sha256="a0",
    ),
    SetLabel(path=EVIL, label=EVIL),
    RunCommand(argv=("sh", "-c", EVIL), done_when="/done", may_write=("/var/lib",)),
    Relabel(path=EVIL),
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
