"""Boot tests of guests that fit in a few sectors: real machines, judged in a second.

Each is a boot sector that loads a text and says it: to the serial port, to the screen in text mode,
or drawn in a graphics mode with the VGA's font, as Linux's frame buffer console draws.
"""

import base64
import hashlib
from pathlib import Path

import pytest

from tests.unit.target.test_judgement import REPORT
from vmdk2kvm.errors import ToolFailed
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.report import BootBus, BootEvidence, Verdict
from vmdk2kvm.stages import validate
from vmdk2kvm.stages.validate import Placed
from vmdk2kvm.target import screen
from vmdk2kvm.tools import qemu_system
from vmdk2kvm.tools.accelerator import probe

pytestmark = pytest.mark.appliance

SECTORS = 16
# Segments and stack at 0, then INT 13h reads SECTORS sectors from the second one on to 0x8000.
LOAD = bytes.fromhex(f"fa31c08ec08ed88ed0bc007c b8{SECTORS:02x}02 bb0080 b90200 b600 cd13 be0080 fc")
# lodsb; until 0: wait for the transmitter of COM1 (0x3fd), write to 0x3f8; then halt.
TO_SERIAL = bytes.fromhex("ac84c0 7410 50 bafd03 ec a820 74fb 58 baf803 ee ebeb f4 ebfd")
# lodsb; until 0: INT 10h teletype; then halt.
TO_SCREEN = bytes.fromhex("bb0700 ac84c0 7406 b40e cd10 ebf5 f4 ebfd")
GRAPHICS = bytes.fromhex("b81200 cd10")  # mode 12h: 640x480
RESET = bytes.fromhex("b0fe e664 f4 ebfd")  # through the keyboard controller
SILENT = bytes.fromhex("f4 ebfd")


def make_disk(path: Path, code: bytes, text: str = "") -> Path:
    said = text.replace("\n", "\r\n").encode("cp437")
    assert len(code) <= 510 and len(said) < SECTORS * 512
    path.write_bytes((code.ljust(510, b"\0") + b"\x55\xaa" + said).ljust(1 << 20, b"\0"))
    return path


def boot(image: Path, folder: Path, **options: object) -> BootEvidence:
    fields: dict[str, object] = {
        "bus": BootBus.VIRTIO_BLK,
        "firmware": Firmware.BIOS,
        "accelerator": probe(),
        "place_witness": lambda overlays: Placed(witness=True),
        "timeout_s": 60.0,
    }
    scratch = folder / "scratch"
    scratch.mkdir()
    before = digest(image)
    validated = validate.run(
        [(image, OutputFormat.RAW)],
        scratch=scratch,
        evidence_folder=folder / "boot",
        **{**fields, **options},
    )
    assert digest(image) == before
    assert not list(scratch.glob("validate-*"))
    return validated.boot


def digest(image: Path) -> tuple[str, int]:
    return hashlib.sha256(image.read_bytes()).hexdigest(), image.stat().st_mtime_ns


def report(**changes: str) -> str:
    facts = {**REPORT, **changes}
    lines = [f"{name}:{line}\n" for name, text in facts.items() for line in text.split("\n")]
    encoded = base64.encodebytes("".join(lines).encode()).decode()
    return f"begin\n{encoded}end {encoded.count(chr(10))}\n"


def test_a_guest_that_reports_has_booted(tmp_path: Path) -> None:
    evidence = boot(make_disk(tmp_path / "disk", LOAD + TO_SERIAL, report()), tmp_path)
    assert (evidence.verdict, evidence.reason) == (Verdict.BOOTED, None)
    assert dict(evidence.facts)["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert evidence.evidence == (
        "boot/console.log", "boot/screen.png", "boot/screen.txt", "boot/witness.json",
    )  # fmt: skip
    assert b"begin\r\n" in (tmp_path / "boot/console.log").read_bytes()


def test_a_guest_that_reports_its_fall_has_not(tmp_path: Path) -> None:
    said = report(states="inactive active inactive")
    evidence = boot(make_disk(tmp_path / "disk", LOAD + TO_SERIAL, said), tmp_path)
    assert (evidence.verdict, evidence.reason) == (Verdict.FAILED, "emergency mode")


SHELL = "ALERT!  /dev/sda1 does not exist.  Dropping to a shell!\n\n(initramfs) "


@pytest.mark.parametrize(
    "code", [LOAD + TO_SERIAL, LOAD + TO_SCREEN, LOAD + GRAPHICS + TO_SCREEN], ids=["serial", "text", "drawn"]
)
@pytest.mark.parametrize("bus", [BootBus.VIRTIO_SCSI, BootBus.PVSCSI])
def test_a_failure_is_named_wherever_it_is_shown(tmp_path: Path, code: bytes, bus: BootBus) -> None:
    evidence = boot(make_disk(tmp_path / "disk", code, SHELL), tmp_path, bus=bus)
    assert (evidence.verdict, evidence.reason) == (Verdict.FAILED, "initramfs shell")
    assert dict(evidence.facts)["detail"] == "ALERT!  /dev/sda1 does not exist.  Dropping to a shell!"
    shown = (tmp_path / "boot/screen.txt").read_text() + (tmp_path / "boot/console.log").read_text()
    assert "ALERT!  /dev/sda1 does not exist." in shown
    assert (tmp_path / "boot/screen.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("firmware", list(Firmware))
@pytest.mark.parametrize("bus", [BootBus.VIRTIO_BLK, BootBus.AHCI])
def test_a_blank_disk_has_a_name(tmp_path: Path, firmware: Firmware, bus: BootBus) -> None:
    image = tmp_path / "disk"
    image.write_bytes(bytes(1 << 20))
    evidence = boot(image, tmp_path, firmware=firmware, bus=bus)
    assert evidence.verdict is Verdict.FAILED
    assert evidence.reason in ("no bootable device", "UEFI shell")


def test_this_host_has_the_fonts_of_linux_and_of_the_vga_bios() -> None:
    first, second = screen.read_fonts()
    letters = [chr(code) for code in range(32, 127) if glyph(first, code) != glyph(second, code)]
    assert {"m", "v", "w"} < set(letters) and len(letters) < 40


def glyph(font: bytes, code: int) -> bytes:
    return font[code * 16 : code * 16 + 16]


def test_a_guest_that_restarts_again_and_again(tmp_path: Path) -> None:
    evidence = boot(make_disk(tmp_path / "disk", RESET), tmp_path)
    assert (evidence.verdict, evidence.reason) == (Verdict.FAILED, "reboot loop")


def test_the_time_out_is_kept(tmp_path: Path) -> None:
    evidence = boot(make_disk(tmp_path / "disk", SILENT), tmp_path, timeout_s=3.0)
    assert (evidence.verdict, evidence.reason) == (Verdict.FAILED, "time-out")
    assert 3.0 <= evidence.seconds < 6.0


def test_a_machine_that_cannot_start_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rendered = qemu_system.render_argv
    monkeypatch.setattr(
        qemu_system, "render_argv", lambda *arguments: [*rendered(*arguments), "-device", "no-such-device"]
    )
    with pytest.raises(ToolFailed) as failed:
        boot(make_disk(tmp_path / "disk", SILENT), tmp_path)
    assert "no-such-device" in failed.value.stderr
