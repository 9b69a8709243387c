"""Kernel arguments that name an encrypted volume's device among other things.

cryptdevice= and cryptkey= (mkinitcpio's encrypt hook), cryptopts= (cryptsetup's README.initramfs in Debian),
cryptroot= (mkinitfs), crypt_root= and crypt_swap= (genkernel). What dracut.cmdline(7) and
systemd-cryptsetup-generator(8) take (rd.luks.uuid=, luks.name=) names volumes by UUID already.
"""

import re
from dataclasses import dataclass

_FIRST = re.compile(r"(/dev/.+?-part[0-9]+|[^:]+)(?=:|$)")  # a by-path name holds colons itself
_WHOLE = re.compile(r"(.+)")
_SOURCE = re.compile(r"(?:^|,)source=([^,]+)")
_PLACES = {
    "cryptdevice": _FIRST,
    "cryptkey": _FIRST,
    "cryptopts": _SOURCE,
    "cryptroot": _WHOLE,
    "crypt_root": _WHOLE,
    "crypt_swap": _WHOLE,
}
_WORD_ENDS = re.compile(r"[:=,]")


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedDevice:
    """`name` stands at `start` of an argument's value. `is_volume`: it is the encrypted volume itself, not
    the file system that a key lies on."""

    name: str
    start: int
    is_volume: bool


def named_device(argument: str, value: str) -> NamedDevice | None:
    place = _PLACES.get(argument)
    found = place.search(value) if place else None
    if found is None:
        return None
    return NamedDevice(name=found[1], start=found.start(1), is_volume=argument != "cryptkey")


def words(argument: str, value: str) -> tuple[str, ...]:
    """The parts of an argument about encryption that may be devices ("/key:/dev/sdb1"); () of others."""
    is_about = argument in _PLACES or "luks" in argument.lower()
    return tuple(_WORD_ENDS.split(value)) if is_about else ()
