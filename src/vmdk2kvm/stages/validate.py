"""VALIDATE: boot a throwaway overlay of the finished images and let the guest itself report.

The images are never written: they stand below overlays that are dropped at the end.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.errors import InputNotFound, SourceDiskError
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.fix import Fix, Planned, PlannedGuest
from vmdk2kvm.fixes.linux.selinux_labels import selinux_labels_fix
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.image_header import HEADER_BYTES, ImageRefused, image_format
from vmdk2kvm.guest.protocol import GuestWriter
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, Firmware, GuestOs
from vmdk2kvm.model.luks import Passphrase
from vmdk2kvm.model.report import BootBus, BootEvidence, Finding, Level, Verdict
from vmdk2kvm.target import qemu
from vmdk2kvm.target.witness import FIX_NAME, plan_witness
from vmdk2kvm.tools import qemu_img
from vmdk2kvm.tools.accelerator import Accelerator
from vmdk2kvm.tools.qemu_img import BlockNode

_BOOTABLE_ARCHS = frozenset({"x86_64", "amd64", "i386", "i486", "i586", "i686"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Placed:
    """What the one who opened the overlays found.

    `witness` False: the guest could not take one, because of `without_witness` (a clause). The guest asks
    for `passphrases`, and needs `memory_mib` at least to open its volumes with them. `macs` are its network
    cards (() for one with any MAC), and `interfaces` the names that its configuration has for them.
    """

    witness: bool
    firmware: Firmware = Firmware.BIOS
    bus: BootBus = BootBus.VIRTIO_BLK
    arch: str = "x86_64"
    without_witness: str = "the guest's init is not systemd"
    findings: tuple[Finding, ...] = ()
    passphrases: tuple[Passphrase, ...] = ()
    memory_mib: int = 0
    macs: tuple[str, ...] = ()
    interfaces: tuple[str, ...] = ()


PlaceWitness = Callable[[Sequence[Path]], Placed]


@dataclass(frozen=True, slots=True, kw_only=True)
class Validated:
    """`findings` are all of them, those of the boot included."""

    boot: BootEvidence
    findings: tuple[Finding, ...]


def run(
    images: Sequence[tuple[Path, OutputFormat]],
    *,
    bus: BootBus | None,
    scratch: Path,
    evidence_folder: Path,
    accelerator: Accelerator,
    place_witness: PlaceWitness,
    firmware: Firmware | None = None,
    timeout_s: float | None = None,
) -> Validated:
    """Boot `images`, all disks of one machine, the boot disk first.

    `place_witness` opens the overlays it is given, places the witness and closes them; it may look
    at the guest first. `firmware` and `bus` None: as it found. A failed boot is returned, not raised.
    Raises ToolMissing, ToolFailed, OutputFull.
    """
    overlays = create_overlays(images, scratch)
    try:
        placed = place_witness(overlays)
        chosen, bus = firmware or placed.firmware, bus or placed.bus
        if placed.arch not in _BOOTABLE_ARCHS:
            boot = _not_run(chosen, bus, f"no boot test for {placed.arch}")
        else:
            boot = qemu.boot(
                qemu.BootSpec(
                    images=overlays,
                    firmware=chosen,
                    bus=bus,
                    accelerator=accelerator,
                    scratch=scratch,
                    evidence_folder=evidence_folder,
                    expects_witness=placed.witness,
                    timeout_s=timeout_s,
                    passphrases=placed.passphrases,
                    memory_mib=max(qemu.MEMORY_MIB, placed.memory_mib),
                    macs=placed.macs,
                )
            )
    finally:
        for overlay in overlays:
            overlay.unlink(missing_ok=True)
    return Validated(boot=boot, findings=(*placed.findings, *_doubts(placed, boot), *boot.findings))


def _plan_witness(guest: PlannedGuest, os: GuestOs) -> Planned:
    del os
    return (planned.change for planned in plan_witness(guest))


_WITNESS = (
    Fix(name=FIX_NAME, reason="the guest reports its boot", families=LINUX_FAMILIES, plan=_plan_witness),
    selinux_labels_fix(last_resort=False),  # labelling all anew would restart the test
)


def place(guest: GuestWriter, os: GuestOs) -> bool:
    """Put the witness into an open guest; False when the guest cannot take one."""
    planned = engine.plan(_WITNESS, guest, os)
    if planned.changes:
        engine.apply(planned, guest, backup=False)
    return bool(planned.changes)


def create_overlays(images: Sequence[tuple[Path, OutputFormat]], scratch: Path) -> tuple[Path, ...]:
    """One empty qcow2 over each image. Raises ToolFailed, OutputFull."""
    overlays = []
    for index, (image, format) in enumerate(images):
        path = scratch / f"validate-disk{index}.qcow2"
        path.unlink(missing_ok=True)
        create_overlay(path, image, format)
        overlays.append(path)
    return tuple(overlays)


def create_overlay(path: Path, image: Path, format: OutputFormat) -> None:
    """Raises ToolFailed, OutputFull, OutputNotWritable."""
    qemu_img.create_overlay(path, backing=_node(image, format), backing_format=format.value)


def _node(image: Path, format: OutputFormat) -> BlockNode:
    """The image alone: whatever it may name as its backing is not opened."""
    node: dict[str, object] = {
        "driver": format.value,
        "file": {"driver": "file", "filename": str(image.resolve())},
    }
    if format is OutputFormat.QCOW2:
        node["backing"] = None
    return BlockNode(text="json:" + json.dumps(node))


def probe_image(path: Path) -> OutputFormat:
    """The format of an image of unknown origin. Raises InputNotFound, SourceDiskError."""
    try:
        with path.open("rb") as file:
            header = file.read(HEADER_BYTES)
    except OSError as error:
        raise InputNotFound(
            f'the image "{path}" cannot be read: {error.strerror}.', hint="check the path.", path=path
        ) from error
    try:
        return image_format(header)
    except ImageRefused as error:
        raise SourceDiskError(
            f'the image "{path}" {error}.',
            hint="give a finished qcow2, raw or vdi image that stands alone; migrate a VMDK with `local`.",
            path=path,
        ) from error


def _not_run(firmware: Firmware, bus: BootBus, reason: str) -> BootEvidence:
    return BootEvidence(
        verdict=Verdict.NOT_RUN, firmware=firmware.value, bus=bus.value, seconds=0.0, reason=reason
    )


def _doubts(placed: Placed, boot: BootEvidence) -> tuple[Finding, ...]:
    """Why the verdict is less than a proof."""
    if boot.verdict is Verdict.NOT_RUN:
        return (
            Finding(
                id="boot-not-tested",
                level=Level.WARNING,
                message=f"the images were not booted: {boot.reason}.",
                remedy="boot them on a host of that architecture before the source machine goes away.",
            ),
        )
    if placed.witness:
        return tuple(_missing_interfaces(placed, boot))
    return (
        Finding(
            id="boot-without-witness",
            level=Level.WARNING,
            message=f"{placed.without_witness}, so the guest could not report its boot itself; "
            "only a login prompt on its console counts as the proof.",
            remedy="check its mounts and services after the first start.",
        ),
    )


def _missing_interfaces(placed: Placed, boot: BootEvidence) -> Iterator[Finding]:
    """Names that the configuration uses and no card had, once the guest was up."""
    there = {name.removeprefix("interface ") for name, _ in boot.facts if name.startswith("interface ")}
    missing = [name for name in placed.interfaces if name not in there]
    if boot.verdict is not Verdict.BOOTED or not missing:
        return
    found = ", ".join(f'"{name}"' for name in sorted(there)) or "none"
    for name in missing:
        yield Finding(
            id="interface-missing",
            level=Level.WARNING,
            message=f'the interface "{visible(name)}", which the guest\'s network configuration names, '
            f"was not there after the boot; those there were: {found}.",
            remedy="say which card it is, and name all the machine's cards: "
            f"nics: [{{mac: …, name: {visible(name)}}}, …].",
        )
