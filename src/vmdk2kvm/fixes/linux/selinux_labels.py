"""What the repair makes gets the labels that the guest's own SELinux policy has for it (file_contexts(5)).

A file that is replaced keeps its label. A new file, folder or link written from outside has none, and a
confined program may not touch it then: systemd starts no unit of such a file. The label is looked up
in the policy's lists and set; files that the guest's own tools made meanwhile are labelled after them.
Where the lists cannot tell, /.autorelabel makes the guest label everything at its first start, which takes
long and ends in a restart.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from vmdk2kvm.fixes.fix import Fix, Made, Planned, PlannedGuest
from vmdk2kvm.fixes.guest_text import stands
from vmdk2kvm.fixes.selinux_policy import AUTORELABEL, Policy, read_policy, to_label, unlabelled_mounts
from vmdk2kvm.formats.linear_pattern import NotRead
from vmdk2kvm.model.changes import Change, Relabel, SetLabel, WriteFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Finding, Level


def selinux_labels_fix(*, last_resort: bool) -> Fix:
    """Without `last_resort` what no list tells stays without a label."""
    return Fix(
        name="selinux-labels",
        reason="a new file without a label is out of bounds for confined programs",
        families=LINUX_FAMILIES,
        plan=partial(_plan, last_resort),
    )


def _plan(last_resort: bool, guest: PlannedGuest, os: GuestOs) -> Planned:
    policy = read_policy(guest)
    if policy is None:
        return
    if isinstance(policy, Finding):
        yield policy
    else:
        made = to_label(guest.made(), os)
        labels = _labels(policy, made)
        if labels is not None:
            yield from labels
            yield from _of_programs(policy, guest, os)
            yield from _finding_of_all(guest)
            return
    if last_resort:
        yield from _label_all(guest, os)
    yield from _finding_of_all(guest)


def _labels(policy: Policy, made: Sequence[Made]) -> list[SetLabel] | None:
    """None where a line of the list that may hold is beyond us."""
    try:
        labels = [(one.path, policy.label(one.path, one.type, one.mode)) for one in made]
    except NotRead:
        return None
    return [SetLabel(path=path, label=label) for path, label in labels if label is not None]


def _of_programs(policy: Policy, guest: PlannedGuest, os: GuestOs) -> Iterator[Change]:
    if guest.runs_programs():
        yield Relabel(path=policy.path, unlabelled=unlabelled_mounts(os))


def _label_all(guest: PlannedGuest, os: GuestOs) -> Iterator[Change]:
    if not stands(guest, AUTORELABEL) and (to_label(guest.made(), os) or guest.runs_programs()):
        yield WriteFile(path=AUTORELABEL, before=None, after=b"")


def _finding_of_all(guest: PlannedGuest) -> Iterator[Finding]:
    if stands(guest, AUTORELABEL):
        yield Finding(
            id="selinux-autorelabel",
            level=Level.WARNING,
            message=f'the guest labels all its files anew at its first start, because of "{AUTORELABEL}".',
            remedy="let it finish: the start takes minutes longer and ends in a restart.",
        )


SELINUX_LABELS_FIX = selinux_labels_fix(last_resort=True)
