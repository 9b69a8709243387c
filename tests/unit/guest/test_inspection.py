"""INSPECT of whole machines, held in memory."""

from collections.abc import Mapping

import pytest

from tests.initramfs_images import image
from tests.memory_session import ESP, MemorySession, Tree, disk, partition
from vmdk2kvm.errors import GuestError, GuestRefused, NoOperatingSystem
from vmdk2kvm.guest.inspection import inspect, inspect_again
from vmdk2kvm.guest.memory import File, Folder, Link
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind, Subvolumes
from vmdk2kvm.model.guest_os import BootLoaderKind, Firmware, InitramfsTool, Mount, OsFamily

ELF = b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00"
PVSCSI = "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0"
DEBIAN = 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12"\n'


def system(fstab: str, *, release: str = DEBIAN, extra: Tree | None = None) -> dict[str, object]:
    return {
        "/etc/os-release": Link(target="../usr/lib/os-release"),
        "/usr/lib/os-release": release,
        "/etc/fstab": fstab,
        "/bin": Link(target="usr/bin"),
        "/usr/bin/sh": ELF,
        **(extra or {}),
    }


def kernel(version: str, *modules: str, boot: str = "/boot") -> dict[str, object]:
    return {
        f"{boot}/vmlinuz-{version}": b"MZ",
        f"{boot}/initrd.img-{version}": image(modules),
        f"/lib/modules/{version}/modules.dep": "kernel/a/virtio_blk.ko:\nkernel/a/sd-mod.ko.xz:\n",
        f"/lib/modules/{version}/modules.builtin": "kernel/b/virtio_pci.ko\n",
    }


def simple(fstab: str = "/dev/sda1 / ext4 defaults 0 1\n", extra: Tree | None = None) -> MemorySession:
    """One disk, one partition, swap."""
    return MemorySession(
        [disk("/dev/sda", 0), partition("/dev/sda1", "ext4", "u1"), partition("/dev/sda2", "swap", "u2")],
        {"/dev/sda1": system(fstab, extra=extra)},
    )


def test_a_plain_debian() -> None:
    files = {
        **kernel("5.9.0-1-amd64", "sd_mod"),
        **kernel("5.14.0-2-amd64", "virtio_blk"),
        "/boot/vmlinuz-5.14.0-2-rescue": b"MZ",
        "/boot/vmlinuz-5.1.0-1-amd64": b"MZ",  # its modules are gone
        "/boot/grub/grub.cfg": "linux /vmlinuz root=/dev/sda1 resume=/dev/sda2\n",
        "/boot/grub/i386-pc/core.img": b"\x52",
        "/usr/sbin/update-initramfs": File(content=b"#!/bin/sh", mode=0o755),
        "/usr/sbin/mkinitramfs": File(content=b"#!/bin/sh", mode=0o755),
    }
    os = inspect(simple(extra=files))
    assert (os.family, os.id, os.version, os.name) == (
        OsFamily.DEBIAN,
        "debian",
        "12",
        "Debian GNU/Linux 12",
    )
    assert (os.arch, os.firmware, os.lvm) == ("x86_64", Firmware.BIOS, False)
    assert os.initramfs_tool is InitramfsTool.INITRAMFS_TOOLS
    assert [each.version for each in os.kernels] == ["5.14.0-2-amd64", "5.9.0-1-amd64"]
    newest = os.kernels[0]
    assert newest.initramfs and newest.initramfs.modules == {"virtio_blk"}
    assert (newest.available, newest.builtin) == ({"virtio_blk", "sd_mod"}, {"virtio_pci"})
    assert os.mounts == (Mount(device="/dev/sda1", mountpoint="/", type="ext4"),)
    assert [(each.kind, each.files) for each in os.boot_loaders] == [
        (BootLoaderKind.GRUB2, ("/boot/grub/grub.cfg",))
    ]
    swap = os.names.resolve("/dev/sda2")
    assert swap and swap.uuid == "u2"


def test_a_name_in_initramfs_conf_is_resolved() -> None:
    conf = {"/etc/initramfs-tools/initramfs.conf": b"RESUME=/dev/hda1\n"}
    os = inspect(simple("UUID=1 / ext4 defaults 0 1\n", conf))
    assert os.names.by_name["/dev/hda1"] == "/dev/sda1"


def test_mounted_read_write_once_found() -> None:
    session = simple()
    inspect(session)
    assert session.mounts == [("/dev/sda1", "/", (), False)]


def test_everything_fstab_names_is_mounted_parents_first() -> None:
    devices = [
        disk("/dev/sda", 0, boot_code=bytes(440)),
        partition("/dev/sda1", "vfat", "E5", part_type=ESP),
        partition("/dev/sda2", "ext4", "b", label="the boot"),
        partition("/dev/sda3", "LVM2_member"),
        BlockDevice(
            device="/dev/vg/root",
            kind=BlockKind.LVM,
            size_bytes=1,
            content="xfs",
            uuid="r",
            aliases=("/dev/mapper/vg-root",),
        ),
        BlockDevice(device="/dev/vg/var", kind=BlockKind.LVM, size_bytes=1, content="xfs", uuid="v"),
        partition("/dev/sda4", "ext4", "opt", partlabel="opt"),
    ]
    fstab = (
        "UUID=e5 /boot/efi vfat umask=0077 0 1\n"
        "PARTLABEL=opt /opt ext4 defaults 0 0\n"
        "LABEL=the\\040boot /boot/ ext4 defaults 0 0\n"
        "/dev/mapper/vg-root / xfs defaults 0 0\n"
        "/dev/vg/var /var xfs defaults 0 0\n"
        "/dev/sda2 /gone/away ext4 defaults 0 0\n"
        "/opt /srv none bind 0 0\n"
        "tmpfs /tmp tmpfs defaults 0 0\n"
        "/dev/sdz1 /data ext4 defaults 0 0\n"
    )
    folders = {path: Folder() for path in ("/var", "/opt", "/srv", "/data", "/tmp", "/boot")}
    session = MemorySession(
        devices,
        {
            "/dev/vg/root": system(fstab, extra={**folders, **_modules("6.1")}),
            "/dev/sda2": {"/efi": Folder(), "/vmlinuz-6.1": b"", "/grub2/grub.cfg": ""},
            "/dev/sda1": {"/EFI/debian/grubx64.efi": b"", "/EFI/debian/grub.cfg": "search\n"},
        },
    )
    os = inspect(session)
    assert [(each.device, each.mountpoint) for each in os.mounts] == [
        ("/dev/vg/root", "/"),
        ("/dev/sda4", "/opt"),
        ("/dev/sda2", "/boot"),
        ("/dev/vg/var", "/var"),
        ("/dev/sda1", "/boot/efi"),
    ]
    assert (os.firmware, os.lvm) == (Firmware.UEFI, True)
    assert os.boot_loaders[0].files == ("/boot/grub2/grub.cfg", "/boot/efi/EFI/debian/grub.cfg")
    assert [each.version for each in os.kernels] == ["6.1"]
    assert {each.mountpoint for each in os.space} == {each.mountpoint for each in os.mounts}


def _modules(version: str) -> dict[str, object]:
    return {f"/lib/modules/{version}/modules.dep": "", f"/lib/modules/{version}/modules.builtin": ""}


BTRFS = [disk("/dev/sda", 0), partition("/dev/sda1", "btrfs", "bt")]


def btrfs(fstab: str, paths: Mapping[str, str], default: str = "") -> MemorySession:
    """`paths` are subvolumes; those with an fstab hold a system."""
    tree: dict[str, object] = {}
    for path, text in paths.items():
        tree[f"/{path}"] = Folder()
        if text:
            tree |= {f"/{path}{below}": node for below, node in system(text).items()}
        tree[f"/{path}/home"] = Folder()
    return MemorySession(
        BTRFS, {"/dev/sda1": tree}, subvolumes={"/dev/sda1": Subvolumes(paths=tuple(paths), default=default)}
    )


def test_btrfs_by_path_and_a_snapshot_of_the_root() -> None:
    fstab = (
        f"{PVSCSI}-part1 / btrfs rw,subvol=@ 0 0\nbtrfsvol:{PVSCSI}-part1/@home /home btrfs defaults 0 0\n"
    )
    os = inspect(btrfs(fstab, {"@": fstab, "@home": "", "snapshots/1": fstab}))
    assert os.mounts == (
        Mount(device="/dev/sda1", mountpoint="/", type="btrfs", options=("subvol=/@",)),
        Mount(device="/dev/sda1", mountpoint="/home", type="btrfs", options=("subvol=/@home",)),
    )
    root = os.names.resolve(f"{PVSCSI}-part1")
    assert root and root.uuid == "bt"


def test_btrfs_default_subvolume() -> None:
    fstab = "UUID=bt / btrfs defaults 0 0\n"
    snapshots = {"@/.snapshots/1/snapshot": fstab, "@/.snapshots/2/snapshot": fstab}
    os = inspect(btrfs(fstab, snapshots, default="@/.snapshots/2/snapshot"))
    assert os.mounts[0].options == ("subvol=/@/.snapshots/2/snapshot",)


def test_nothing_but_data() -> None:
    session = MemorySession([disk("/dev/sda", 0), partition("/dev/sda1", "ext4")], {"/dev/sda1": {"/a": b""}})
    with pytest.raises(NoOperatingSystem, match='"/dev/sda"'):
        inspect(session)
    with pytest.raises(NoOperatingSystem):
        inspect(MemorySession([disk("/dev/sda", 0)], {}))


def test_an_encrypted_guest_says_so() -> None:
    session = MemorySession([disk("/dev/sda", 0), partition("/dev/sda1", "crypto_LUKS")], {})
    with pytest.raises(GuestRefused, match="LUKS"):
        inspect(session)


def two_roots(first: str, second: str) -> MemorySession:
    devices = [
        disk("/dev/sda", 0),
        partition("/dev/sda1", "ext4", "u1"),
        partition("/dev/sda2", "ext4", "u2"),
    ]
    return MemorySession(devices, {"/dev/sda1": system(first), "/dev/sda2": system(second)})


def test_several_systems_are_refused_by_name() -> None:
    with pytest.raises(GuestRefused, match='"/dev/sda1", "/dev/sda2"'):
        inspect(two_roots("UUID=u1 / ext4\n", "UUID=u2 / ext4\n"))


def test_the_root_that_says_so_wins() -> None:
    assert inspect(two_roots("UUID=u2 / ext4\n", "UUID=u2 / ext4\n")).mounts[0].device == "/dev/sda2"


def test_a_file_system_that_the_guest_needs_and_that_is_broken() -> None:
    def session(options: str) -> MemorySession:
        devices = [
            disk("/dev/sda", 0),
            partition("/dev/sda1", "ext4", "u1"),
            partition("/dev/sda2", "xfs", "u2"),
        ]
        fstab = f"UUID=u1 / ext4\nUUID=u2 /var xfs {options}\n"
        files = {"/dev/sda1": system(fstab, extra={"/var": Folder()})}
        return MemorySession(devices, files, broken=["/dev/sda2"])

    with pytest.raises(GuestRefused, match="/dev/sda2"):
        inspect(session("defaults"))
    assert [each.mountpoint for each in inspect(session("defaults,nofail")).mounts] == ["/"]


def test_a_broken_root() -> None:
    session = MemorySession([disk("/dev/sda", 0), partition("/dev/sda1", "ext4")], {}, broken=["/dev/sda1"])
    with pytest.raises(GuestRefused, match="bad superblock"):
        inspect(session)


@pytest.mark.parametrize(
    ("release", "family", "identity"),
    [
        ("ID=rocky\nID_LIKE='rhel centos fedora'\n", OsFamily.REDHAT, "rocky"),
        ("ID=opensuse-leap\nID_LIKE='suse opensuse'\n", OsFamily.SUSE, "opensuse-leap"),
        ("ID=linuxmint\nID_LIKE=ubuntu\n", OsFamily.DEBIAN, "linuxmint"),
        ("ID=alpine\n", OsFamily.ALPINE, "alpine"),
        ("ID=arch\n", OsFamily.ARCH, "arch"),
        ("ID=photon\n", OsFamily.OTHER_LINUX, "photon"),
        ("", OsFamily.OTHER_LINUX, "linux"),
    ],
)
def test_families(release: str, family: OsFamily, identity: str) -> None:
    session = MemorySession(
        [disk("/dev/sda", 0), partition("/dev/sda1", "ext4")], {"/dev/sda1": system("", release=release)}
    )
    os = inspect(session)
    assert (os.family, os.id) == (family, identity)


@pytest.mark.parametrize(
    ("path", "text", "family", "version"),
    [
        ("/etc/redhat-release", "CentOS release 6.10 (Final)\n", OsFamily.REDHAT, "6.10"),
        ("/etc/debian_version", "7.11\n", OsFamily.DEBIAN, "7.11"),
    ],
)
def test_before_os_release(path: str, text: str, family: OsFamily, version: str) -> None:
    files = {path: text, "/etc/fstab": "", "/usr/bin/env": ELF}
    session = MemorySession([disk("/dev/sda", 0), partition("/dev/sda1", "ext4")], {"/dev/sda1": files})
    os = inspect(session)
    assert (os.family, os.version, os.arch) == (family, version, "x86_64")


def test_dracut_beside_initramfs_tools() -> None:
    programs = ("/usr/sbin/update-initramfs", "/usr/sbin/mkinitramfs", "/usr/bin/dracut")
    tools = {path: File(content=b"", mode=0o755) for path in programs}
    built = {**kernel("6.1"), "/boot/initrd.img-6.1": image((), {"conf/initramfs.conf": b"MODULES=most\n"})}
    assert inspect(simple(extra={**kernel("6.1"), **tools})).initramfs_tool is InitramfsTool.DRACUT
    assert inspect(simple(extra={**built, **tools})).initramfs_tool is InitramfsTool.INITRAMFS_TOOLS
    assert inspect(simple(extra={"/usr/bin/dracut": b"not executable"})).initramfs_tool is None


@pytest.mark.parametrize(
    ("programs", "mark", "tool"),
    [
        (("/usr/bin/mkinitcpio", "/usr/bin/dracut"), "buildconfig", InitramfsTool.MKINITCPIO),
        (("/usr/bin/mkinitcpio", "/usr/bin/dracut"), "usr/lib/dracut/x", InitramfsTool.DRACUT),
        (("/usr/bin/mkinitcpio", "/usr/bin/dracut"), "init", InitramfsTool.DRACUT),
        (("/usr/bin/mkinitcpio", "/usr/bin/booster"), "etc/booster.init.yaml", InitramfsTool.BOOSTER),
        (("/usr/bin/booster",), "init", InitramfsTool.BOOSTER),
        (("/sbin/mkinitfs",), "usr/lib/dracut/x", InitramfsTool.MKINITFS),  # built elsewhere
        (("/sbin/mkinitrd", "/usr/bin/dracut"), "run_all.sh", InitramfsTool.DRACUT),  # dracut's own mkinitrd
        (("/sbin/mkinitrd",), "run_all.sh", InitramfsTool.MKINITRD),
    ],
)
def test_of_several_tools_the_one_that_built_the_image(
    programs: tuple[str, ...], mark: str, tool: InitramfsTool
) -> None:
    tools = {path: File(content=b"", mode=0o755) for path in programs}
    built = {**kernel("6.1"), "/boot/initrd.img-6.1": image((), {mark: b""})}
    assert inspect(simple(extra={**built, **tools})).initramfs_tool is tool


def test_boosters_image_is_found_by_the_kernels_flavour() -> None:
    files = {
        **kernel("6.1"),
        "/boot/vmlinuz-linux": b"MZ",
        "/boot/booster-6.1.img": image(("virtio_blk",), {"etc/booster.init.yaml": b""}),
    }
    del files["/boot/initrd.img-6.1"]
    found = inspect(simple(extra=files)).kernels[0].initramfs
    assert found is not None
    assert (found.path, found.builder) == ("/boot/booster-6.1.img", InitramfsTool.BOOSTER)


def test_an_initramfs_that_cannot_be_read() -> None:
    os = inspect(simple(extra={**kernel("6.1"), "/boot/initrd.img-6.1": b"garbage"}))
    found = os.kernels[0].initramfs
    assert found and found.error and not found.modules


def test_hostile_paths_do_not_stop_inspection() -> None:
    hostile = {
        **kernel("6.1"),
        "/boot/initrd.img-6.1": Link(target="initrd.img-6.1"),
        "/etc/crypttab": Folder(),
        "/etc/default/grub": Link(target="/etc/default/grub"),
        "/boot/grub/grub.cfg": Link(target="../../../../../nowhere"),
    }
    os = inspect(simple(extra=hostile))
    assert os.boot_loaders == () and os.kernels[0].initramfs is None


@pytest.mark.parametrize(
    ("esp_files", "root_files", "boot_code", "firmware"),
    [
        ({"/EFI/BOOT/BOOTX64.EFI": b""}, {}, bytes(440), Firmware.UEFI),
        ({"/EFI/BOOT/BOOTX64.EFI": b""}, {}, b"\xeb\x63", Firmware.UEFI),
        (
            {"/EFI/BOOT/BOOTX64.EFI": b""},
            {"/boot/grub/i386-pc/core.img": b""},
            b"\xeb\x63",
            Firmware.BIOS,
        ),
        ({}, {"/boot/grub/i386-pc/core.img": b""}, b"\xeb\x63", Firmware.BIOS),
        ({}, {}, bytes(440), Firmware.UEFI),
    ],
)
def test_firmware_by_what_can_boot(
    esp_files: Tree, root_files: Tree, boot_code: bytes, firmware: Firmware
) -> None:
    devices = [
        disk("/dev/sda", 0, boot_code=boot_code),
        partition("/dev/sda1", "vfat", part_type=ESP),
        partition("/dev/sda2", "ext4"),
    ]
    extra = {**root_files, "/boot/efi": Folder()}
    session = MemorySession(
        devices, {"/dev/sda1": esp_files, "/dev/sda2": system("/dev/sda2 / ext4\n", extra=extra)}
    )
    assert inspect(session).firmware is firmware


def test_looking_again_opens_only_what_changed() -> None:
    session = simple(extra={**kernel("6.1", "sd_mod"), **kernel("5.1", "sd_mod")})
    before = inspect(session)
    opened: list[str] = []
    read = session.open
    session.open = lambda path: opened.append(path) or read(path)  # type: ignore[func-returns-value]
    assert inspect_again(session, before) == before
    session.write_bytes("/boot/initrd.img-5.1", image(["sd_mod", "virtio_blk"]))
    after = inspect_again(session, before)
    assert [path for path in opened if path.startswith("/boot")] == ["/boot/initrd.img-5.1"]
    held = after.kernels[1].initramfs
    assert held and held.modules == {"sd_mod", "virtio_blk"}


def test_a_session_that_fails_is_not_hidden() -> None:
    class Dead(MemorySession):
        def room(self, mountpoint: str) -> None:  # type: ignore[override]
            raise GuestError("the appliance is gone", hint="")

    with pytest.raises(GuestError, match="gone"):
        inspect(Dead([disk("/dev/sda", 0), partition("/dev/sda1", "ext4")], {"/dev/sda1": system("")}))
