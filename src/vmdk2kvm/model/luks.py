"""Encrypted volumes of a guest (LUKS) and the keys an operator gives for them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NoReturn


class Secret:
    """A passphrase or the bytes of a key file. It shows as `***` and cannot be stored or sent along."""

    __slots__ = ("_value",)

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        return self._value

    def __repr__(self) -> str:
        return "***"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not to be stored")


@dataclass(frozen=True, slots=True, kw_only=True)
class LuksKey:
    """`setting` is where it comes from, in words for the operator ("luks_keyfile")."""

    secret: Secret
    setting: str


@dataclass(frozen=True, slots=True, kw_only=True)
class LuksKeys:
    """Keys for one volume, by its UUID or a name of its device, and keys to try on every other."""

    by_volume: Mapping[str, tuple[LuksKey, ...]] = field(default_factory=dict)
    for_all: tuple[LuksKey, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not self.by_volume and not self.for_all

    def of(self, *names: str | None) -> tuple[LuksKey, ...]:
        """The keys for a volume known by `names`, in the order to try them; its own alone, if it has any."""
        wanted = {name.lower() for name in names if name}
        own = tuple(key for name, keys in self.by_volume.items() if name.lower() in wanted for key in keys)
        return own or self.for_all


@dataclass(frozen=True, slots=True, kw_only=True)
class Passphrase:
    """What opens a volume, and what a guest that asks for it may call that volume."""

    secret: Secret
    names: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Keyslot:
    """`memory_kib` is what argon2 needs to open it, 0 where the kind (`kdf`) needs none."""

    number: int
    kdf: str
    memory_kib: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class LuksHeader:
    """`tokens` are the types of LUKS2 tokens ("systemd-tpm2", "clevis"): how the guest opens it alone."""

    version: int
    uuid: str
    label: str | None = None
    keyslots: tuple[Keyslot, ...] = ()
    tokens: tuple[str, ...] = ()

    @property
    def memory_kib(self) -> int:
        """What opening it takes at most."""
        return max((slot.memory_kib for slot in self.keyslots), default=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class LuksVolume:
    """A container of the guest. `mapping` is the device inside ("/dev/mapper/sda3_crypt"), None while it
    is locked; `refused` are the settings whose keys do not open it, `error` says why it has no `header`."""

    device: str
    header: LuksHeader | None
    mapping: str | None = None
    refused: tuple[str, ...] = ()
    error: str | None = None
