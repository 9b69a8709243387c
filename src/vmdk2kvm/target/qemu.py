"""A boot test: start a machine, watch it until the verdict is known, keep the evidence."""

import json
import logging
import select
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from io import FileIO
from pathlib import Path

from vmdk2kvm.errors import ToolFailed
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.luks import Passphrase
from vmdk2kvm.model.report import BootBus, BootEvidence, Verdict
from vmdk2kvm.target import console, screen
from vmdk2kvm.target.judgement import Judgement
from vmdk2kvm.target.passphrase import ENTER, Channel, Typist, key_presses
from vmdk2kvm.target.qmp import Qmp, QmpError
from vmdk2kvm.target.scrub import Scrubber
from vmdk2kvm.target.watch import Observation, Watch, patience
from vmdk2kvm.target.witness import PORT_NAME, WitnessStream
from vmdk2kvm.tools import qemu_system
from vmdk2kvm.tools.accelerator import Accelerator
from vmdk2kvm.tools.whole_file import translated

log = logging.getLogger(__name__)

MEMORY_MIB = 2048
_TICK_S = 0.25
_SCREEN_EVERY_S = 2.0
_GREETING_S = 30.0
_KEY_MS = 60  # how long a key is held down, and then not
_MAX_CONSOLE_BYTES = 16 << 20  # a guest can write for ever; the rest is read and dropped
_TEXT_TAIL_BYTES = 64 << 10  # what is searched for failures


@dataclass(frozen=True, slots=True, kw_only=True)
class BootSpec:
    """`images` are throwaway qcow2 overlays. `timeout_s` None: by the accelerator.

    `expects_witness` False: the guest took none, so a login prompt is the proof.
    """

    images: tuple[Path, ...]
    firmware: Firmware
    bus: BootBus
    accelerator: Accelerator
    scratch: Path
    evidence_folder: Path
    expects_witness: bool
    timeout_s: float | None = None
    memory_mib: int = MEMORY_MIB
    cpus: int = 2
    passphrases: tuple[Passphrase, ...] = ()
    macs: tuple[str, ...] = ()  # of the network cards; () is one card with any MAC


def boot(spec: BootSpec) -> BootEvidence:
    """Boot once. Where QEMU itself fails, its log stays among the evidence.

    Raises ToolMissing, ToolFailed (QEMU itself ended), OutputFull, OutputNotWritable.
    """
    with translated(spec.evidence_folder):
        spec.evidence_folder.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    with ExitStack() as stack:
        qemu_log = spec.evidence_folder / "qemu.log"
        running = stack.enter_context(qemu_system.start(_machine(spec), qemu_log))
        console_path = spec.evidence_folder / "console.log"
        with translated(console_path):
            console_log = stack.enter_context(console_path.open("wb", buffering=0))
        try:
            eyes = _Eyes(running, console_log, spec)
            judgement, report = _watch(spec, eyes, started)
            seconds = time.monotonic() - started
            eyes.keep_evidence(spec.evidence_folder)
            judgement = replace(judgement, facts=(*judgement.facts, *eyes.typed()))
        except QmpError as error:
            raise _explain(running, qemu_log, error) from error
    qemu_log.unlink(missing_ok=True)
    judgement, report = _scrubbed(spec, judgement, report)
    _keep_facts(spec.evidence_folder, judgement, report)
    return _evidence(spec, judgement, seconds)


def _machine(spec: BootSpec) -> qemu_system.Machine:
    uefi = spec.firmware is Firmware.UEFI
    return qemu_system.Machine(
        images=spec.images,
        firmware=spec.firmware,
        bus=spec.bus,
        accelerator=spec.accelerator,
        memory_mib=spec.memory_mib,
        cpus=spec.cpus,
        port_name=PORT_NAME,
        macs=spec.macs,
        variables=qemu_system.copy_variables(spec.scratch) if uefi else None,
    )


def _watch(spec: BootSpec, eyes: "_Eyes", started: float) -> tuple[Judgement, Mapping[str, str] | None]:
    """The judgement, and the report it stands on, if the witness gave one."""
    watch = Watch(patience(spec.accelerator, spec.timeout_s), spec.bus, expects_witness=spec.expects_witness)
    while True:
        seen = eyes.observe(time.monotonic() - started)
        if (judgement := watch.look(seen)) is not None:
            log.info("boot judged after %.1f s: %s", seen.now_s, judgement.failure or "booted")
            return judgement, seen.report


def _explain(running: qemu_system.Running, qemu_log: Path, error: QmpError) -> ToolFailed | QmpError:
    """A QEMU that went away says why in its log."""
    try:
        status = running.process.wait(2.0)
    except TimeoutError:
        return error
    said = qemu_log.read_text("utf-8", "replace")[-4000:]
    return ToolFailed(running.argv, status, said, hint=f'"{qemu_log}" holds all that QEMU said.')


class _Eyes:
    """Everything that can be seen of a running machine from outside."""

    def __init__(self, running: qemu_system.Running, console_log: FileIO, spec: BootSpec) -> None:
        self._running = running
        self._console_log = console_log
        self._scratch = spec.scratch
        again_s = patience(spec.accelerator, spec.timeout_s).again_s
        self._typist = Typist(spec.passphrases, again_s=again_s)
        self._scrubber = _scrubber(spec)
        self._qmp = Qmp(running.qmp)
        self._port = WitnessStream()
        self._serial = WitnessStream()
        self._console_bytes = 0
        self._tail = b""
        self._glyphs = screen.GlyphReader(screen.read_fonts())
        self._looked_s = 0.0
        self._seen = Observation(now_s=0.0)
        self._qmp.greet(_GREETING_S)

    def observe(self, now_s: float) -> Observation:
        """Take in what comes within a moment, or until the witness has reported."""
        deadline = time.monotonic() + _TICK_S
        while self._report() is None and (left_s := deadline - time.monotonic()) > 0:
            self._take_in(left_s)
        if now_s - self._looked_s >= _SCREEN_EVERY_S:
            self._looked_s = now_s
            self._seen = replace(self._seen, screen=self._read_screen())
        self._answer(now_s)
        self._seen = replace(
            self._seen,
            now_s=now_s,
            console=console.plain_text(self._tail),
            heartbeats=self._port.heartbeats,
            report=self._report(),
            stuck=self._typist.stuck,
        )
        return self._seen

    def _answer(self, now_s: float) -> None:
        """Type a passphrase where the guest asks for it."""
        answer = self._typist.look(now_s, self._seen.screen, alive=self._port.heartbeats > 0)
        if answer is None:
            return
        log.info("the guest asks for a passphrase; it is typed on %s", answer.channel.value)
        if answer.channel is Channel.SERIAL:
            with suppress(OSError):  # a QEMU that is gone is told with the next event
                self._running.serial.sendall(answer.secret.reveal() + b"\r")
            return
        for keys in (*(key_presses(answer.secret.reveal()) or ()), ENTER):
            pressed = [{"type": "qcode", "data": key} for key in keys]
            self._qmp.execute("send-key", keys=pressed, **{"hold-time": _KEY_MS})

    def typed(self) -> tuple[tuple[str, str], ...]:
        """How often a passphrase was typed, as facts."""
        times = self._typist.typed.items()
        return tuple(
            ("passphrase", f"typed {'once' if count == 1 else f'{count} times'} on {channel.value}")
            for channel, count in times
        )

    def _report(self) -> Mapping[str, str] | None:
        return self._port.report or self._serial.report

    def _take_in(self, wait_s: float) -> None:
        sources: list[socket.socket] = [self._running.qmp, self._running.serial, self._running.port]
        ready = select.select(sources, [], [], wait_s)[0]
        if self._running.serial in ready:
            self._read_serial(_receive(self._running.serial))
        if self._running.port in ready:
            self._port.feed(_receive(self._running.port))
        self._take_events()

    def _read_serial(self, chunk: bytes) -> None:
        self._log_console(self._scrubber.feed(chunk))
        self._typist.heard(chunk, self._seen.now_s)
        self._tail = (self._tail + chunk)[-_TEXT_TAIL_BYTES:]
        self._serial.feed(chunk)

    def _log_console(self, text: bytes) -> None:
        with translated(Path(self._console_log.name)):
            self._console_log.write(text[: max(0, _MAX_CONSOLE_BYTES - self._console_bytes)])
        self._console_bytes += len(text)

    def _take_events(self) -> None:
        for event in self._qmp.events():
            match event["event"]:
                case "RESET" if event.get("data", {}).get("guest"):
                    self._seen = replace(self._seen, resets=self._seen.resets + 1)
                case "SHUTDOWN":
                    self._seen = replace(self._seen, powered_off=True)
                case "GUEST_PANICKED":
                    self._seen = replace(self._seen, panicked=True)
        if self._running.process.poll() is not None:
            raise QmpError("QEMU ended before the guest did.")

    def _read_screen(self) -> str:
        picture = self._take_picture()
        if picture is None:
            return ""
        if picture.is_text_mode:
            return screen.read_text_memory(self._read_memory())
        return self._glyphs.read(picture)

    def _take_picture(self) -> screen.Picture | None:
        with self._file("screen.ppm") as path:
            self._qmp.execute("screendump", filename=str(path))
            try:
                return screen.parse_ppm(path.read_bytes())
            except screen.BadPicture:
                return None

    def _read_memory(self) -> bytes:
        with self._file("text-memory") as path:
            size = screen.VGA_TEXT_BYTES
            self._qmp.execute("pmemsave", val=screen.VGA_TEXT_ADDRESS, size=size, filename=str(path))
            return path.read_bytes()

    @contextmanager
    def _file(self, name: str) -> Iterator[Path]:
        path = self._scratch / name
        try:
            yield path
        finally:
            path.unlink(missing_ok=True)

    def keep_evidence(self, folder: Path) -> None:
        """The screen as it is now: as a picture, and as text where it can be read.

        A screen that shows a passphrase is kept as text only.
        """
        self._log_console(self._scrubber.flush())
        screen_text = self._read_screen()
        clean = self._scrubber.text(screen_text)
        _write(folder / "screen.txt", f"{visible(clean)}\n".encode())
        if clean == screen_text and (picture := self._take_picture()) is not None:
            _write(folder / "screen.png", screen.render_png(picture))


def _scrubber(spec: BootSpec) -> Scrubber:
    return Scrubber(passphrase.secret for passphrase in spec.passphrases)


def _scrubbed(
    spec: BootSpec, judgement: Judgement, report: Mapping[str, str] | None
) -> tuple[Judgement, Mapping[str, str] | None]:
    """The same without passphrases, whatever the guest says."""
    clean = _scrubber(spec).text
    facts = tuple((name, clean(value)) for name, value in judgement.facts)
    findings = tuple(replace(one, message=clean(one.message)) for one in judgement.findings)
    judgement = replace(judgement, detail=clean(judgement.detail), facts=facts, findings=findings)
    return judgement, report and {name: clean(value) for name, value in report.items()}


def _write(path: Path, content: bytes) -> None:
    with translated(path):
        path.write_bytes(content)


def _receive(source: socket.socket) -> bytes:
    try:
        return source.recv(65536)
    except ConnectionError:
        return b""


def _keep_facts(folder: Path, judgement: Judgement, report: Mapping[str, str] | None) -> None:
    """The judgement and everything the witness said, word for word."""
    content = {
        "failure": judgement.failure and judgement.failure.value,
        "detail": judgement.detail,
        "report": report,
    }
    _write(folder / "witness.json", f"{json.dumps(content, indent=2)}\n".encode())


def _evidence(spec: BootSpec, judgement: Judgement, seconds: float) -> BootEvidence:
    failure = judgement.failure
    detail = (("detail", visible(judgement.detail)),) if judgement.detail else ()
    files = ("console.log", "screen.png", "screen.txt", "witness.json")
    folder = spec.evidence_folder
    return BootEvidence(
        verdict=Verdict.BOOTED if failure is None else Verdict.FAILED,
        firmware=spec.firmware.value,
        bus=spec.bus.value,
        seconds=seconds,
        reason=failure and failure.value,
        evidence=tuple(f"{folder.name}/{name}" for name in files if _holds_something(folder / name)),
        facts=(*detail, *judgement.facts),
        findings=judgement.findings,
    )


def _holds_something(path: Path) -> bool:
    """A guest without a serial console leaves an empty log, which proves nothing."""
    return path.is_file() and path.stat().st_size > 0
