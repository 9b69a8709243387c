"""GRUB's device.map ties hd0 to a device name; a stale one misleads grub-install.

Without the file GRUB finds the disks by itself (GRUB manual, "Device map"). Where SUSE keeps the disk that
each update installs GRUB to, no name is sure to mean the same disk on KVM, so that is reported.
"""

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text
from vmdk2kvm.fixes.stable_names import bounded
from vmdk2kvm.formats.device_names import is_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import RemoveFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Finding, Level

DEVICE_MAPS = ("/boot/grub/device.map", "/boot/grub2/device.map")
_INSTALL_DEVICE = "/etc/default/grub_installdevice"  # perl-Bootloader, "/etc/default/grub_installdevice"


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    del os  # the file is stale whatever the system
    for path in DEVICE_MAPS:
        file = read_guest_text(guest, path)
        if not isinstance(file, GuestText):
            yield from (file,) if file else ()
        elif any(is_hostile(word) for word in file.text.split()):
            yield RemoveFile(path=path, before=file.before)
    yield from _install_device(guest)


DEVICE_MAP_FIX = Fix(
    name="grub-device-map",
    reason="a device.map of VMware's disks misleads grub-install on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _install_device(guest: GuestReader) -> Planned:
    file = read_guest_text(guest, _INSTALL_DEVICE)
    if not isinstance(file, GuestText):
        yield from (file,) if file else ()
        return
    names = dict.fromkeys(word for word in file.text.split() if is_hostile(word))
    yield from bounded((_finding(name) for name in names), _INSTALL_DEVICE)


def _finding(name: str) -> Finding:
    return Finding(
        id="grub-install-device",
        level=Level.WARNING,
        message=visible(
            f'"{_INSTALL_DEVICE}" has updates install GRUB to "{name}", which KVM calls otherwise.'
        ),
        remedy="after the move, write the disk's new name there and run `update-bootloader --reinit`.",
    )
