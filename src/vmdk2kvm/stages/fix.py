"""FIX: plan the repairs, make sure they fit, apply them, and see that nothing is left to repair."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from vmdk2kvm.fixes.engine import Applied, apply, converge, plan
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.fixes.room import images_to_move_away
from vmdk2kvm.guest.protocol import GuestWriter
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding


@dataclass(frozen=True, slots=True, kw_only=True)
class Fixed:
    """`plan` is the first round's; `written` are all guest paths that changed."""

    plan: Plan
    written: tuple[str, ...]
    findings: tuple[Finding, ...]


def run(
    guest: GuestWriter,
    os: GuestOs,
    fixes: Sequence[Fix],
    *,
    inspect_again: Callable[[], GuestOs],
    backup: bool,
) -> Fixed:
    """Repair an open guest.

    Raises NoRoomInGuest and StalePlan before the first write; RebuildUnproven and DoesNotConverge
    when the guest cannot be brought to where it should be.
    """
    first = plan(fixes, guest, os)
    if not first.changes:
        return Fixed(plan=first, written=(), findings=first.findings)

    def apply_where_it_fits(planned: Plan, now: GuestOs) -> Applied:
        tight = images_to_move_away(planned, now, backup=backup)
        return apply(planned, guest, backup=backup, move_away=tight)

    applied = apply_where_it_fits(first, os)
    settled = converge(applied, fixes, guest, inspect_again, apply_where_it_fits)
    return Fixed(plan=first, written=settled.written, findings=(*first.findings, *settled.findings))
