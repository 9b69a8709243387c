"""LVM's list of the devices it may use (lvmdevices(8)): /etc/lvm/devices/system.devices.

A line describes one physical volume: IDTYPE and IDNAME say how its device is recognised, PVID is its own
UUID without dashes. With such a file LVM uses nothing else; without one it uses every device.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

_PAIR = re.compile(r"([A-Z_]+)=(\S+)")

# Each is a property of the disk the volume lies on, which a new machine does not hand down.
_OF_THE_DISK = frozenset(
    {
        *("sys_wwid", "sys_serial", "scsi_wwid", "devname"),
        *("wwid_naa", "wwid_eui", "wwid_t10", "wwid_nvme"),
    }
)
_UNKNOWN = "."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """`pv_uuid` is without dashes, None where it is not known; `device` is a name it had."""

    id_type: str
    id_name: str
    device: str | None
    pv_uuid: str | None

    @property
    def is_of_the_disk(self) -> bool:
        return self.id_type in _OF_THE_DISK


def entries(text: str) -> Iterator[Entry]:
    """Every line that describes a device; comments and the file's own version are passed over."""
    for line in text.split("\n"):
        pairs = dict(_PAIR.findall(line)) if line.startswith("IDTYPE=") else {}
        if pairs:
            yield Entry(
                id_type=pairs["IDTYPE"],
                id_name=pairs.get("IDNAME", ""),
                device=_known(pairs.get("DEVNAME")),
                pv_uuid=_known(pairs.get("PVID")),
            )


def pv_id(uuid: str) -> str:
    """A physical volume's UUID as blkid gives it, in the form of this file."""
    return uuid.replace("-", "")


def _known(value: str | None) -> str | None:
    return None if value in (None, _UNKNOWN) else value
