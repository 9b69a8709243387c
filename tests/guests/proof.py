"""What depends on a guest alone, proven once when it is built and kept beside it.

That it boots as on VMware (so a failure on virtio is the move's doing), and by which named failure
it falls on virtio (so a boot after the migration is the migration's doing). The product's own boot
test judges; a time-out is no proof.
"""

import json
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.guests import cache
from tests.guests.catalog import Guest
from tests.guests.disk import build, entry_name

COMMAND = Path(__file__).parents[2] / ".venv/bin/vmdk2kvm"
VIRTIO_BUSES = ("virtio-blk", "virtio-scsi")
TIMEOUT_S = 1800


class NotProven(Exception):
    """The guest is not what its data says; nothing is cached."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    failed_units: frozenset[str]  # as on VMware, before anything was changed
    failures: dict[str, str | None]  # virtio bus -> the named failure, None where it boots


def prove(guest: Guest) -> Proof:
    """The proof of a guest, from beside it or made now. Raises NotProven."""
    disk = build(guest)
    kept = disk.with_name("proof.json")
    with cache.lock(f"{entry_name(guest)}-proof"):
        if not kept.exists():
            scratch = kept.with_suffix(".part")
            scratch.write_text(json.dumps(_prove(guest, disk), indent=1) + "\n")
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


def _prove(guest: Guest, disk: Path) -> dict[str, dict]:
    with tempfile.TemporaryDirectory(dir=cache.root(), prefix=".proof-") as folder:
        image = Path(folder) / f"{guest.name}.qcow2"
        subprocess.run(["qemu-img", "convert", "-f", "vmdk", "-O", "qcow2", disk, image], check=True)
        boots = {}
        for bus in (guest.vmware_bus, *VIRTIO_BUSES):
            boots[bus] = _boot(image, bus, Path(folder) / bus)
            _expect(guest, bus, boots[bus], None if bus == guest.vmware_bus else guest.fails_with)
    return boots


def _boot(image: Path, bus: str, folder: Path) -> dict:
    ended = subprocess.run(
        [COMMAND, "validate", image, "--boot-bus", bus, "--output-dir", folder],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_S, check=False,
    )  # fmt: skip
    report = folder / image.stem / "report.json"
    boot = json.loads(report.read_text())["boot"] if report.is_file() else {"verdict": "not-run"}
    if boot["verdict"] == "not-run":
        said = ended.stderr.strip()[-1000:]
        raise NotProven(f'"{image.name}" on {bus}: exit status {ended.returncode}: {said}')
    return boot


def _expect(guest: Guest, bus: str, boot: dict, reason: str | None) -> None:
    verdict = "failed" if reason else "booted"
    if (boot["verdict"], boot["reason"]) != (verdict, reason):
        raise NotProven(
            f'"{guest.name}" on {bus}: not {reason or "a boot"}, but {boot["reason"]}: {boot["facts"]}'
        )
