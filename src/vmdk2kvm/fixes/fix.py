"""One repair: a name, a reason and a pure planner."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Protocol

from vmdk2kvm.guest.protocol import FileType, GuestReader
from vmdk2kvm.model.changes import Change
from vmdk2kvm.model.guest_os import GuestOs, OsFamily
from vmdk2kvm.model.report import Finding

Planned = Iterator[Change | Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """A path that edits planned so far bring into being, without links on the way."""

    path: str
    type: FileType
    mode: int


class PlannedGuest(GuestReader, Protocol):
    """The guest as it will be, and what of it the plan makes."""

    def made(self) -> tuple[Made, ...]:
        """Folders before what is in them."""

    def runs_programs(self) -> bool:
        """Whether a change planned so far lets another program write."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """`plan(guest, os)` reads the guest and yields what to change and what to tell the operator."""

    name: str
    reason: str
    families: frozenset[OsFamily]
    plan: Callable[[PlannedGuest, GuestOs], Planned]
