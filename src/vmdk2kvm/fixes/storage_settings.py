"""Which settings of md and LVM would keep a guest from its own disks on KVM, and what takes their place.

The tools for initramfs images copy these files as they are: an image with a copy that would do harm is
built anew once the file itself is right.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial

from vmdk2kvm.formats import lvm_devices, lvm_filter, mdadm_conf
from vmdk2kvm.formats.device_names import is_hostile, loses_disks
from vmdk2kvm.formats.mdadm_conf import Array
from vmdk2kvm.guest.protocol import TEXT_ENCODING, TEXT_ERRORS, GuestReader
from vmdk2kvm.guest.small_text import read_small
from vmdk2kvm.model.guest_os import FileSystem, GuestOs, Initramfs
from vmdk2kvm.model.units import KIB

LVM_DEVICES = "/etc/lvm/devices/system.devices"
LVM_CONFIGURATIONS = ("/etc/lvm/lvm.conf", "/etc/lvm/lvmlocal.conf")
MDADM_CONFIGURATIONS = ("/etc/mdadm.conf", "/etc/mdadm/mdadm.conf")
LIMIT_BYTES = 256 * KIB  # the lvm.conf of RHEL 9, mostly comments, has 110

_RAID_MODULES = {
    **{level: "raid456" for level in ("raid4", "raid5", "raid6")},
    **{level: level for level in ("raid0", "raid1", "raid10", "linear")},
}
_MEMBER = "linux_raid_member"
_VOLUME = "LVM2_member"
_VMWARE_IDS = ("naa.6000c29", "6000c29", "t10.ATA_____VMware", "t10.ATA     VMware", "nvme.15ad-")


def with_all_devices(os: GuestOs, text: str) -> tuple[str, tuple[Array, ...]]:
    """mdadm.conf without names that KVM does not know, and the arrays that have no other identity."""
    return mdadm_conf.edit(text, cache(loses_disks), partial(_array_of, os))


def physical_volumes(os: GuestOs) -> tuple[FileSystem, ...]:
    """LVM's volumes that lie on a disk itself: of those the kernel's names change."""
    return tuple(each for each in os.names.filesystems if each.type == _VOLUME and each.disk is not None)


def with_virtio_names(os: GuestOs, text: str) -> str:
    """lvm.conf whose filters take the guest's volumes on virtio disks where they took them before."""
    return lvm_filter.with_virtio_names(text, [volume.device for volume in physical_volumes(os)])


def hides_volumes(os: GuestOs, text: str) -> bool:
    """Whether LVM's list of devices knows a volume of this guest by a disk that stays behind."""
    here = {lvm_devices.pv_id(volume.uuid) for volume in physical_volumes(os) if volume.uuid}
    return any(
        entry.is_of_the_disk and (entry.pv_uuid in here or _is_vmwares(entry))
        for entry in lvm_devices.entries(text)
    )


def modules_below(os: GuestOs) -> frozenset[str]:
    """The kernel's modules for what the guest's file systems lie on."""
    arrays = {_RAID_MODULES[array.level] for array in os.raids if array.level in _RAID_MODULES}
    return frozenset(arrays) | (frozenset({"dm_mod"}) if os.lvm else frozenset())


def holds_stale_settings(guest: GuestReader, os: GuestOs, image: Initramfs) -> bool:
    """Whether a new image would hold a right copy of a setting where this one holds a wrong one."""
    files = dict(image.files)
    listed = LVM_DEVICES.lstrip("/") in files
    if listed and not guest.exists(LVM_DEVICES):  # the image hides what the system itself does not
        return True
    return any(
        copy.would_harm(os, files.get(copy.in_image, b"").decode(TEXT_ENCODING, TEXT_ERRORS))
        and not copy.would_harm(os, _text(guest, copy.path))
        for copy in _COPIES
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Copy:
    path: str
    would_harm: Callable[[GuestOs, str], bool]

    @property
    def in_image(self) -> str:
        return self.path.lstrip("/")


def _scans_in_vain(os: GuestOs, text: str) -> bool:
    return with_all_devices(os, text)[0] != text


def _filters_out(os: GuestOs, text: str) -> bool:
    return with_virtio_names(os, text) != text


_COPIES = (
    *(_Copy(path=path, would_harm=_scans_in_vain) for path in MDADM_CONFIGURATIONS),
    *(_Copy(path=path, would_harm=_filters_out) for path in LVM_CONFIGURATIONS),
    _Copy(path=LVM_DEVICES, would_harm=hides_volumes),
)
COPIED = frozenset(copy.in_image for copy in _COPIES)


def _array_of(os: GuestOs, members: tuple[str, ...]) -> str | None:
    """mdadm's UUID of the array that all of `members` belong to; None where that is not certain."""
    found = [os.names.resolve(member) for member in members]
    uuids = {each.uuid if each and each.type == _MEMBER else None for each in found}
    uuid = uuids.pop() if len(uuids) == 1 else None
    return mdadm_conf.identity_of(uuid) if uuid else None


def _is_vmwares(entry: lvm_devices.Entry) -> bool:
    if entry.pv_uuid is not None:
        return False  # a volume that is not here
    return entry.id_name.startswith(_VMWARE_IDS) or is_hostile(entry.device or "")


def _text(guest: GuestReader, path: str) -> str:
    return read_small(guest, path, LIMIT_BYTES) or ""
