"""GRUB's device.map ties hd0 to a device name; a stale one misleads grub-install.

Without the file GRUB finds the disks by itself (GRUB manual, "Device map").
"""

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text
from vmdk2kvm.formats.device_names import is_hostile
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import RemoveFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs

DEVICE_MAPS = ("/boot/grub/device.map", "/boot/grub2/device.map")


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    del os  # the file is stale whatever the system
    for path in DEVICE_MAPS:
        file = read_guest_text(guest, path)
        if not isinstance(file, GuestText):
            yield from (file,) if file else ()
        elif any(is_hostile(word) for word in file.text.split()):
            yield RemoveFile(path=path, before=file.before)


DEVICE_MAP_FIX = Fix(
    name="grub-device-map",
    reason="a device.map of VMware's disks misleads grub-install on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)
