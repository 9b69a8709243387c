"""Progress bars on a terminal."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from rich.console import Console
from rich.progress import BarColumn, SpinnerColumn, TaskID, TextColumn, TimeElapsedColumn
from rich.progress import Progress as RichProgress
from rich.text import Text

from vmdk2kvm.cli.render import Pace, describe, told
from vmdk2kvm.formats.escapes import one_line
from vmdk2kvm.model.progress import Event, Progress, StageEnded, StageStarted
from vmdk2kvm.model.report import StageName


class Bars:
    """A spinner for each running stage and a bar for each disk that is being copied."""

    def __init__(self, progress: RichProgress) -> None:
        self._progress = progress
        self._pace = Pace(0.0)
        self._tasks: dict[tuple[StageName, str | None], TaskID] = {}

    def __call__(self, event: Event) -> None:
        match event:
            case StageStarted():
                self._task(event.stage, None)
            case Progress():
                self._advance(event)
            case _:
                if isinstance(event, StageEnded):
                    self._drop(event.stage)
                for line in told(event):
                    self._progress.console.print(Text(line), soft_wrap=True)

    def _advance(self, event: Progress) -> None:
        text = describe(event, self._pace.rate_bytes_per_s(event))
        task = self._task(event.stage, event.disk)
        self._progress.update(task, completed=event.done_bytes, total=event.total_bytes, told=text)

    def _task(self, stage: StageName, disk: str | None) -> TaskID:
        key = (stage, disk)
        if key not in self._tasks:
            name = stage.value if disk is None else f"  {one_line(disk)}"
            self._tasks[key] = self._progress.add_task(name, total=None, told="")
        return self._tasks[key]

    def _drop(self, stage: StageName) -> None:
        for key in [key for key in self._tasks if key[0] is stage]:
            self._progress.remove_task(self._tasks.pop(key))


@contextmanager
def open_bars(stream: TextIO) -> Iterator[Bars]:
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.fields[told]}", markup=False),
        TimeElapsedColumn(),
    )
    with RichProgress(
        *columns, console=Console(file=stream), transient=True, redirect_stdout=False
    ) as progress:
        yield Bars(progress)
