"""What depends on a guest alone, proven once when it is built and kept beside it.

That it boots as on VMware (so a failure on virtio is the move's doing), and by which named failure
it falls on virtio (so a boot after the migration is the migration's doing). A guest with static addresses
has them on VMware, and not on virtio if it boots there. The product's own boot test judges; a time-out
is no proof.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.guests import cache, nvram
from tests.guests.catalog import Guest
from tests.guests.linux_catalog import LinuxGuest
from tests.guests.linux_disk import disks, entry_name

COMMAND = Path(__file__).parents[2] / ".venv/bin/vmdk2kvm"
VIRTIO_BUSES = ("virtio-blk", "virtio-scsi")
TIMEOUT_S = 1800
PASSPHRASE_VARIABLE = "TEST_GUEST_PASSPHRASE"
ROOT = Path(__file__).parents[2]


class NotProven(Exception):
    """The guest is not what its data says; nothing is cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    failed_units: frozenset[str]  # as on VMware, before anything was changed
    failures: dict[str, str | None]  # virtio bus -> the named failure, None where it boots


def prove(guest: Guest | LinuxGuest) -> Proof:
    """The proof of a guest, from beside it or made now. Raises NotProven."""
    images = disks(guest)
    kept = images[0].with_name("proof-in-slots.json")  # the cards sit where VMware has them
    with cache.lock(f"{entry_name(guest)}-proof"):
        if not kept.exists():
            scratch = kept.with_suffix(".part")
            scratch.write_text(json.dumps(_prove(guest, images), indent=1) + "\n")
            scratch.replace(kept)
    boots = json.loads(kept.read_text())
    return Proof(
        failed_units=failed_units(boots[guest.vmware_bus]),
        failures={bus: boots[bus]["reason"] for bus in VIRTIO_BUSES},
    )


def failed_units(boot: dict) -> frozenset[str]:
    """The units that failed, of a report's "boot"."""
    facts = dict(boot["facts"])
    return frozenset(unit for unit in facts.get("failed-units", "").split(", ") if unit)


def lost_addresses(guest: Guest | LinuxGuest, boot: dict) -> Iterator[str]:
    """The addresses that are not on the interface of that name, of a report's "boot"."""
    facts = dict(boot["facts"])
    for card in guest.cards if isinstance(guest, LinuxGuest) else ():
        *_, has = facts.get(f"interface {card.name}", "-").split(" ")
        if card.address not in has.split(","):
            yield f"{card.name} has {has}, not {card.address}"


def unlocking(guest: Guest | LinuxGuest) -> list[str]:
    """Flags for a guest with encrypted volumes."""
    encrypted = isinstance(guest, LinuxGuest) and guest.passphrase is not None
    return ["--luks-passphrase-env", PASSPHRASE_VARIABLE] if encrypted else []


def environment(guest: Guest | LinuxGuest) -> dict[str, str]:
    passphrase = guest.passphrase if isinstance(guest, LinuxGuest) else None
    return {**os.environ, **({PASSPHRASE_VARIABLE: passphrase} if passphrase else {})}


def _prove(guest: Guest | LinuxGuest, vmdks: tuple[Path, ...]) -> dict[str, dict]:
    with tempfile.TemporaryDirectory(dir=cache.root(), prefix=".proof-") as folder:
        images = [Path(folder) / f"{vmdk.stem}.qcow2" for vmdk in vmdks]
        for vmdk, image in zip(vmdks, images, strict=True):
            subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "qcow2", vmdk, image], check=True)
        boots = {}
        for bus in (guest.vmware_bus, *VIRTIO_BUSES):
            boots[bus] = _boot(guest, images, bus, Path(folder) / bus)
            _expect(guest, bus, boots[bus])
    return boots


def _boot(guest: Guest | LinuxGuest, images: list[Path], bus: str, folder: Path) -> dict:
    macs = [f"--nics={card.mac}" for card in guest.cards] if isinstance(guest, LinuxGuest) else []
    ended = subprocess.run(
        [*_command(guest, bus, folder), "validate", *images, "--boot-bus", bus, "--output-dir", folder,
         *unlocking(guest), *macs],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False, cwd=ROOT,
        env=environment(guest),
    )  # fmt: skip
    report = folder / images[0].stem / "report.json"
    boot = json.loads(report.read_text())["boot"] if report.is_file() else None
    if boot is None or boot["verdict"] == "not-run":
        said = ended.stderr.strip()[-1000:]
        raise NotProven(f'"{images[0].name}" on {bus}: exit status {ended.returncode}: {said}')
    return boot


def _command(guest: Guest | LinuxGuest, bus: str, folder: Path) -> list[str | Path]:
    """VMware's firmware alone remembers where the loader is."""
    if not isinstance(guest, LinuxGuest) or guest.efi_program is None or bus != guest.vmware_bus:
        return [COMMAND]
    variables = folder.with_suffix(".fd")
    nvram.write(variables, guest.efi_program, guest.esp_mib)
    return [sys.executable, "-m", "tests.guests.nvram", variables]


def _expect(guest: Guest | LinuxGuest, bus: str, boot: dict) -> None:
    on_vmware = bus == guest.vmware_bus
    reason = None if on_vmware else guest.fails_with
    if (boot["verdict"], boot["reason"]) != ("failed" if reason else "booted", reason):
        raise NotProven(
            f'"{guest.name}" on {bus}: not {reason or "a boot"}, but {boot["reason"]}: {boot["facts"]}'
        )
    lost = list(lost_addresses(guest, boot))
    if on_vmware and lost:
        raise NotProven(f'"{guest.name}" on {bus}: {"; ".join(lost)}')
    if not on_vmware and reason is None and isinstance(guest, LinuxGuest) and not lost:
        raise NotProven(f'"{guest.name}" on {bus}: nothing is wrong with it there')
