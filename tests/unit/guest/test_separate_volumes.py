"""A guest whose /boot, /usr, /var and /home are volumes of their own, on partitions, LVM and md."""

from tests.memory_session import MemorySession, disk, partition
from vmdk2kvm.guest.inspection import inspect
from vmdk2kvm.guest.memory import Folder, Link
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind
from vmdk2kvm.model.guest_os import OsFamily, RaidArray

VERSION = "6.1.0-13-amd64"
FSTAB = """\
/dev/mapper/vg0-root / ext4 errors=remount-ro 0 1
/dev/sdb1 /home xfs defaults 0 2
/dev/vg0/usr /usr ext4 defaults 0 2
LABEL=var /var ext4 defaults 0 2
/dev/md0 /var/log ext4 defaults 0 2
UUID=boot /boot ext2 defaults 0 2
/swapfile none swap sw 0 0
/dev/zram0 none swap defaults 0 0
"""
ROOT = {
    "/etc/fstab": FSTAB,
    "/etc/os-release": Link(target="../usr/lib/os-release"),
    "/etc/passwd": "root:x\n",
    **{f"/{name}": Link(target=f"usr/{name}") for name in ("bin", "lib", "sbin")},
    **{f"/{name}": Folder() for name in ("usr", "var", "home", "boot")},
    "/swapfile": b"\0" * 64,
}
TREES = {
    "/dev/vg0/root": ROOT,
    "/dev/vg0/usr": {
        "/bin/sh": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00",
        "/lib/os-release": "ID=debian\nVERSION_ID=12\n",
        f"/lib/modules/{VERSION}/modules.dep": "kernel/virtio_blk.ko:\n",
        f"/lib/modules/{VERSION}/modules.builtin": "",
    },
    "/dev/vg0/var": {"/log": Folder()},
    "/dev/md0": {"/syslog": ""},
    "/dev/sda1": {f"/vmlinuz-{VERSION}": b"MZ"},
    "/dev/sdb1": {"/me": Folder()},
}


def volume(name: str, **facts: str) -> BlockDevice:
    return BlockDevice(
        device=f"/dev/vg0/{name}",
        kind=BlockKind.LVM,
        size_bytes=1,
        aliases=(f"/dev/mapper/vg0-{name}",),
        content="ext4",
        **facts,
    )


def test_all_are_mounted_parents_first() -> None:
    array = BlockDevice(
        device="/dev/md0",
        kind=BlockKind.MD,
        size_bytes=1,
        content="ext4",
        raid=RaidArray(uuid="u", name="h:0", level="raid1", member_count=2),
    )
    devices = [
        *(disk("/dev/sda", 0), disk("/dev/sdb", 1)),
        *(partition("/dev/sda1", "ext2", "boot"), partition("/dev/sda2", "LVM2_member", "pv")),
        *(partition("/dev/sda3", "linux_raid_member", "u"), partition("/dev/sdb1", "xfs", "home")),
        *(partition("/dev/sdb2", "linux_raid_member", "u"), array),
        *(volume("root"), volume("usr"), volume("var", label="var")),
    ]
    os = inspect(MemorySession(devices, TREES))
    assert [(each.mountpoint, each.device) for each in os.mounts] == [
        ("/", "/dev/vg0/root"),
        ("/home", "/dev/sdb1"),
        ("/usr", "/dev/vg0/usr"),
        ("/var", "/dev/vg0/var"),
        ("/boot", "/dev/sda1"),
        ("/var/log", "/dev/md0"),
    ]
    assert (os.family, os.version, os.arch) == (OsFamily.DEBIAN, "12", "x86_64")
    assert [kernel.version for kernel in os.kernels] == [VERSION]
    assert os.kernels[0].available == {"virtio_blk"}
