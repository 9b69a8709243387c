"""Passphrases typed into real machines: boot sectors that ask, and send what they read to the serial port.

What is typed is a secret, so the console's log shows three stars exactly where it came back whole.
"""

from pathlib import Path

import pytest

from tests.appliance.test_boot import LOAD, TO_SCREEN, TO_SERIAL, boot, make_disk
from vmdk2kvm.model.luks import Passphrase, Secret
from vmdk2kvm.model.report import Verdict
from vmdk2kvm.stages.validate import Placed

pytestmark = pytest.mark.appliance

HALT = bytes.fromhex("f4 ebfd")
# INT 16h: wait for a key; write its character to COM1; again.
FROM_KEYBOARD = bytes.fromhex("b400 cd16 baf803 ee ebf6")
# Wait for a byte from COM1; write it back; again.
FROM_SERIAL = bytes.fromhex("bafd03 ec a801 74f8 baf803 ec ee ebf1")
ASKS = "Begin: Mounting root\nPlease unlock disk root_crypt: "
SECRET = "Hunter2! {a}\"'~\\|<Z>"


@pytest.mark.parametrize(
    ("code", "channel"),
    [
        (TO_SCREEN.removesuffix(HALT) + FROM_KEYBOARD, "the keyboard"),
        (TO_SERIAL.removesuffix(HALT) + FROM_SERIAL, "the serial console"),
    ],
    ids=["keyboard", "serial"],
)
def test_a_question_is_answered(tmp_path: Path, code: bytes, channel: str) -> None:
    image = make_disk(tmp_path / "disk.raw", LOAD + code, ASKS)
    passphrase = Passphrase(secret=Secret(SECRET.encode()), names=("root_crypt",))
    placed = Placed(witness=True, passphrases=(passphrase,))
    evidence = boot(image, tmp_path, place_witness=lambda overlays: placed, timeout_s=25.0)
    assert (evidence.verdict, evidence.reason) == (Verdict.FAILED, "time-out")
    assert ("passphrase", f"typed once on {channel}") in evidence.facts
    log = (tmp_path / "boot/console.log").read_bytes()
    assert log.count(b"***") == 1 and log.rstrip(b"\r").endswith(b"***")
    for path in (tmp_path / "boot").iterdir():
        assert SECRET.encode() not in path.read_bytes()


def test_a_question_without_a_key_is_named(tmp_path: Path) -> None:
    image = make_disk(tmp_path / "disk.raw", LOAD + TO_SCREEN, ASKS)
    evidence = boot(image, tmp_path)
    assert (evidence.verdict, evidence.reason) == (Verdict.FAILED, "passphrase prompt")
    assert any("no key for it was given" in value for _, value in evidence.facts)
