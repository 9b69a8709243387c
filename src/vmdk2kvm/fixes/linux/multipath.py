"""multipath.conf knows disks by WWIDs that VMware gave them, and KVM gives others (multipath.conf(5)).

Reported, never changed: which disk such a WWID meant stands on no disk. A disk of KVM has one path and
needs no multipath.
"""

from collections.abc import Iterator

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import read_linked_text
from vmdk2kvm.fixes.stable_names import bounded
from vmdk2kvm.formats import fstab, multipath_conf
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.multipath_conf import Wwid
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Finding, Level

_PATHS = ("/etc/multipath.conf", "/etc/multipath/conf.d/*.conf")
_MAPPER = "/dev/mapper/"


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    for path in (path for pattern in _PATHS for path in guest.glob(pattern)):
        file = read_linked_text(guest, path)
        if isinstance(file, Finding):
            yield file
        elif file is not None:
            yield from bounded(_findings(os, file.path, file.text), file.path)


MULTIPATH_FIX = Fix(
    name="multipath-wwids",
    reason="a WWID that VMware gave a disk names no disk on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _findings(os: GuestOs, path: str, text: str) -> Iterator[Finding]:
    for wwid in multipath_conf.wwids(text):
        if wwid.is_of_vmware:
            yield _finding(path, wwid, used=_uses(os, wwid.alias))


def _uses(os: GuestOs, alias: str | None) -> str | None:
    """What /etc/fstab mounts by that name."""
    if not alias:
        return None
    named = (each.spec for each in fstab.entries(os.fstab or "") if each.spec.startswith(_MAPPER + alias))
    return next(named, None)


def _finding(path: str, wwid: Wwid, *, used: str | None) -> Finding:
    wanted = f', and /etc/fstab mounts "{used}"' if used else ""
    return Finding(
        id="multipath-vmware-wwid",
        level=Level.ERROR if used else Level.INFO,
        message=visible(
            f'"{path}" names the WWID "{wwid.value}" ({wwid.section}), which no disk has on KVM{wanted}.'
        ),
        remedy="name what is on the disk by its UUID= in /etc/fstab, and take the WWID out; multipathd can be"
        " switched off on KVM.",
    )
