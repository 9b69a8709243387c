"""The block devices of an appliance, read from sysfs and blkid(8) in one go.

The kernel names disks in the order it finds them, which changes from launch to launch; the SCSI
target of a disk is its place in the order given at launch. Names shown to the rest of the product
are made of that: "/dev/sda1" is the first partition of the first disk, whatever it is called inside.
"""

import re
from collections.abc import Iterator, Mapping

from vmdk2kvm.guest.protocol import TEXT_ENCODING, TEXT_ERRORS, BlockDevice, BlockKind

SECTOR_BYTES = 512  # sysfs counts in these, whatever the disk's own sectors

# Mostly the shell's own commands: starting a program costs 10 to 20 ms under emulation.
SCRIPT = r"""
at() { (cd -P "$1" && pwd -P); }
mkdir -p /run/vmdk2kvm
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
        for link in /dev/md/*; do
            [ "$(readlink -f "$link")" = "/dev/$name" ] && echo "md_alias=$link"
        done
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
    known = {f"/dev/{name}": device for name, device in found.items() if device is not None}
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
        return _raid(name, facts)
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


def _raid(name: str, facts: Facts) -> BlockDevice:
    aliases = (facts["md_alias"],) if "md_alias" in facts else ()
    return _made(facts, device=f"/dev/{name}", kind=BlockKind.MD, aliases=aliases)


def _made(
    facts: Facts,
    *,
    device: str,
    kind: BlockKind,
    aliases: tuple[str, ...] = (),
    disk: int | None = None,
    partition: int | None = None,
    luks_uuid: str | None = None,
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
    )


def _decoded(value: str | None) -> str | None:
    """blkid writes unsafe characters as `\\x0a` or with a backslash before them."""
    if value is None:
        return None
    raw = value.encode(TEXT_ENCODING, TEXT_ERRORS)
    raw = _ESCAPE.sub(lambda found: bytes.fromhex(found[1].decode()) if found[1] else found[2], raw)
    return raw.decode(TEXT_ENCODING, TEXT_ERRORS)
