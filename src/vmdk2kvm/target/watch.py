"""When a boot has ended, and how: a judge of observations, without a clock or a guest of its own."""

from collections.abc import Mapping
from dataclasses import dataclass

from vmdk2kvm.model.report import BootBus
from vmdk2kvm.target import console
from vmdk2kvm.target.console import LATE_FAILURES, FailureName
from vmdk2kvm.target.judgement import Judgement, judge
from vmdk2kvm.tools.accelerator import Accelerator

_MAX_RESETS = 3  # firmware, then SELinux relabelling, may each restart a guest once
_REPEATS = frozenset({FailureName.INITRAMFS_HANG})  # says the same again and again, never settles


@dataclass(frozen=True, slots=True, kw_only=True)
class Patience:
    """Seconds: `silence_s` without any sign of life, `cap_s` in all, `settle_s` for a failure's
    text to stand still, `repeat_s` for one that repeats itself, `witness_s` for the witness to
    speak after the console has shown the end of the boot, `again_s` for a passphrase to be taken."""

    cap_s: float
    silence_s: float
    settle_s: float
    repeat_s: float
    witness_s: float
    again_s: float = 60.0


def patience(accelerator: Accelerator, timeout_s: float | None) -> Patience:
    """A time-out that was asked for is kept as it is; else emulation gets more time.

    Silence may be long on a healthy host: dracut waits 180 s for its root before it says a word.
    """
    emulated = accelerator is Accelerator.TCG
    default_s = 1800.0 if emulated else 600.0
    return Patience(
        cap_s=default_s if timeout_s is None else timeout_s,
        silence_s=480.0 if emulated else 240.0,
        settle_s=3.0,
        repeat_s=20.0,
        witness_s=60.0 if emulated else 10.0,
        again_s=240.0 if emulated else 45.0,  # argon2 is made to be slow
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """What is known at `now_s` seconds after the start; texts are all of the console and screen.

    `stuck` says why the guest's question for a passphrase stays open, "" where there is none.
    """

    now_s: float
    console: str = ""
    screen: str = ""
    heartbeats: int = 0
    report: Mapping[str, str] | None = None
    resets: int = 0
    powered_off: bool = False
    panicked: bool = False
    stuck: str = ""


class Watch:
    """Feed observations to `look`, in order, until it returns a judgement."""

    def __init__(self, patience: Patience, bus: BootBus, *, expects_witness: bool) -> None:
        self._patience = patience
        self._bus = bus
        self._expects_witness = expects_witness
        self._last = Observation(now_s=0.0)
        self._life_s = 0.0  # when there was a sign of life
        self._still_s = 0.0  # since when texts have not changed
        self._heartbeats_before_reset = 0
        self._name: FailureName | None = None
        self._name_s = 0.0  # since when the texts show `_name`
        self._stuck_s: float | None = None  # since when a question for a passphrase is open

    def look(self, seen: Observation) -> Judgement | None:
        before, self._last = self._last, seen
        text_changed = _texts(seen) != _texts(before)
        if text_changed:
            self._still_s = seen.now_s
        if text_changed or (seen.heartbeats, seen.resets) != (before.heartbeats, before.resets):
            self._life_s = seen.now_s
        if seen.resets > before.resets:
            self._heartbeats_before_reset = seen.heartbeats
        if text_changed or seen.heartbeats > before.heartbeats:
            self._note_failure(seen)
        if seen.report is not None:
            return judge(seen.report, self._bus)
        judges = (self._named, self._stuck, self._login, self._timed_out)
        return self._ended(seen, before) or next(filter(None, (judge(seen) for judge in judges)), None)

    def _note_failure(self, seen: Observation) -> None:
        name = console.name_failure(seen.console) or console.name_failure(seen.screen)
        if self._alive(seen) and name not in LATE_FAILURES:
            name = None
        if name is not self._name:
            self._name, self._name_s = name, seen.now_s

    def _alive(self, seen: Observation) -> bool:
        """Whether the service manager of the real root has spoken since the last restart."""
        return seen.heartbeats > self._heartbeats_before_reset

    def _ended(self, seen: Observation, before: Observation) -> Judgement | None:
        if seen.panicked:
            return _failed(FailureName.KERNEL_PANIC, _detail(seen))
        if seen.powered_off:
            return _failed(self._name or FailureName.POWERED_OFF, _detail(seen))
        if seen.resets > before.resets and self._name is not None:
            return _failed(self._name, _detail(seen))
        if seen.resets >= _MAX_RESETS:
            return _failed(FailureName.REBOOT_LOOP, f"the guest restarted {seen.resets} times")
        return None

    def _named(self, seen: Observation) -> Judgement | None:
        if self._name is None:
            return None
        still_s, named_s = seen.now_s - self._still_s, seen.now_s - self._name_s
        if self._name in (FailureName.EMERGENCY_MODE, FailureName.RESCUE_MODE) and self._alive(seen):
            over = named_s >= self._patience.witness_s  # the witness is about to say which unit failed
        elif self._name in _REPEATS:
            over = named_s >= self._patience.repeat_s
        else:
            over = still_s >= self._patience.settle_s
        return _failed(self._name, _detail(seen)) if over else None

    def _stuck(self, seen: Observation) -> Judgement | None:
        """Without its root no guest goes on; once that is there, systemd may go on without a volume."""
        if not seen.stuck or self._alive(seen):
            self._stuck_s = None
            return None
        self._stuck_s = seen.now_s if self._stuck_s is None else self._stuck_s
        over = seen.now_s - self._stuck_s >= self._patience.repeat_s
        return _failed(FailureName.PASSPHRASE_PROMPT, seen.stuck) if over else None

    def _login(self, seen: Observation) -> Judgement | None:
        """A login prompt proves a boot only where no witness could be placed."""
        if not (console.shows_login(seen.console) or console.shows_login(seen.screen)):
            return None
        still_s = seen.now_s - self._still_s
        if not self._expects_witness and still_s >= self._patience.settle_s:
            return Judgement(failure=None, detail="", facts=(("proof", "login prompt"),), findings=())
        if self._expects_witness and not self._alive(seen) and still_s >= self._patience.witness_s:
            return _failed(FailureName.WITNESS_SILENT, "the console shows a login prompt")
        return None

    def _timed_out(self, seen: Observation) -> Judgement | None:
        silent_s = seen.now_s - self._life_s
        over = seen.now_s >= self._patience.cap_s or silent_s >= self._patience.silence_s
        if over and seen.stuck:
            return _failed(FailureName.PASSPHRASE_PROMPT, seen.stuck)
        if seen.now_s >= self._patience.cap_s:
            return _failed(self._name or FailureName.TIME_OUT, _last_line(seen))
        if silent_s >= self._patience.silence_s:
            return _failed(FailureName.TIME_OUT, f"no sign of life for {silent_s:.0f} s; {_last_line(seen)}")
        return None


def _texts(seen: Observation) -> tuple[str, str]:
    """A blinking cursor turns a cell into "?" and back; that is no change."""
    return seen.console, seen.screen.replace("?", " ").rstrip()


def _detail(seen: Observation) -> str:
    return console.failure_line(seen.console) or console.failure_line(seen.screen)


def _last_line(seen: Observation) -> str:
    lines = [line.strip() for line in (seen.console or seen.screen).split("\n") if line.strip()]
    return f'the last line was "{lines[-1][:200]}"' if lines else "the console stayed empty"


def _failed(name: FailureName, detail: str) -> Judgement:
    return Judgement(failure=name, detail=detail, facts=(), findings=())
