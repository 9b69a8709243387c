"""Rows of migrations that are taken back: the list of all paths of the guest is the one before.

Without a rebuild nothing else may differ; with one, what the journal says that programs wrote. One
row boots the repaired guest before it is taken back: there, what was repaired is compared.
"""

import json
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.e2e.rows import Outcome
from tests.guests.catalog import FOUR, GUESTS, Guest
from tests.guests.linux_catalog import LINUX, MACHINES, LinuxGuest
from tests.guests.linux_disk import disks
from tests.guests.proof import COMMAND, TIMEOUT_S, environment, unlocking
from tests.path_list import path_list
from vmdk2kvm.guest import inspection
from vmdk2kvm.guest.offline import MEMORY_MIB, open_guest
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.guest.unlock import unlock
from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.luks import LuksKey, LuksKeys, Secret
from vmdk2kvm.model.report import BootBus, Verdict
from vmdk2kvm.target import qemu
from vmdk2kvm.tools.accelerator import probe
from vmdk2kvm.tools.run import run

QUICK = ("--no-regen-initramfs",)
ONLY_COPIED = ("--stages=fetch", "--stages=flatten", "--stages=convert")
Listed = dict[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True, kw_only=True)
class UndoRow:
    guest: str
    flags: tuple[str, ...] = ()
    reboots: bool = False
    claim: bool = False

    @property
    def name(self) -> str:
        how = "rebooted" if self.reboots else "edits" if self.flags else "whole"
        return f"undo/{self.guest}/{how}"

    def run(self, folder: Path) -> Outcome:
        started = time.monotonic()
        faults = tuple(self._faults(MACHINES[self.guest], folder))
        return Outcome(seconds=time.monotonic() - started, faults=faults)

    def _faults(self, guest: Guest | LinuxGuest, folder: Path) -> Iterator[str]:
        before = listed(guest, migrated(guest, folder / "plain", *ONLY_COPIED), folder)
        fixed = migrated(guest, folder / "fixed", *unlocking(guest), *self.flags)
        if self.reboots and (verdict := started_once(guest, fixed, folder)) is not Verdict.BOOTED:
            yield f"the repaired guest did not boot: {verdict.value}"
        told = undone(guest, fixed, folder / "out")
        if not told["restored"]:
            yield "nothing was restored"
        if self.flags == QUICK and told["left"]:
            yield f"programs wrote {told['left'][:5]}"
        after = listed(guest, fixed, folder)
        touched = {path.lstrip("/") for path in (*told["restored"], *told["removed"])}
        left = frozenset(path.lstrip("/") for path in told["left"])
        yield from _differences(before, after, left, only=touched if self.reboots else None)
        if undone(guest, fixed, folder / "out")["plans"]:
            yield "there was something to undo twice"
        yield from (f"left behind: {path.name}" for path in fixed[0].parent.glob("*.undo*"))


def _differences(before: Listed, after: Listed, left: frozenset[str], only: set[str] | None) -> Iterator[str]:
    """Folders above what programs wrote may have been made by them."""
    above = {path[:at] for path in left for at, character in enumerate(path) if character == "/"}
    for path in sorted(before.keys() | after.keys()):
        if (only is not None and path not in only) or path in left or path in above:
            continue
        if before.get(path) != after.get(path):
            yield f"{path}: {before.get(path)} became {after.get(path)}"


def migrated(guest: Guest | LinuxGuest, folder: Path, *options: str) -> tuple[Path, ...]:
    """The images, the boot disk first."""
    vmdks = disks(guest)
    sources = [word for vmdk in vmdks for word in ("--vmdk", str(vmdk))]
    _command(guest, "local", *sources, "--vm-name", guest.name, "--output-dir", str(folder), *options)
    return tuple(folder / guest.name / f"{guest.name}-disk{index}.qcow2" for index in range(len(vmdks)))


def undone(guest: Guest | LinuxGuest, images: Sequence[Path], folder: Path) -> dict[str, list[str]]:
    said = _command(
        guest, "undo", *map(str, images), *unlocking(guest), "--output-dir", str(folder), "--json"
    )
    told: dict[str, list[str]] = json.loads(said)
    return told


def _command(guest: Guest | LinuxGuest, *words: str) -> str:
    done = subprocess.run(
        [str(COMMAND), *words],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        env=environment(guest),
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def listed(guest: Guest | LinuxGuest, images: Sequence[Path], folder: Path) -> Listed:
    with opened(guest, images, folder) as session:
        inspection.mount_whole(session)
        return path_list(session)


@contextmanager
def opened(guest: Guest | LinuxGuest, images: Sequence[Path], folder: Path) -> Iterator[OfflineGuest]:
    """Over throwaway overlays, its volumes unlocked."""
    overlays = []
    for index, image in enumerate(images):
        overlay = folder / f"look{index}.qcow2"
        overlay.unlink(missing_ok=True)
        run(["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", str(image), str(overlay)])
        overlays.append(overlay)
    with open_guest(overlays, scratch=folder, accelerator=probe()) as session:
        unlock(session, _keys(guest), memory_mib=MEMORY_MIB)
        yield session


def _keys(guest: Guest | LinuxGuest) -> LuksKeys:
    passphrase = guest.passphrase if isinstance(guest, LinuxGuest) else None
    if passphrase is None:
        return LuksKeys()
    return LuksKeys(for_all=(LuksKey(secret=Secret(passphrase.encode()), setting="the test"),))


def started_once(guest: Guest | LinuxGuest, images: tuple[Path, ...], folder: Path) -> Verdict:
    """Boot the images themselves to a login prompt, then cut the power."""
    spec: dict[str, Any] = {"expects_witness": False, "timeout_s": 900.0}
    evidence = qemu.boot(
        qemu.BootSpec(
            images=images,
            firmware=Firmware(guest.firmware),
            bus=BootBus.VIRTIO_BLK,
            accelerator=probe(),
            scratch=folder,
            evidence_folder=folder / "boot",
            **spec,
        )
    )
    return evidence.verdict


ROWS = (
    *(UndoRow(guest=guest.name) for guest in FOUR),
    *(UndoRow(guest=guest.name, flags=QUICK) for guest in LINUX),
    UndoRow(guest=GUESTS["bios-ext4"].name, flags=QUICK, claim=True),
    UndoRow(guest=GUESTS["bios-ext4"].name, reboots=True),
)
