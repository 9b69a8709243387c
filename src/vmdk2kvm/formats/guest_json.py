"""The facts of a guest as values that JSON knows: for `inspect --json` and report.json.

Guest text keeps its bytes that are not UTF-8 as `\\xNN`. The names of all modules on the guest's
disk (thousands for each kernel) stay out; what each initramfs holds is in.
"""

from typing import Any

from vmdk2kvm.model.guest_os import BootLoader, FileSystem, GuestOs, Initramfs, Kernel, Mount


def guest_fields(os: GuestOs) -> dict[str, Any]:
    return {
        "family": os.family.value,
        "id": clean(os.id),
        "version": clean(os.version),
        "name": clean(os.name),
        "arch": clean(os.arch),
        "firmware": os.firmware.value,
        "lvm": os.lvm,
        "initramfs_tool": os.initramfs_tool.value if os.initramfs_tool else None,
        "filesystems": [_file_system(one) for one in os.names.filesystems],
        "mounts": [_mount(one) for one in os.mounts],
        "space": [
            {
                "mountpoint": clean(one.mountpoint),
                "free_bytes": one.free_bytes,
                "free_inodes": one.free_inodes,
            }
            for one in os.space
        ],
        "kernels": [_kernel(one) for one in os.kernels],
        "boot_loaders": [_boot_loader(one) for one in os.boot_loaders],
        "fstab": clean(os.fstab),
    }


def _file_system(one: FileSystem) -> dict[str, Any]:
    return {
        "device": clean(one.device),
        "type": clean(one.type),
        "size_bytes": one.size_bytes,
        "uuid": clean(one.uuid),
        "label": clean(one.label),
        "partuuid": clean(one.partuuid),
        "partlabel": clean(one.partlabel),
        "disk": one.disk,
        "partition": one.partition,
    }


def _mount(one: Mount) -> dict[str, Any]:
    return {
        "device": clean(one.device),
        "mountpoint": clean(one.mountpoint),
        "type": clean(one.type),
        "options": [clean(option) for option in one.options],
    }


def _kernel(one: Kernel) -> dict[str, Any]:
    return {
        "version": clean(one.version),
        "image": clean(one.image),
        "initramfs": _initramfs(one.initramfs) if one.initramfs else None,
    }


def _initramfs(one: Initramfs) -> dict[str, Any]:
    return {
        "path": clean(one.path),
        "size_bytes": one.size_bytes,
        "compression": one.compression,
        "modules": sorted(clean(name) or "" for name in one.modules),
        "error": clean(one.error),
    }


def _boot_loader(one: BootLoader) -> dict[str, Any]:
    return {
        "kind": one.kind.value,
        "firmware": one.firmware.value,
        "files": [clean(path) for path in one.files],
    }


def clean(text: str | None) -> str | None:
    """`text` without lone surrogates, which are no JSON text for most readers."""
    if text is None:
        return None
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
