"""Names of block devices: which a move from VMware to KVM breaks, and which it does not.

The kernel numbers disks by driver and order of discovery (/dev/sda becomes /dev/vda), udev's
by-path names hold the PCI slot, its by-id names the serial of VMware's disk. What is written in
the file system or the partition table moves along (udev's 60-persistent-storage.rules).
"""

import re
from fnmatch import translate
from itertools import product
from string import ascii_lowercase, digits

from vmdk2kvm.model.guest_os import FileSystem

BY_PATH = "/dev/disk/by-path/"
_HOSTILE = (
    r"/dev/(?:(?:s|h|v|xv)d[a-z]+[0-9]*|nvme\S*|cciss/\S+|disk/by-path/\S+"
    r"|disk/by-id/(?:scsi-36000c29|wwn-|ata-VMware|nvme-VMware|scsi-[0-9S]VMware)\S*)"
)
_HOSTILE_NAME = re.compile(_HOSTILE)
_STARTS_HOSTILE = re.compile(rf"{_HOSTILE}(?![^:,])")
_LONGEST_PATTERN = 256
_BY_PLACE = re.compile(r"/dev/(?:disk/by-(?:path|id)/|nvme|cciss/)")
_WILDCARDS = re.compile(r"[*?[]")
_OLD = ("sd", "hd", "xvd")
_DIGITS = re.compile(r"[0-9]{1,4}")
_MOST_NUMBERS = 16
_PLAIN = re.compile(r"[A-Za-z0-9_=./:@%+-]+")
_FOLDERS = {"UUID": "by-uuid", "PARTUUID": "by-partuuid", "LABEL": "by-label", "PARTLABEL": "by-partlabel"}
_SHARED_UUID = frozenset({"btrfs"})  # all devices of one file system carry its UUID and label


def is_hostile(name: str) -> bool:
    """Whether the device called `name` may be called otherwise, or be another one, on KVM."""
    return _HOSTILE_NAME.fullmatch(name) is not None


def starts_hostile(value: str) -> bool:
    """Whether `value` is a hostile name or begins with one ("/dev/sda3:cryptroot")."""
    return _STARTS_HOSTILE.match(value) is not None


def loses_disks(pattern: str) -> bool:
    """Whether a name or a shell pattern means disks by names that they may not have on KVM."""
    if is_hostile(pattern):
        return True
    if not pattern.startswith("/dev/") or not _WILDCARDS.search(pattern) or len(pattern) > _LONGEST_PATTERN:
        return False
    if _BY_PLACE.match(pattern):
        return True
    stem = _WILDCARDS.split(pattern)[0]
    if not any(f"/dev/{old}".startswith(stem[: len(old) + 5]) for old in _OLD):
        return False
    fits = re.compile(translate(pattern)).match
    numbers = {"", "1", "2", *pattern, *_DIGITS.findall(pattern)} - (set(pattern) - set(digits))
    samples = product(_OLD, ascii_lowercase, sorted(numbers)[:_MOST_NUMBERS])
    return any(fits(f"/dev/{old}{x}{n}") and not fits(f"/dev/vd{x}{n}") for old, x, n in samples)


def is_plain(name: str) -> bool:
    """Whether `name` means the same in every language: nothing to quote, escape or expand."""
    return _PLAIN.fullmatch(name) is not None


def stable_names(filesystem: FileSystem, all_filesystems: tuple[FileSystem, ...]) -> tuple[str, ...]:
    """`UUID=…`, `PARTUUID=…`, `LABEL=…`, `PARTLABEL=…`, best first.

    Leaves out what the file system lacks and what another one shares (a cloned disk): such a name
    could mean either.
    """
    shared = filesystem.type in _SHARED_UUID
    others = [each for each in all_filesystems if each.device != filesystem.device]
    strangers = [each for each in others if not (shared and _same_filesystem(each, filesystem))]
    found = (
        ("UUID", filesystem.uuid, [each.uuid for each in strangers]),
        ("PARTUUID", filesystem.partuuid, [each.partuuid for each in others]),
        ("LABEL", filesystem.label, [each.label for each in strangers]),
        ("PARTLABEL", filesystem.partlabel, [each.partlabel for each in others]),
    )
    return tuple(f"{tag}={value}" for tag, value, taken in found if value and value not in taken)


def link_path(stable_name: str) -> str:
    """`UUID=x` → "/dev/disk/by-uuid/x", for places that take only a path. `stable_name` must be plain."""
    tag, _, value = stable_name.partition("=")
    return f"/dev/disk/{_FOLDERS[tag]}/{value}"


def _same_filesystem(one: FileSystem, other: FileSystem) -> bool:
    return one.uuid is not None and (one.type, one.uuid) == (other.type, other.uuid)
