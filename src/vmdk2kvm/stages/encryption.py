"""What the move means for encrypted volumes (LUKS): which stayed closed, and which opened by themselves."""

from collections.abc import Iterator

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.linux.crypttab import PATHS
from vmdk2kvm.formats import crypttab
from vmdk2kvm.formats.device_names import is_hostile
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.inspection_crypt import describe
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.luks import LuksVolume
from vmdk2kvm.model.report import Finding, Level

# Types of LUKS2 tokens that are tied to hardware, or may be: Clevis also asks servers (Tang).
_TIED = frozenset({"systemd-tpm2", "systemd-fido2", "systemd-pkcs11", "clevis"})
_MOST_NAMES = 8


def encrypted_volumes(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    for volume in os.luks:
        if volume.mapping is None:
            yield _locked(volume)
        yield from _tied(volume)
    for path in PATHS:
        yield from _crypttab(guest, path)


def _locked(volume: LuksVolume) -> Finding:
    return Finding(
        id="luks-volume-locked",
        level=Level.WARNING,
        message=f"{describe(volume)}; what is on it was neither looked into nor repaired.",
        remedy="the guest opens it as before; if it holds settings that name devices, give its key with "
        "luks_passphrase_env, luks_keyfile or luks_keys and run again.",
    )


def _tied(volume: LuksVolume) -> Iterator[Finding]:
    kinds = [kind for kind in volume.header.tokens if kind in _TIED] if volume.header else []
    if kinds and volume.header:
        yield Finding(
            id="luks-opens-by-hardware",
            level=Level.WARNING,
            message=f'the LUKS volume "{volume.header.uuid}" opens by itself through '
            f"{', '.join(dict.fromkeys(kinds))}, which the machine on KVM does not have.",
            remedy="keep its passphrase or recovery key at hand for the first start, then enrol it anew "
            "(`systemd-cryptenroll`, `clevis luks bind`).",
        )


def _crypttab(guest: GuestReader, path: str) -> Iterator[Finding]:
    try:
        text = guest.read_text(path)
    except (FileNotFoundError, GuestError):
        return
    found = dict.fromkeys(entry.device for entry in crypttab.entries(text) if is_hostile(entry.device))
    names = ", ".join(f'"{visible(name)}"' for name in list(found)[:_MOST_NAMES])
    if found:
        more = f" and {len(found) - _MOST_NAMES} more" if len(found) > _MOST_NAMES else ""
        yield Finding(
            id="crypttab-vmware-names",
            level=Level.WARNING,
            message=f'"{path}" names devices that KVM calls otherwise: {names}{more}.',
            remedy="FIX writes stable names there (crypttab-stable-names).",
        )
