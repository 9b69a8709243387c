"""Network cards of a machine, and what a guest's configuration says about its interfaces."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Nic:
    """One network card of the source machine, which the target has too.

    `mac` is in lower case with colons; `name` is the interface it was in the guest, where the
    operator says so; `network` is what it was connected to; `slot` is VMware's pciSlotNumber.
    """

    mac: str
    name: str | None = None
    network: str | None = None
    slot: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Interface:
    """What one file of the guest says about one interface.

    `name` is None where the file finds its card by other means; `mac` is the card's own address that
    the file insists on, `hardware` a driver or a slot it insists on. `virtual`: made by software (bond,
    bridge, VLAN), out of the interfaces `below`. `is_tied`: the file itself gives the card with that
    `mac` the name. `starts`: it is brought up at boot.
    """

    name: str | None
    mac: str | None = None
    hardware: str | None = None
    virtual: bool = False
    below: tuple[str, ...] = ()
    is_tied: bool = False
    starts: bool = True
