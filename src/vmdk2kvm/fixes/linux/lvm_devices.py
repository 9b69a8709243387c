"""LVM looks at the disks the machine has on KVM, and not only at VMware's (lvmdevices(8), lvm.conf(5)).

/etc/lvm/devices/system.devices knows disks by serial numbers that change, and hides every other one: it
is taken away, a copy kept; `vgimportdevices --all` makes a new one on KVM. Filters in lvm.conf that take
/dev/sd… alone get a twin for /dev/vd…. The cache of device names that LVM kept up to RHEL 6 goes. An
initramfs with the old files is built anew.
"""

import re
from collections.abc import Iterator

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text, read_linked_text, with_text
from vmdk2kvm.fixes.stable_names import bounded
from vmdk2kvm.fixes.storage_settings import (
    LIMIT_BYTES,
    LVM_CONFIGURATIONS,
    LVM_DEVICES,
    hides_volumes,
    physical_volumes,
    with_virtio_names,
)
from vmdk2kvm.formats import lvm_filter
from vmdk2kvm.formats.device_names import is_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import RemoveFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, FileSystem, GuestOs
from vmdk2kvm.model.report import Finding, Level

_CACHE = "/etc/lvm/cache/.cache"
_QUOTED = re.compile(r'"([^"\n]{1,255})"')


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    listed = read_guest_text(guest, LVM_DEVICES)
    if isinstance(listed, Finding):
        yield listed
    elif listed is not None and hides_volumes(os, listed.text):
        yield RemoveFile(path=LVM_DEVICES, before=listed.before)
    cached = read_guest_text(guest, _CACHE)
    if isinstance(cached, Finding):
        yield cached
    elif cached is not None and any(map(is_hostile, _QUOTED.findall(cached.text))):
        yield RemoveFile(path=_CACHE, before=cached.before)
    for path in LVM_CONFIGURATIONS if physical_volumes(os) else ():
        file = read_linked_text(guest, path, limit_bytes=LIMIT_BYTES)
        if isinstance(file, GuestText):
            yield from _loosened(os, file)
        elif file is not None:
            yield file


LVM_DEVICES_FIX = Fix(
    name="lvm-devices",
    reason="LVM hides volume groups on disks whose serial number or name it was not told",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _loosened(os: GuestOs, file: GuestText) -> Planned:
    after = with_virtio_names(os, file.text)
    if after != file.text:
        yield with_text(file, after)
    yield from bounded(_problems(os, file.path, after), file.path)


def _problems(os: GuestOs, path: str, text: str) -> Iterator[Finding]:
    for each in lvm_filter.filters(text):
        if not each.is_understood:
            yield _not_understood(path, each.name)
            continue
        for volume in physical_volumes(os):
            if not each.accepts(_names_on_kvm(volume)):
                yield _rejects(path, each.name, volume)


def _names_on_kvm(volume: FileSystem) -> list[str]:
    """What udev calls a volume on a virtio disk; the place in by-path stands for any."""
    part = f"-part{volume.partition}" if volume.partition else ""
    names = [lvm_filter.virtio_name(volume.device), f"/dev/disk/by-path/pci-0000:04:00.0{part}"]
    names += [f"/dev/disk/by-id/lvm-pv-uuid-{volume.uuid}"] if volume.uuid else []
    return names + ([f"/dev/disk/by-partuuid/{volume.partuuid}"] if volume.partuuid else [])


def _rejects(path: str, name: str, volume: FileSystem) -> Finding:
    return Finding(
        id="lvm-filter-rejects-disk",
        level=Level.ERROR,
        message=visible(
            f'{name} in "{path}" rejects the volume "{volume.uuid or volume.device}" under every name that it'
            " has on KVM."
        ),
        remedy=f'put "a|^{lvm_filter.virtio_name(volume.device)}$|" before the element that rejects it, and '
        "rebuild the initramfs.",
    )


def _not_understood(path: str, name: str) -> Finding:
    return Finding(
        id="lvm-filter-not-understood",
        level=Level.WARNING,
        message=visible(f'{name} in "{path}" holds an expression that was not followed; it stays as it is.'),
        remedy="see that it takes /dev/vd* in the guest; else its volume groups are missing on KVM.",
    )
