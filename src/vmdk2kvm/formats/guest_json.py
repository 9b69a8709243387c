"""The facts of a guest as values that JSON knows: for `inspect --json` and report.json.

The names of all modules on the guest's disk (thousands for each kernel) stay out; what each
initramfs holds is in.
"""

from typing import Any

from vmdk2kvm.model.guest_os import BootLoader, FileSystem, GuestOs, Initramfs, Kernel, Mount, RaidArray
from vmdk2kvm.model.luks import LuksVolume


def guest_fields(os: GuestOs) -> dict[str, Any]:
    return {
        "family": os.family.value,
        "id": os.id,
        "version": os.version,
        "name": os.name,
        "arch": os.arch,
        "firmware": os.firmware.value,
        "lvm": os.lvm,
        "initramfs_tool": os.initramfs_tool.value if os.initramfs_tool else None,
        "filesystems": [_file_system(one) for one in os.names.filesystems],
        "luks": [_luks(one) for one in os.luks],
        "raids": [_raid(one) for one in os.raids],
        "mounts": [_mount(one) for one in os.mounts],
        "space": [
            {
                "mountpoint": one.mountpoint,
                "free_bytes": one.free_bytes,
                "free_inodes": one.free_inodes,
            }
            for one in os.space
        ],
        "kernels": [_kernel(one) for one in os.kernels],
        "boot_loaders": [_boot_loader(one) for one in os.boot_loaders],
        "fstab": os.fstab,
        "nics": [
            {"mac": one.mac, "name": one.name, "network": one.network, "slot": one.slot} for one in os.nics
        ],
    }


def _file_system(one: FileSystem) -> dict[str, Any]:
    return {
        "device": one.device,
        "type": one.type,
        "size_bytes": one.size_bytes,
        "uuid": one.uuid,
        "label": one.label,
        "partuuid": one.partuuid,
        "partlabel": one.partlabel,
        "disk": one.disk,
        "partition": one.partition,
    }


def _luks(one: LuksVolume) -> dict[str, Any]:
    header = one.header
    return {
        "device": one.device,
        "uuid": header.uuid if header else None,
        "version": header.version if header else None,
        "label": header.label if header else None,
        "memory_kib": header.memory_kib if header else None,
        "tokens": list(header.tokens) if header else [],
        "mapping": one.mapping,
        "error": one.error,
    }


def _raid(one: RaidArray) -> dict[str, Any]:
    return {
        "device": one.device,
        "name": one.name,
        "uuid": one.uuid,
        "level": one.level,
        "member_count": one.member_count,
        "missing_count": one.missing_count,
    }


def _mount(one: Mount) -> dict[str, Any]:
    return {
        "device": one.device,
        "mountpoint": one.mountpoint,
        "type": one.type,
        "options": list(one.options),
    }


def _kernel(one: Kernel) -> dict[str, Any]:
    return {
        "version": one.version,
        "image": one.image,
        "initramfs": _initramfs(one.initramfs) if one.initramfs else None,
    }


def _initramfs(one: Initramfs) -> dict[str, Any]:
    return {
        "path": one.path,
        "size_bytes": one.size_bytes,
        "compression": one.compression,
        "modules": sorted(one.modules),
        "error": one.error,
    }


def _boot_loader(one: BootLoader) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "firmware": one.firmware.value,
        "files": list(one.files),
    }
