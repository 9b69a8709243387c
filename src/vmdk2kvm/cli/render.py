"""What the operator sees: progress on stderr, results on stdout.

On a terminal progress is a live line for each stage and disk; elsewhere it is plain lines, at most
one in a few seconds for each disk; with --json it is one JSON object a line.
"""

import json
import logging
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, TextIO

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import Vmdk2KvmError
from vmdk2kvm.formats import json_text
from vmdk2kvm.formats.escapes import one_line, visible
from vmdk2kvm.model.progress import Event, Found, Note, Progress, StageEnded, StageStarted
from vmdk2kvm.model.report import Finding, Level, StageStatus
from vmdk2kvm.model.units import format_bytes, format_seconds

Listener = Callable[[Event], None]
_PLAIN_INTERVAL_S = 5.0
_JSON_INTERVAL_S = 0.5


def open_listener(settings: Settings) -> AbstractContextManager[Listener]:
    """The listener that fits where stderr goes. Safe to call from several threads."""
    if settings.as_json:
        return _locked(JsonLines(sys.stderr))
    if sys.stderr.isatty() and not settings.verbose:
        return _live(sys.stderr)
    return _locked(PlainLines(sys.stderr))


@contextmanager
def _locked(listener: Listener) -> Iterator[Listener]:
    lock = threading.Lock()

    def tell(event: Event) -> None:
        with lock:
            listener(event)

    yield tell


@contextmanager
def _live(stream: TextIO) -> Iterator[Listener]:
    from vmdk2kvm.cli.live import open_bars

    with open_bars(stream) as bars, _locked(bars) as listener:
        yield listener


class Pace:
    """Rates of running copies, and which progress event is worth showing."""

    def __init__(self, interval_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._interval_s = interval_s
        self._clock = clock
        self._begun: dict[tuple[str, str], tuple[float, int]] = {}
        self._shown: dict[tuple[str, str], float] = {}
        self._done: set[tuple[str, str]] = set()

    def is_due(self, event: Progress) -> bool:
        """The first event of a disk, the first that says it is done, and one each interval between."""
        key, now = (event.stage.value, event.disk), self._clock()
        if key in self._done:
            return False
        is_done = event.done_bytes >= event.total_bytes
        if is_done:
            self._done.add(key)
        due = is_done or now - self._shown.get(key, -1e9) >= self._interval_s
        if due:
            self._shown[key] = now
        return due

    def rate_bytes_per_s(self, event: Progress) -> float | None:
        """The mean since the disk's first event; None until a second has gone."""
        key, now = (event.stage.value, event.disk), self._clock()
        begun, from_bytes = self._begun.setdefault(key, (now, event.done_bytes))
        if now - begun < 1.0:
            return None
        return (event.done_bytes - from_bytes) / (now - begun)


def describe(event: Progress, rate_bytes_per_s: float | None) -> str:
    """`1.2 GiB of 3 GiB (40 %), 200 MiB/s, 9.2s left`"""
    share = 100 * event.done_bytes // event.total_bytes if event.total_bytes else 100
    text = f"{format_bytes(event.done_bytes)} of {format_bytes(event.total_bytes)} ({share} %)"
    if not rate_bytes_per_s:
        return text
    left_s = (event.total_bytes - event.done_bytes) / rate_bytes_per_s
    return f"{text}, {format_bytes(round(rate_bytes_per_s))}/s, {format_seconds(left_s)} left"


def finding_lines(finding: Finding) -> list[str]:
    lines = [f"{finding.level.value}: {one_line(finding.message)}"]
    return [*lines, f"  {one_line(finding.remedy)}"] if finding.remedy else lines


def told(event: StageStarted | StageEnded | Found | Note) -> list[str]:
    """An event as lines of text; findings of level info are left to the report."""
    match event:
        case StageStarted():
            return [f"{event.stage.value} …"]
        case StageEnded():
            when = " in an earlier run" if event.status is StageStatus.REUSED else ""
            return [f"{event.stage.value} {event.status.value}, {format_seconds(event.seconds)}{when}"]
        case Found():
            return finding_lines(event.finding) if event.finding.level is not Level.INFO else []
        case Note():
            return [one_line(event.text)]


class PlainLines:
    def __init__(self, stream: TextIO, pace: Pace | None = None) -> None:
        self._stream = stream
        self._pace = pace or Pace(_PLAIN_INTERVAL_S)

    def __call__(self, event: Event) -> None:
        if not isinstance(event, Progress):
            self._write(told(event))
            return
        rate = self._pace.rate_bytes_per_s(event)
        if self._pace.is_due(event):
            self._write([f"{event.stage.value} {one_line(event.disk)}: {describe(event, rate)}"])

    def _write(self, lines: list[str]) -> None:
        self._stream.write("".join(f"{line}\n" for line in lines))
        self._stream.flush()


class JsonLines:
    def __init__(self, stream: TextIO, pace: Pace | None = None) -> None:
        self._stream = stream
        self._pace = pace or Pace(_JSON_INTERVAL_S)

    def __call__(self, event: Event) -> None:
        if isinstance(event, Progress) and not self._pace.is_due(event):
            return
        self._stream.write(json.dumps(event_fields(event)) + "\n")
        self._stream.flush()


def event_fields(event: Event) -> dict[str, Any]:
    match event:
        case StageStarted():
            return {"event": "stage-started", "stage": event.stage.value}
        case StageEnded():
            seconds = round(event.seconds, 3)
            status = event.status.value
            return {"event": "stage-ended", "stage": event.stage.value, "status": status, "seconds": seconds}
        case Progress():
            return {
                "event": "progress",
                "stage": event.stage.value,
                "disk": visible(event.disk),
                "done_bytes": event.done_bytes,
                "total_bytes": event.total_bytes,
            }
        case Found():
            return {"event": "finding", **_finding_fields(event.finding)}
        case Note():
            return {"event": "note", "text": visible(event.text)}


def _finding_fields(finding: Finding) -> dict[str, str]:
    return {
        "id": finding.id,
        "level": finding.level.value,
        "message": visible(finding.message),
        "remedy": visible(finding.remedy),
    }


def show_error(error: Vmdk2KvmError, *, as_json: bool) -> None:
    """One sentence and the next step; with --json one JSON object."""
    if as_json:
        fields = {"event": "error", "message": visible(error.message), "hint": visible(error.hint)}
        sys.stderr.write(json.dumps({**fields, "exit_code": error.exit_code}) + "\n")
        return
    sys.stderr.write(f"vmdk2kvm: {one_line(error.message)}\n  {one_line(error.hint)}\n")


class _LogFormatter(logging.Formatter):
    def __init__(self, as_json: bool) -> None:
        super().__init__("%(levelname)s %(name)s: %(message)s")
        self._as_json = as_json

    def format(self, record: logging.LogRecord) -> str:
        text = visible(super().format(record))
        return json.dumps({"event": "log", "text": text}) if self._as_json else text


@contextmanager
def log_on_stderr(*, as_json: bool) -> Iterator[None]:
    """Show the log of this program on stderr."""
    handler = logging.StreamHandler()
    handler.setFormatter(_LogFormatter(as_json))
    logger = logging.getLogger("vmdk2kvm")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    try:
        yield
    finally:
        logger.removeHandler(handler)


def on_terminal() -> bool:
    return sys.stdout.isatty()


def show(text: str) -> None:
    """A part of the result, on stdout; bytes that were no text come out as they were."""
    sys.stdout.flush()
    sys.stdout.buffer.write(text.encode("utf-8", "surrogateescape"))
    sys.stdout.buffer.flush()


def show_json(value: Any) -> None:
    show(json_text.render(value))
