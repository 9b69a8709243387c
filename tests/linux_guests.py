"""Linux guests in a dict, with stand-ins for the programs that build an initramfs.

The stand-ins do what the real ones do as far as a repair depends on it: update-initramfs(8) reads
/etc/initramfs-tools and refuses -u without an image and -c over one; dracut(8) reads dracut.conf.d.
"""

import re
from collections.abc import Mapping
from dataclasses import replace
from fnmatch import fnmatchcase

from tests.initramfs_images import image
from vmdk2kvm.formats.initramfs import describe
from vmdk2kvm.formats.kernel_modules import parse_dependencies, with_dependencies
from vmdk2kvm.guest.memory import Folder, MemoryGuest
from vmdk2kvm.guest.protocol import CommandResult, GuestReader
from vmdk2kvm.model.guest_os import (
    DeviceNames,
    Firmware,
    GuestOs,
    Initramfs,
    InitramfsTool,
    Kernel,
    Mount,
    OsFamily,
    Space,
)
from vmdk2kvm.model.units import GIB

VERSION = "6.1.0-13-amd64"
MODULES_DEP = """\
kernel/drivers/virtio/virtio.ko: kernel/drivers/virtio/virtio_ring.ko
kernel/drivers/virtio/virtio_ring.ko:
kernel/drivers/virtio/virtio_pci_modern_dev.ko:
kernel/drivers/virtio/virtio_pci.ko: kernel/drivers/virtio/virtio_pci_modern_dev.ko virtio.ko
kernel/drivers/block/virtio_blk.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/scsi/virtio_scsi.ko: kernel/drivers/scsi/scsi_mod.ko kernel/drivers/virtio/virtio.ko
kernel/drivers/net/virtio_net.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/scsi/scsi_mod.ko:
kernel/drivers/scsi/sd_mod.ko: kernel/drivers/scsi/scsi_mod.ko
kernel/drivers/scsi/vmw_pvscsi.ko: kernel/drivers/scsi/scsi_mod.ko
kernel/drivers/ata/ahci.ko:
kernel/drivers/nvme/host/nvme.ko:
"""
ALL_MODULES = frozenset(parse_dependencies(MODULES_DEP))
VMWARE_ONLY = ("vmw_pvscsi", "sd_mod", "scsi_mod")
CRITICAL = frozenset(
    {
        "virtio",
        "virtio_ring",
        "virtio_pci",
        "virtio_pci_modern_dev",
        "virtio_blk",
        "virtio_scsi",
        "sd_mod",
        "scsi_mod",
    }
)


COPIED_SETTINGS = (
    *("/etc/lvm/lvm.conf", "/etc/lvm/devices/system.devices"),
    *("/etc/mdadm.conf", "/etc/mdadm/mdadm.conf"),
)
CRYPTROOT_HOOK = "/usr/share/initramfs-tools/hooks/cryptroot"


def image_path(version: str = VERSION) -> str:
    return f"/boot/initrd.img-{version}"


def debian(
    files: Mapping[str, bytes | str] | None = None, *, held: tuple[str, ...] = VMWARE_ONLY
) -> MemoryGuest:
    """A Debian guest with one kernel whose initramfs holds the modules `held`."""
    return MemoryGuest(
        {
            "/etc/initramfs-tools/initramfs.conf": "MODULES=most\nBUSYBOX=auto\n",
            "/etc/initramfs-tools/modules": "# List of modules\n",
            f"/lib/modules/{VERSION}/modules.dep": MODULES_DEP,
            image_path(): image(held),
            **(files or {}),
        },
        programs=run_program,
    )


def guest_os(
    guest: GuestReader,
    *versions: str,
    tool: InitramfsTool | None = InitramfsTool.INITRAMFS_TOOLS,
    available: frozenset[str] = ALL_MODULES,
    builtin: frozenset[str] = frozenset(),
    space: tuple[Space, ...] = (Space(mountpoint="/", free_bytes=GIB, free_inodes=10_000),),
) -> GuestOs:
    """What INSPECT would say of `guest`, whose kernels are `versions`."""
    kernels = (
        Kernel(
            version=version,
            image=f"/boot/vmlinuz-{version}",
            initramfs=describe_image(guest, image_path(version)),
            available=available,
            builtin=builtin,
        )
        for version in versions or (VERSION,)
    )
    return GuestOs(
        family=OsFamily.DEBIAN,
        id="debian",
        version="12",
        name="Debian GNU/Linux 12 (bookworm)",
        arch="x86_64",
        firmware=Firmware.BIOS,
        names=DeviceNames(filesystems=()),
        mounts=(Mount(device="/dev/sda1", mountpoint="/", type="ext4"),),
        space=space,
        kernels=tuple(kernels),
        boot_loaders=(),
        initramfs_tool=tool,
        fstab=None,
    )


def describe_image(guest: GuestReader, path: str) -> Initramfs | None:
    if not guest.exists(path):
        return None
    with guest.open(path) as stream:
        return describe(path, guest.stat(path).size_bytes, stream)


def inspected_again(guest: GuestReader, os: GuestOs) -> GuestOs:
    """`os` with every image opened anew."""
    kernels = (
        replace(kernel, initramfs=describe_image(guest, kernel.initramfs.path))
        if kernel.initramfs
        else kernel
        for kernel in os.kernels
    )
    return replace(os, kernels=tuple(kernels))


def run_program(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
    del env
    match argv:
        case ("update-initramfs", "-u", "-k", version) if guest.exists(image_path(version)):
            return _update_initramfs(guest, version)
        case ("update-initramfs", "-c", "-k", version) if not guest.exists(image_path(version)):
            return _update_initramfs(guest, version)
        case ("dracut", "--force", "--add-drivers", names, path, version):
            return _dracut(guest, path, version, names.split())
        case ("dracut", "--force", path, version):
            return _dracut(guest, path, version, [])
        case ("mkinitcpio", *options, "-S", "autodetect,kms", "-k", version, "-g", path):
            return _mkinitcpio(guest, path, version, options)
        case ("mkinitfs", "-o", path, version):
            return _mkinitfs(guest, path, version)
        case ("mkinitrd", "-B", "-k", kernel, "-b", folder, "-i", name):
            return _mkinitrd(guest, f"{folder}/{name}", kernel.partition("-")[2])
        case _:
            return _remove_tools(guest, argv)


def _remove_tools(guest: MemoryGuest, argv: tuple[str, ...]) -> CommandResult:
    match argv:
        case ("env", "DEBIAN_FRONTEND=noninteractive", "dpkg", "--purge", *names):
            return _dpkg_purge(guest, names)
        case ("sh", "-c", command, "sh", *files) if command.endswith('"$@" && rm -f "$@"'):
            for path in files:
                guest.remove(path)
            _write(guest, "/usr/sbin/qemu-ga", b"")
            return CommandResult(status=0, output="")
        case ("apk", "del", "--no-network", *_) | ("pacman", "-R", *_) | ("sh", "-c", *_):
            return _remove_daemon(guest)
        case ("/usr/bin/vmware-uninstall-tools.pl",):
            guest.remove("/etc/vmware-tools/locations")
            return _remove_daemon(guest)
        case _:
            return CommandResult(status=1, output=f"{' '.join(argv)}: refused\n")


def _dpkg_purge(guest: MemoryGuest, names: list[str]) -> CommandResult:
    status = guest.read_text("/var/lib/dpkg/status")
    stanzas = [s for s in status.split("\n\n") if s.split("\n")[0].removeprefix("Package: ") not in names]
    guest.write_bytes("/var/lib/dpkg/status", "\n\n".join(stanzas).encode())
    for path in [path for name in names for path in guest.glob(f"/var/lib/dpkg/info/{name}.list")]:
        for file in _lines(guest, path):
            if file in guest.snapshot() and not isinstance(guest.snapshot()[file], Folder):
                guest.remove(file)
        guest.remove(path)
    return CommandResult(status=0, output=f"Purging {' '.join(names)}\n")


def _remove_daemon(guest: MemoryGuest) -> CommandResult:
    """rpm(8), apk(8) and pacman(8) at their work: the daemon is gone, and so is what their lists say."""
    guest.remove("/usr/bin/vmtoolsd")
    for path in guest.glob("/lib/apk/db/installed"):
        stanzas = [s for s in guest.read_text(path).split("\n\n") if "\nP:open-vm-tools" not in f"\n{s}"]
        guest.write_bytes(path, "\n\n".join(stanzas).encode())
    return CommandResult(status=0, output="")


def _update_initramfs(guest: MemoryGuest, version: str) -> CommandResult:
    listed = [line.split()[0] for line in _lines(guest, "/etc/initramfs-tools/modules") if line.split()]
    names = _all_modules(guest, version) if _policy(guest) == "most" else {*VMWARE_ONLY, *listed}
    baked = {
        path.replace("/etc/initramfs-tools", "conf"): guest.read_bytes(path)
        for path in guest.glob("/etc/initramfs-tools/conf.d/*")
    }
    if guest.exists(CRYPTROOT_HOOK) and guest.exists("/etc/crypttab"):  # of cryptsetup-initramfs
        baked["cryptroot/crypttab"] = guest.read_bytes("/etc/crypttab")
    _write(guest, image_path(version), image(_closed(guest, version, names), baked | _copied(guest)))
    _write(guest, f"/var/lib/initramfs-tools/{version}", b"sum\n")
    return CommandResult(status=0, output=f"update-initramfs: Generating {image_path(version)}\n")


def _dracut(guest: MemoryGuest, path: str, version: str, added: list[str]) -> CommandResult:
    names, omitted, items = {*VMWARE_ONLY, *added}, set(), {}
    for drop_in in ("/etc/dracut.conf", *guest.glob("/etc/dracut.conf.d/*.conf")):
        text = guest.read_text(drop_in) if guest.exists(drop_in) else ""
        for words in re.findall(r'add_drivers\+="([^"]*)"', text):
            names.update(words.split())
        for words in re.findall(r'omit_drivers\+="([^"]*)"', text):
            omitted.update(words.split())
        for words in re.findall(r'install_items\+="([^"]*)"', text):
            items |= {item.lstrip("/"): guest.read_bytes(item) for item in words.split()}
    held = [name for name in _closed(guest, version, names) if name not in omitted]
    _write(guest, path, image(held, items | _copied(guest), compression="gzip"))
    return CommandResult(status=0, output="")


def _mkinitcpio(guest: MemoryGuest, path: str, version: str, options: list[str]) -> CommandResult:
    """mkinitcpio(8): fails over a module there is not; reads drop-ins only without -c."""
    configs = options[1:] or ["/etc/mkinitcpio.conf", *guest.glob("/etc/mkinitcpio.conf.d/*.conf")]
    names = {
        name
        for config in configs
        for line in _lines(guest, config)
        if line.startswith("MODULES=(")
        for name in line[9:].rstrip(")").split()
        if name != "${MODULES[@]}"
    }
    if names - _all_modules(guest, version):
        return CommandResult(status=1, output="==> ERROR: module not found\n")
    _write(guest, path, image(_closed(guest, version, {*VMWARE_ONLY, *names}), compression="zstd"))
    return CommandResult(status=0, output="==> Image generation successful\n")


def _mkinitfs(guest: MemoryGuest, path: str, version: str) -> CommandResult:
    """mkinitfs(1): the modules of each feature, by their files."""
    features: list[str] = []
    for line in _lines(guest, "/etc/mkinitfs/mkinitfs.conf"):
        value = line.removeprefix("features=").strip('"')
        features = (
            [*features, *value.split()[1:]] if value.startswith("$features") else value.split() or features
        )
    patterns = [
        p for name in features for p in _lines(guest, f"/etc/mkinitfs/features.d/{name}.modules") if p
    ]
    held = [
        each
        for each in _lines(guest, f"/lib/modules/{version}/modules.dep")
        if any(fnmatchcase(each.partition(":")[0], pattern) for pattern in patterns)
    ]
    names = set(parse_dependencies("\n".join(held)))
    _write(guest, path, image(_closed(guest, version, names), compression="gzip"))
    return CommandResult(status=0, output=f"==> initramfs: creating {path}\n")


def _mkinitrd(guest: MemoryGuest, path: str, version: str) -> CommandResult:
    """SUSE's mkinitrd(8): fails over a module there is not."""
    names: set[str] = set()
    for words in re.findall(
        r'^INITRD_MODULES="([^"]*)"', "\n".join(_lines(guest, "/etc/sysconfig/kernel")), re.M
    ):
        names = set(words.split())
    if names - _all_modules(guest, version):
        return CommandResult(status=1, output="Cannot determine dependencies of module\n")
    _write(guest, path, image(_closed(guest, version, names), compression="gzip"))
    return CommandResult(status=0, output="")


def _copied(guest: MemoryGuest) -> dict[str, bytes]:
    """Settings of md and LVM, which the tools take over as they are."""
    return {path.lstrip("/"): guest.read_bytes(path) for path in COPIED_SETTINGS if guest.exists(path)}


def _policy(guest: MemoryGuest) -> str:
    policy = "most"
    for path in ("/etc/initramfs-tools/initramfs.conf", *guest.glob("/etc/initramfs-tools/conf.d/*")):
        for line in _lines(guest, path):
            policy = line.removeprefix("MODULES=") if line.startswith("MODULES=") else policy
    return policy


def _lines(guest: MemoryGuest, path: str) -> list[str]:
    text = guest.read_text(path) if guest.exists(path) else ""
    return [line for line in text.split("\n") if not line.startswith("#")]


def _all_modules(guest: MemoryGuest, version: str) -> set[str]:
    return set(parse_dependencies(guest.read_text(f"/lib/modules/{version}/modules.dep")))


def _closed(guest: MemoryGuest, version: str, names: set[str]) -> list[str]:
    dependencies = parse_dependencies(guest.read_text(f"/lib/modules/{version}/modules.dep"))
    return sorted(name for name in with_dependencies(names, dependencies) if name in dependencies)


def _write(guest: MemoryGuest, path: str, content: bytes) -> None:
    guest.make_folder(path.rpartition("/")[0])
    guest.write_bytes(path, content)
