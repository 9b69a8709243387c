"""mdadm.conf lets md look for its arrays on every disk, whatever it is called (mdadm.conf(5)).

DEVICE lines with VMware's names become `DEVICE partitions`. ARRAY lines keep the array's own identity
and lose the list of its members.
"""

from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.fixes.guest_text import GuestText, read_linked_text, with_text
from vmdk2kvm.fixes.stable_names import bounded
from vmdk2kvm.fixes.storage_settings import LIMIT_BYTES, MDADM_CONFIGURATIONS, with_all_devices
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.mdadm_conf import Array
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Finding, Level


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    seen: set[str] = set()
    for path in MDADM_CONFIGURATIONS:
        file = read_linked_text(guest, path, limit_bytes=LIMIT_BYTES)
        if isinstance(file, Finding):
            yield file
        elif isinstance(file, GuestText) and file.path not in seen:
            seen.add(file.path)
            after, left = with_all_devices(os, file.text)
            if after != file.text:
                yield with_text(file, after)
            yield from bounded((_no_identity(file.path, array) for array in left), file.path)


MDADM_CONF_FIX = Fix(
    name="mdadm-conf",
    reason="an array that mdadm.conf looks for on VMware's disk names is not assembled on KVM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


def _no_identity(path: str, array: Array) -> Finding:
    name = array.names[0] if array.names else "an array"
    return Finding(
        id="mdadm-array-without-identity",
        level=Level.ERROR,
        message=visible(
            f'"{path}" knows "{name}" by nothing but its members {", ".join(array.members)},'
            " and what they are on KVM is not certain."
        ),
        remedy="replace devices=… there by the array's UUID=, which `mdadm --detail --scan` prints.",
    )
