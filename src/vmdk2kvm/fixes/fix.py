"""One repair: a name, a reason and a pure planner."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import Change
from vmdk2kvm.model.guest_os import GuestOs, OsFamily
from vmdk2kvm.model.report import Finding

Planned = Iterator[Change | Finding]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fix:
    """`plan(guest, os)` reads the guest and yields what to change and what to tell the operator."""

    name: str
    reason: str
    families: frozenset[OsFamily]
    plan: Callable[[GuestReader, GuestOs], Planned]
