"""What an operator should know of a guest's network configuration before it runs on KVM."""

from collections.abc import Iterator, Sequence

from vmdk2kvm.fixes.interface_naming import Namer, Naming
from vmdk2kvm.fixes.interface_ties import Ties
from vmdk2kvm.fixes.network_files import NetworkFiles, Said
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.interface_names import is_kernel_name
from vmdk2kvm.model.network import Nic
from vmdk2kvm.model.report import Finding, Level

_TELL = "say which card it is, and name all the machine's cards: nics: [{mac: …, name: NAME}, …]."


def findings_of(files: NetworkFiles, nics: Sequence[Nic], naming: Naming, ties: Ties) -> Iterator[Finding]:
    yield from (_unknown(files, nics, name) for name in ties.unknown)
    yield from (_cardless(files, name) for name in ties.cardless)
    yield from _kernel_names(nics, naming, ties)
    if naming.namer is Namer.NONE:
        yield from (_not_tied(name) for name in ties.macs if not is_kernel_name(name))
    for one in files.said:
        if one.interface.hardware is not None:
            yield _of_vmware(one, one.interface.hardware)
        if one.interface.mac is not None:
            yield from _by_mac(one, one.interface.mac, nics)


def _unknown(files: NetworkFiles, nics: Sequence[Nic], name: str) -> Finding:
    cards = f"any of {len(nics)} network cards" if nics else "any of the machine's network cards"
    listed = f" ({', '.join(map(_card, nics))})" if nics else ""
    return Finding(
        id="network-unknown-card",
        level=Level.WARNING,
        message=f'"{name}" in "{visible(files.path_of(name))}" may be {cards}{listed}, '
        "and nothing in the guest tells which; its name was not tied to one.",
        remedy=_TELL.replace("NAME", name),
    )


def _card(nic: Nic) -> str:
    return f'{nic.mac} on "{visible(nic.network)}"' if nic.network else nic.mac


def _cardless(files: NetworkFiles, name: str) -> Finding:
    return Finding(
        id="network-name-without-card",
        level=Level.INFO,
        message=f'"{name}" in "{visible(files.path_of(name))}" belongs to no network card: '
        "each card of the machine has another name.",
        remedy="nothing, if it is a left-over; else " + _TELL.replace("NAME", name),
    )


def _kernel_names(nics: Sequence[Nic], naming: Naming, ties: Ties) -> Iterator[Finding]:
    """udev cannot swap names that the kernel gives (systemd.link(5), Name=); old udev could."""
    names = sorted(name for name in ties.macs if is_kernel_name(name))
    several = max(len(nics), len(ties.macs) + len(ties.unknown)) > 1
    if names and several and naming.namer is not Namer.RULES:
        yield Finding(
            id="network-kernel-names",
            level=Level.WARNING,
            message=f"the guest calls its cards {', '.join(map(_quoted, names))}, names that the kernel "
            "gives in the order it finds them; udev cannot be sure to give one to another card.",
            remedy="give the machine its cards in the same order on KVM as on VMware, and see with the boot "
            "test that each address is where it was.",
        )


def _quoted(name: str) -> str:
    return f'"{name}"'


def _not_tied(name: str) -> Finding:
    return Finding(
        id="network-name-not-tied",
        level=Level.WARNING,
        message=f'"{name}" cannot be tied to its card, because the guest has no udev.',
        remedy="check its addresses after the move.",
    )


def _of_vmware(one: Said, hardware: str) -> Finding:
    return Finding(
        id="network-hardware-match",
        level=Level.WARNING,
        message=f'"{visible(one.path)}" is about the card that "{visible(hardware)}" finds, '
        "and no card on KVM is found by that.",
        remedy="let it find the card by its name or its MAC.",
    )


def _by_mac(one: Said, mac: str, nics: Sequence[Nic]) -> Iterator[Finding]:
    if not nics:
        yield Finding(
            id="network-mac-needed",
            level=Level.INFO,
            message=f'"{visible(one.path)}" is about the card with the MAC "{mac}".',
            remedy="give the machine that MAC on KVM, too, and name it in nics: for the boot test.",
        )
    elif mac not in {nic.mac for nic in nics}:
        yield Finding(
            id="network-mac-left-behind",
            level=Level.WARNING,
            message=f'"{visible(one.path)}" is about the card with the MAC "{mac}", '
            "which is none of those in nics:.",
            remedy="give the machine a card with that MAC, or correct the file in the guest.",
        )
