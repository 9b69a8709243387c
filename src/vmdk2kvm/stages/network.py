"""What the move means for a guest's network: which names its interfaces would lose on KVM."""

from collections.abc import Iterator

from vmdk2kvm.fixes.guest_cards import read_cards
from vmdk2kvm.fixes.linux.network_names import plan
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Finding, Level


def interface_names(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    """One finding for all that FIX ties, and each thing that it cannot be certain of."""
    if os.family not in LINUX_FAMILIES:
        return
    items = list(plan(guest, os))
    names = sorted(read_cards(guest, os).ties.macs)
    if names and not all(isinstance(item, Finding) for item in items):
        listed = ", ".join(f'"{visible(name)}"' for name in names)
        yield Finding(
            id="network-names-change",
            level=Level.WARNING,
            message=f"the network configuration is for {listed}, "
            "and nothing gives the cards these names on KVM.",
            remedy="FIX ties each name to its card (network-stable-names).",
        )
    yield from (item for item in items if isinstance(item, Finding))
