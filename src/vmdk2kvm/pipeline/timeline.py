"""Which stages ran, how each ended and how long it took; the listener hears it as it happens."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from vmdk2kvm.model.progress import Event, StageEnded, StageStarted
from vmdk2kvm.model.report import StageName, StageResult, StageStatus

Listener = Callable[[Event], None]


class Timeline:
    def __init__(self, listener: Listener) -> None:
        self._listener = listener
        self._results: dict[StageName, StageResult] = {}

    @property
    def results(self) -> tuple[StageResult, ...]:
        """One result per stage, in pipeline order; a stage never reached counts as skipped."""
        return tuple(
            self._results.get(name, StageResult(name=name, status=StageStatus.SKIPPED, seconds=0.0))
            for name in StageName
        )

    @contextmanager
    def stage(self, name: StageName) -> Iterator[None]:
        self._listener(StageStarted(stage=name))
        started = time.monotonic()
        status = StageStatus.FAILED
        try:
            yield
            status = StageStatus.OK
        finally:
            self._end(name, status, time.monotonic() - started)

    def reused(self, name: StageName, seconds: float) -> None:
        """An earlier run did it, in `seconds`."""
        self._end(name, StageStatus.REUSED, seconds)

    def failed(self, name: StageName) -> None:
        """The stage itself ran to its end, but its verdict is a failure."""
        seconds = self._results[name].seconds
        self._results[name] = StageResult(name=name, status=StageStatus.FAILED, seconds=seconds)

    def _end(self, name: StageName, status: StageStatus, seconds: float) -> None:
        earlier = self._results[name].seconds if name in self._results else 0.0
        self._results[name] = StageResult(name=name, status=status, seconds=round(earlier + seconds, 3))
        self._listener(StageEnded(stage=name, status=status, seconds=seconds))
