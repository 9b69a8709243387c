import io
import json
from collections.abc import Callable

import pytest

from vmdk2kvm.cli.live import open_bars
from vmdk2kvm.cli.render import JsonLines, Pace, PlainLines, describe
from vmdk2kvm.model.progress import Event, Found, Note, Progress, StageEnded, StageStarted
from vmdk2kvm.model.report import Finding, Level, StageName, StageStatus

MIB = 1024 * 1024
HOSTILE = "disk\x1b[2J\u202e\nroot:\x9b"


def progress(done_mib: int, disk: str = "web-disk0") -> Progress:
    return Progress(stage=StageName.CONVERT, disk=disk, done_bytes=done_mib * MIB, total_bytes=100 * MIB)


def clock_of(times: list[float]) -> Callable[[], float]:
    """A clock that jumps to the next time at each event (two readings each)."""
    readings = iter([time for time in times for _ in range(2)])
    return lambda: next(readings)


def finding(level: Level) -> Finding:
    return Finding(id="x", level=level, message=f"about {HOSTILE}", remedy="do that.")


def test_plain_lines_are_few_and_tell_rate_and_time_left() -> None:
    out = io.StringIO()
    lines = PlainLines(out, Pace(5.0, clock_of([0.0, 2.0, 4.0, 6.0, 8.0])))
    lines(StageStarted(stage=StageName.CONVERT))
    for done_mib in (0, 20, 40, 60, 100):
        lines(progress(done_mib))
    lines(StageEnded(stage=StageName.CONVERT, status=StageStatus.OK, seconds=8.0))
    assert out.getvalue().splitlines() == [
        "convert …",
        "convert web-disk0: 0 B of 100 MiB (0 %)",
        "convert web-disk0: 60 MiB of 100 MiB (60 %), 10 MiB/s, 4.0s left",
        "convert web-disk0: 100 MiB of 100 MiB (100 %), 12.5 MiB/s, 0.0s left",
        "convert ok, 8.0s",
    ]


def test_a_reused_stage_is_told_as_such() -> None:
    out = io.StringIO()
    PlainLines(out)(StageEnded(stage=StageName.FIX, status=StageStatus.REUSED, seconds=61.0))
    assert out.getvalue() == "fix reused, 1m01s in an earlier run\n"


def test_the_end_of_a_disk_is_told_once() -> None:
    pace = Pace(5.0, lambda: 1.0)
    assert [pace.is_due(progress(done)) for done in (0, 100, 100)] == [True, True, False]
    assert pace.is_due(progress(100, "other"))


def test_disks_side_by_side_have_a_pace_each() -> None:
    pace = Pace(5.0, lambda: 1.0)
    assert pace.is_due(progress(1, "a")) and pace.is_due(progress(1, "b"))
    assert not pace.is_due(progress(2, "a"))
    assert pace.is_due(progress(100, "a"))


def test_an_empty_disk_is_done() -> None:
    event = Progress(stage=StageName.CONVERT, disk="d", done_bytes=0, total_bytes=0)
    assert describe(event, None) == "0 B of 0 B (100 %)"


def test_findings_of_level_info_are_left_to_the_report() -> None:
    out = io.StringIO()
    lines = PlainLines(out)
    lines(Found(finding=finding(Level.INFO)))
    assert out.getvalue() == ""
    lines(Found(finding=finding(Level.WARNING)))
    assert out.getvalue().splitlines()[0].startswith("warning: about disk")


@pytest.mark.parametrize(
    "event",
    [Note(text=HOSTILE), progress(50, HOSTILE), Found(finding=finding(Level.ERROR))],
)
def test_text_of_a_guest_cannot_act_on_the_terminal(event: Event) -> None:
    plain, live = io.StringIO(), io.StringIO()
    PlainLines(plain)(event)
    with open_bars(live) as bars:
        bars(event)
    for shown in (plain.getvalue(), live.getvalue()):
        assert "\x1b[2J" not in shown
        assert not set(shown) & {"\x9b", "\u202e"}
        assert "\nroot" not in shown
    assert r"\x1b[2J" in plain.getvalue()


def test_square_brackets_are_no_markup_on_a_terminal() -> None:
    live = io.StringIO()
    with open_bars(live) as bars:
        bars(Note(text="[bold]x[/bold] [/nonsense]"))
        bars(progress(50, "[/nonsense]"))
    assert "[bold]x[/bold] [/nonsense]" in live.getvalue()


def test_json_lines_are_one_object_each() -> None:
    out = io.StringIO()
    lines = JsonLines(out, Pace(60.0, lambda: 1.0))
    events: list[Event] = [
        StageStarted(stage=StageName.FIX),
        progress(1, HOSTILE),
        progress(2, HOSTILE),
        Found(finding=finding(Level.INFO)),
        Note(text="n"),
        StageEnded(stage=StageName.FIX, status=StageStatus.FAILED, seconds=1.23456),
    ]
    for event in events:
        lines(event)
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    kinds = ["stage-started", "progress", "finding", "note", "stage-ended"]
    assert [one["event"] for one in told] == kinds
    assert told[1]["done_bytes"] == MIB
    assert told[4] == {"event": "stage-ended", "stage": "fix", "status": "failed", "seconds": 1.235}
