"""The block devices of an appliance, read from sysfs and blkid(8) in one go.

The kernel names disks in the order it finds them, which changes from launch to launch; the SCSI
target of a disk is its place in the order given at launch. Names shown to the rest of the product
are made of that: "/dev/sda1" is the first partition of the first disk, whatever it is called inside.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace

from vmdk2kvm.formats.mdadm_conf import identity_of
from vmdk2kvm.guest.protocol import TEXT_ENCODING, TEXT_ERRORS, BlockDevice, BlockKind
from vmdk2kvm.model.guest_os import RaidArray

SECTOR_BYTES = 512  # sysfs counts in these, whatever the disk's own sectors

# Mostly the shell's own commands: starting a program costs 10 to 20 ms under emulation.
SCRIPT = r"""
at() { (cd -P "$1" && pwd -P); }
mkdir -p /run/vmdk2kvm
# The appliance starts arrays that lack a member after it looked for volume groups.
for state in /sys/block/md*/md/degraded; do
    [ -e "$state" ] && read -r value <"$state" && [ "$value" != 0 ] && lacking=1
done
if [ -n "$lacking" ] && [ ! -e /run/vmdk2kvm/activated ]; then
    LVM_SYSTEM_DIR=/tmp/lvm lvm vgchange --activate y --sysinit >/dev/null 2>&1
    udevadm settle
    : >/run/vmdk2kvm/activated
fi
for path in /sys/class/block/*; do
    name=${path##*/}
    case $name in ram*|loop*|sr*|fd*|zram*|nbd*) continue;; esac
    echo "@$name"
    read -r value <"$path/size" && echo "size=$value"
    place=$(at "$path"); above=${place%/*}; echo "parent=${above##*/}"
    [ -e "$path/partition" ] && read -r value <"$path/partition" && echo "partition=$value"
    [ -d "$path/device" ] && value=$(at "$path/device") && echo "scsi=${value##*/}"
    if [ -d "$path/dm" ]; then
        read -r value <"$path/dm/name" && echo "dm_name=$value"
        read -r value <"$path/dm/uuid" && echo "dm_uuid=$value"
    elif [ -d "$path/md" ]; then
        for fact in level raid_disks degraded metadata_version; do
            [ -e "$path/md/$fact" ] && read -r value <"$path/md/$fact" && echo "md_$fact=$value"
        done
        for member in "$path"/slaves/*; do
            [ -e "$member" ] && echo "md_member=${member##*/}"
        done
        case $value in 0.*)
            value=$(mdadm --examine "/dev/${member##*/}" 2>/dev/null | sed -n 's/.*Preferred Minor : //p')
            echo "md_minor=$value";;
        esac
        # the guest does that itself; here it would only fill the overlay
        [ -e "$path/md/sync_action" ] && echo frozen >"$path/md/sync_action"
    elif [ "${above##*/}" = block ]; then
        echo "boot_code="$(od -An -v -tx1 -N440 "/dev/$name")
    fi
    names="$names /dev/$name"
done
# one by one: given several, blkid stops at the first that holds nothing it knows
for name in $names; do blkid -p -o export "$name" 2>/dev/null; echo; done
true
"""

_ESCAPE = re.compile(rb"\\(?:x([0-9a-f]{2})|(.))")
_LUKS_UUID = re.compile(
    r"CRYPT-LUKS[12]-([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})-.*"
)
_LVM_UUID = re.compile(r"LVM-[0-9A-Za-z]{64}")  # with a suffix it is LVM's own ("-real", "_tmeta")
Facts = Mapping[str, str]


def disk_name(index: int) -> str:
    """0 → "/dev/sda", 26 → "/dev/sdaa": what Linux calls the disk of that place."""
    letters = ""
    index += 1
    while index:
        index, rest = divmod(index - 1, 26)
        letters = chr(ord("a") + rest) + letters
    return f"/dev/sd{letters}"


def parse(text: str, disk_count: int) -> dict[str, BlockDevice]:
    """The guest's devices by their name inside the appliance, disks in order of their place.

    The appliance's own disk comes after the guest's and is left out.
    """
    kernel, _, blkid = text.partition("\nDEVNAME=")
    facts = {name: pairs for name, pairs in _sections(kernel.removeprefix("@"), "\n@")}
    for path, pairs in _sections(blkid, "\nDEVNAME="):
        facts.get(path.removeprefix("/dev/"), {}).update(pairs)
    found = {name: _device(name, facts, disk_count) for name in facts}
    known = _with_own_names((f"/dev/{name}", device) for name, device in found.items() if device is not None)
    return dict(sorted(known.items(), key=lambda item: _order(item[1])))


def _sections(text: str, separator: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Each section's first line, and its other lines as `key=value`."""
    for section in text.split(separator):
        name, _, lines = section.partition("\n")
        pairs = (line.partition("=") for line in lines.split("\n"))
        yield name, {key: value for key, equals, value in pairs if equals}


def _order(device: BlockDevice) -> tuple[int, int, str]:
    last = 1 << 30
    return (
        last if device.disk is None else device.disk,
        -1 if device.partition is None else device.partition,
        device.device,
    )


def _device(name: str, all_facts: Mapping[str, Facts], disk_count: int) -> BlockDevice | None:
    facts = all_facts[name]
    if "dm_name" in facts:
        return _mapped(facts)
    if name.startswith("md"):
        return _raid(name, all_facts, disk_count)
    partition = int(facts["partition"]) if "partition" in facts else None
    disk = _scsi_target(all_facts.get(facts["parent"], {}) if partition else facts)
    if disk is None or disk >= disk_count:
        return None
    return _made(
        facts,
        device=f"{disk_name(disk)}{partition or ''}",
        kind=BlockKind.PARTITION if partition else BlockKind.DISK,
        disk=disk,
        partition=partition,
    )


def _scsi_target(facts: Facts) -> int | None:
    """`2:0:5:0` is host, channel, target, unit."""
    match = re.fullmatch(r"\d+:\d+:(\d+):\d+", facts.get("scsi", ""))
    return int(match[1]) if match else None


def _mapped(facts: Facts) -> BlockDevice | None:
    uuid = facts.get("dm_uuid", "")
    path = f"/dev/mapper/{facts['dm_name']}"
    if luks := _LUKS_UUID.fullmatch(uuid):
        return _made(facts, device=path, kind=BlockKind.CRYPT, luks_uuid="-".join(luks.groups()))
    if not uuid.startswith("LVM-"):
        return _made(facts, device=path, kind=BlockKind.OTHER)
    if not _LVM_UUID.fullmatch(uuid):
        return None
    group, _, volume = facts["dm_name"].replace("--", "\0").partition("-")
    names = f"/dev/{group}/{volume}".replace("\0", "-")
    return _made(facts, device=names, kind=BlockKind.LVM, aliases=(path,))


def _raid(name: str, all_facts: Mapping[str, Facts], disk_count: int) -> BlockDevice | None:
    """An array, or a partition of one, under the names that the guest's own udev gives it.

    One of other disks is left out. The number the appliance counted down to means nothing to the guest.
    """
    facts = all_facts[name]
    array = facts["parent"] if "partition" in facts else name
    of_array = all_facts.get(array, {})
    member = of_array.get("md_member", "")
    if member in all_facts and _device(member, all_facts, disk_count) is None:
        return None
    raid = _raid_array(of_array, all_facts.get(member, {}))
    names = _raid_names(raid, of_array.get("md_minor"), facts.get("partition"))
    return _made(
        facts,
        device=f"/dev/{name}",
        kind=BlockKind.MD,
        aliases=names,
        raid=None if "partition" in facts else raid,
    )


def _raid_array(facts: Facts, member: Facts) -> RaidArray:
    return RaidArray(
        uuid=member.get("UUID"),
        name=_decoded(member.get("LABEL")),
        level=facts.get("md_level", ""),
        member_count=_number(facts.get("md_raid_disks")),
        missing_count=_number(facts.get("md_degraded")),
    )


def _raid_names(raid: RaidArray, minor: str | None, partition: str | None) -> tuple[str, ...]:
    """udev's 63-md-raid-arrays.rules: the name in the superblock, with and without its host."""
    short = (raid.name or "").rpartition(":")[2] or minor or ""
    names = [f"/dev/md{short}"] if short.isdigit() else []
    names += [f"/dev/md/{each}" for each in (short, raid.name) if each]
    names = [_of_partition(name, partition) for name in names]
    linked = [f"md-name-{raid.name}"] if raid.name else []
    linked += [f"md-uuid-{identity_of(raid.uuid)}"] if raid.uuid else []
    suffix = f"-part{partition}" if partition else ""
    return tuple(dict.fromkeys((*names, *(f"/dev/disk/by-id/{each}{suffix}" for each in linked))))


def _of_partition(name: str, partition: str | None) -> str:
    if partition is None:
        return name
    return f"{name}p{partition}" if name[-1].isdigit() else f"{name}{partition}"


def _number(value: str | None) -> int:
    return int(value) if value and value.isdigit() else 0


def _with_own_names(devices: Iterable[tuple[str, BlockDevice]]) -> dict[str, BlockDevice]:
    """Arrays under the first of their names that nothing else answers to."""
    found = dict(devices)
    answering = Counter(name for device in found.values() for name in device.aliases)
    answering.update(device.device for device in found.values() if device.kind is not BlockKind.MD)
    for path, device in found.items():
        if device.kind is BlockKind.MD:
            names = tuple(name for name in device.aliases if answering[name] == 1)
            spare = device.device if device.device not in answering else f"{device.device}@appliance"
            found[path] = replace(device, device=names[0] if names else spare, aliases=names[1:])
    return found


def _made(
    facts: Facts,
    *,
    device: str,
    kind: BlockKind,
    aliases: tuple[str, ...] = (),
    disk: int | None = None,
    partition: int | None = None,
    luks_uuid: str | None = None,
    raid: RaidArray | None = None,
) -> BlockDevice:
    return BlockDevice(
        device=device,
        kind=kind,
        size_bytes=int(facts.get("size", 0)) * SECTOR_BYTES,
        aliases=aliases,
        content=facts.get("TYPE"),
        uuid=_decoded(facts.get("UUID")),
        label=_decoded(facts.get("LABEL")),
        partuuid=facts.get("PART_ENTRY_UUID"),
        partlabel=_decoded(facts.get("PART_ENTRY_NAME")),
        part_type=facts.get("PART_ENTRY_TYPE", "").lower() or None,
        table=facts.get("PTTYPE") if kind is BlockKind.DISK else None,
        boot_code=bytes.fromhex(facts.get("boot_code", "")) if kind is BlockKind.DISK else b"",
        disk=disk,
        partition=partition,
        luks_uuid=luks_uuid,
        raid=raid,
    )


def _decoded(value: str | None) -> str | None:
    """blkid writes unsafe characters as `\\x0a` or with a backslash before them."""
    if value is None:
        return None
    raw = value.encode(TEXT_ENCODING, TEXT_ERRORS)
    raw = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], raw)
    return raw.decode(TEXT_ENCODING, TEXT_ERRORS)
