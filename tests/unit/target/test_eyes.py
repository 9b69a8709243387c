"""A machine's consoles in sockets: passphrases are typed into them, and stay out of the evidence."""

import json
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.luks import Passphrase, Secret
from vmdk2kvm.model.report import BootBus
from vmdk2kvm.target import qemu, screen
from vmdk2kvm.target.console import FailureName
from vmdk2kvm.target.judgement import Judgement
from vmdk2kvm.tools.accelerator import Accelerator

PASSPHRASE = Passphrase(secret=Secret(b"Hunter2!"), names=("root",))
ASKED = "Please unlock disk root: "
TEXT_MODE = b"P6\n720 400\n255\n" + bytes(720 * 400 * 3)


@dataclass
class Machine:
    """The far ends of a machine's sockets, and what stands on its screen."""

    running: Any
    serial: socket.socket
    text: str = ""
    pressed: list[list[str]] = field(default_factory=list)


def answer_qmp(connection: socket.socket, machine: Machine) -> None:
    connection.sendall(b'{"QMP": {}}\n')
    with connection.makefile("r") as lines:
        for line in lines:
            request = json.loads(line)
            arguments = request.get("arguments", {})
            match request["execute"]:
                case "screendump":
                    Path(arguments["filename"]).write_bytes(TEXT_MODE)
                case "pmemsave":
                    cells = b"".join(bytes([code, 7]) for code in machine.text.ljust(80).encode("cp437"))
                    Path(arguments["filename"]).write_bytes(cells.ljust(screen.VGA_TEXT_BYTES, b"\0"))
                case "send-key":
                    assert arguments["hold-time"] > 0
                    machine.pressed.append([key["data"] for key in arguments["keys"]])
            connection.sendall(b'{"return": {}}\n')


@pytest.fixture
def machine() -> Iterator[Machine]:
    pairs = [socket.socketpair() for _ in range(3)]
    (qmp, their_qmp), (serial, their_serial), (port, _) = pairs
    process = SimpleNamespace(poll=lambda: None)
    running = SimpleNamespace(process=process, qmp=qmp, serial=serial, port=port)
    one = Machine(running=running, serial=their_serial)
    thread = threading.Thread(target=answer_qmp, args=(their_qmp, one))
    thread.start()
    yield one
    qmp.shutdown(socket.SHUT_RDWR)
    thread.join(5)
    for ours, theirs in pairs:
        ours.close()
        theirs.close()


@pytest.fixture
def spec(tmp_path: Path) -> qemu.BootSpec:
    return qemu.BootSpec(
        images=(),
        firmware=Firmware.BIOS,
        bus=BootBus.VIRTIO_BLK,
        accelerator=Accelerator.KVM,
        scratch=tmp_path,
        evidence_folder=tmp_path,
        expects_witness=True,
        passphrases=(PASSPHRASE,),
    )


@pytest.fixture
def eyes(machine: Machine, spec: qemu.BootSpec, monkeypatch: pytest.MonkeyPatch) -> Iterator[qemu._Eyes]:
    monkeypatch.setattr(qemu, "_TICK_S", 0.01)
    monkeypatch.setattr(screen, "read_fonts", lambda: ())
    with (spec.evidence_folder / "console.log").open("wb", buffering=0) as log:
        yield qemu._Eyes(machine.running, log, spec)


def test_a_question_on_the_serial_console_is_answered_there(machine: Machine, eyes: qemu._Eyes) -> None:
    machine.serial.sendall(ASKED.encode())
    for now_s in (0.0, 0.5, 1.5):
        eyes.observe(now_s)
    assert machine.serial.recv(100) == b"Hunter2!\r"
    assert eyes.typed() == (("passphrase", "typed once on the serial console"),)
    assert machine.pressed == []


def test_a_question_on_the_screen_is_answered_by_keys(machine: Machine, eyes: qemu._Eyes) -> None:
    machine.text = ASKED
    for now_s in (2.0, 4.0, 6.0):
        eyes.observe(now_s)
    assert machine.pressed == [
        ["shift", "h"], ["u"], ["n"], ["t"], ["e"], ["r"], ["2"], ["shift", "1"], ["ret"],
    ]  # fmt: skip


def test_what_is_echoed_is_not_kept(machine: Machine, eyes: qemu._Eyes, tmp_path: Path) -> None:
    machine.text = "root login: Hunter2!"
    for piece in (b"a Hun", b"ter2! b Hunt", b"er"):
        machine.serial.sendall(piece)
        seen = eyes.observe(2.0)
    assert "Hunter2!" in seen.console, "it is judged as it came"
    eyes.keep_evidence(tmp_path)
    assert (tmp_path / "console.log").read_bytes() == b"a *** b Hunter"
    assert (tmp_path / "screen.txt").read_text() == "root login: ***\n"
    assert not (tmp_path / "screen.png").exists(), "a picture cannot be scrubbed"


def test_another_screen_is_kept_as_a_picture_too(machine: Machine, eyes: qemu._Eyes, tmp_path: Path) -> None:
    machine.text = "root login: "
    eyes.keep_evidence(tmp_path)
    assert (tmp_path / "screen.png").read_bytes().startswith(b"\x89PNG")


def test_a_question_without_a_key_is_told(
    machine: Machine, spec: qemu.BootSpec, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(qemu, "_TICK_S", 0.01)
    with (spec.evidence_folder / "console.log").open("wb", buffering=0) as log:
        blind = qemu._Eyes(machine.running, log, qemu.replace(spec, passphrases=()))
        machine.serial.sendall(ASKED.encode())
        for now_s in (0.0, 0.5, 1.5):
            seen = blind.observe(now_s)
    assert "no key for it was given" in seen.stuck


def test_the_judgement_and_the_report_hold_no_passphrase(spec: qemu.BootSpec) -> None:
    judgement = Judgement(
        failure=FailureName.TIME_OUT, detail="said Hunter2!", facts=(("cmdline", "pw=Hunter2!"),), findings=()
    )
    clean, report = qemu._scrubbed(spec, judgement, {"a": "Hunter2!", "b": "b"})
    assert "Hunter2!" not in repr((clean, report))
    assert report == {"a": "***", "b": "b"}
    assert "Hunter2!" not in repr(spec)
