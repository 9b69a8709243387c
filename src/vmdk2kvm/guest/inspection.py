"""INSPECT: which operating system a guest holds and how it is put together.

libguestfs' own inspection is not used: it takes mount points from fstab as they stand there, and
names that only VMware gives lead it astray.
"""

from collections.abc import Iterable
from dataclasses import replace

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats import os_release
from vmdk2kvm.formats.boot_files import GENERATOR_PATHS
from vmdk2kvm.formats.machine_code import ELF_HEADER_BYTES, elf_machine
from vmdk2kvm.guest.inspection_boot import (
    boot_partitions,
    detect_firmware,
    esp_mountpoints,
    find_boot_loaders,
)
from vmdk2kvm.guest.inspection_crypt import check_locked, open_with_own_keys, rename_volumes
from vmdk2kvm.guest.inspection_kernels import initramfs_tool, read_kernels
from vmdk2kvm.guest.inspection_mounts import mount_rest, mount_root
from vmdk2kvm.guest.inspection_names import SourceNames, device_names, names_in, names_used
from vmdk2kvm.guest.inspection_raid import raids, read_arrays, with_configured_names
from vmdk2kvm.guest.inspection_roots import find_root
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind, GuestReader, GuestSession
from vmdk2kvm.guest.small_text import FSTAB_LIMIT_BYTES, RELEASE_LIMIT_BYTES, read_small
from vmdk2kvm.guest.unlock import volumes
from vmdk2kvm.model.guest_os import BootLoader, GuestOs, Mount, OsFamily, Space
from vmdk2kvm.model.network import Nic

FSTAB = "/etc/fstab"
_NAMING_FILES = (
    "/etc/crypttab",
    "/etc/crypttab.initramfs",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/initramfs-tools/conf.d/*",
    "/etc/dracut.conf",
    "/etc/dracut.conf.d/*",
    "/boot/grub/device.map",
    "/boot/grub2/device.map",
    "/etc/kdump.conf",
    "/etc/systemd/system/*.mount",
    "/etc/systemd/system/*.swap",
    *GENERATOR_PATHS,
)
_PROGRAMS = ("/bin/sh", "/usr/bin/env", "/sbin/init")
_FAMILIES = {
    "debian": OsFamily.DEBIAN,
    "ubuntu": OsFamily.DEBIAN,
    "rhel": OsFamily.REDHAT,
    "fedora": OsFamily.REDHAT,
    "centos": OsFamily.REDHAT,
    "suse": OsFamily.SUSE,
    "opensuse": OsFamily.SUSE,
    "sles": OsFamily.SUSE,
    "sled": OsFamily.SUSE,
    "arch": OsFamily.ARCH,
    "alpine": OsFamily.ALPINE,
}
# Before os-release, each distribution had a file of its own.
_OLD_FILES = (
    ("/etc/redhat-release", OsFamily.REDHAT, "rhel"),
    ("/etc/SuSE-release", OsFamily.SUSE, "suse"),
    ("/etc/debian_version", OsFamily.DEBIAN, "debian"),
    ("/etc/arch-release", OsFamily.ARCH, "arch"),
    ("/etc/alpine-release", OsFamily.ALPINE, "alpine"),
)


def inspect(session: GuestSession, nics: tuple[Nic, ...] = ()) -> GuestOs:
    """Find the guest's system and mount it whole, read-write, as it mounts itself.

    `nics` are the machine's cards, which no disk tells.

    Raises NoOperatingSystem, GuestRefused, GuestError.
    """
    devices, mounts = mount_whole(session)
    return _read(session, devices, mounts, nics, before=None)


def mount_whole(session: GuestSession) -> tuple[tuple[BlockDevice, ...], tuple[Mount, ...]]:
    """Mount the guest as `inspect` does, and look no further."""
    session.unmount_all()
    devices = session.block_devices()
    root = find_root(session, devices)
    renamed = rename_volumes(session, root.crypt_names, devices)
    if renamed:
        devices = session.block_devices()
        root = replace(root, device=renamed.get(root.device, root.device))
    at_root = mount_root(session, root, devices)
    if open_with_own_keys(session, devices):
        devices = session.block_devices()
    devices = with_configured_names(devices, root.arrays)
    fstab = root.fstab or ""
    names = SourceNames(devices, names_in(fstab), names_used(fstab))
    check_locked(volumes(session, devices), names, fstab)
    return devices, (at_root, *mount_rest(session, names, root))


def inspect_again(session: GuestSession, before: GuestOs) -> GuestOs:
    """The same guest after changes, still mounted; unchanged initramfs images are not opened again."""
    devices = with_configured_names(session.block_devices(), read_arrays(session, ""))
    return _read(session, devices, before.mounts, before.nics, before)


def _read(
    session: GuestSession,
    devices: tuple[BlockDevice, ...],
    mounts: tuple[Mount, ...],
    nics: tuple[Nic, ...],
    before: GuestOs | None,
) -> GuestOs:
    esps = esp_mountpoints(devices, mounts)
    firmware = detect_firmware(session, devices, esps)
    partitions = boot_partitions(devices, mounts)
    loaders = find_boot_loaders(session, firmware, partitions)
    images = [kernel.initramfs for kernel in before.kernels] if before else []
    kernels = read_kernels(session, {image.path: image for image in images if image}, partitions)
    fstab = read_small(session, FSTAB, FSTAB_LIMIT_BYTES)
    family, identity, version, name = _distribution(session)
    return GuestOs(
        family=family,
        id=identity,
        version=version,
        name=name,
        arch=_architecture(session),
        firmware=firmware,
        names=device_names(devices, _naming_texts(session, fstab, loaders)),
        mounts=mounts,
        space=tuple(_space(session, mount.mountpoint) for mount in mounts),
        kernels=kernels,
        boot_loaders=loaders,
        initramfs_tool=initramfs_tool(session, kernels),
        fstab=fstab,
        lvm=any(device.kind is BlockKind.LVM for device in devices),
        nics=nics,
        luks=before.luks if before else volumes(session, devices),
        raids=raids(devices),
    )


def _distribution(guest: GuestReader) -> tuple[OsFamily, str, str, str]:
    """Family, id, version and name, from os-release or the file older systems have."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        text = read_small(guest, path, RELEASE_LIMIT_BYTES)
        if text is not None:
            facts = os_release.parse(text)
            identity = facts.get("ID", "linux")
            name = facts.get("PRETTY_NAME") or facts.get("NAME", identity)
            version = facts.get("VERSION_ID", "")
            return _family(identity, facts.get("ID_LIKE", "")), identity, version, name
    for path, family, identity in _OLD_FILES:
        text = read_small(guest, path, RELEASE_LIMIT_BYTES)
        if text is not None:
            line = text.strip().partition("\n")[0]
            version = next((word for word in line.split() if word[:1].isdigit()), "")
            return family, identity, version, line if line != version else f"{identity} {version}"
    return OsFamily.OTHER_LINUX, "linux", "", "Linux"


def _family(identity: str, like: str) -> OsFamily:
    words = (identity, *like.split())
    known = (_FAMILIES.get(word) or _FAMILIES.get(word.partition("-")[0]) for word in words)
    return next(filter(None, known), OsFamily.OTHER_LINUX)


def _architecture(guest: GuestReader) -> str:
    for path in _PROGRAMS:
        try:
            with guest.open(path) as stream:
                machine = elf_machine(stream.read(ELF_HEADER_BYTES))
        except (FileNotFoundError, GuestError):
            continue
        if machine:
            return machine
    return "unknown"


def _naming_texts(guest: GuestReader, fstab: str | None, loaders: Iterable[BootLoader]) -> tuple[str, ...]:
    """Everything that may name a device of the source machine."""
    paths = [path for pattern in _NAMING_FILES for path in guest.glob(pattern)]
    paths += [path for loader in loaders for path in loader.files]
    return (fstab or "", *filter(None, (read_small(guest, path) for path in paths)))


def _space(session: GuestSession, mountpoint: str) -> Space:
    room = session.room(mountpoint)
    return Space(mountpoint=mountpoint, free_bytes=room.free_bytes, free_inodes=room.free_inodes)
