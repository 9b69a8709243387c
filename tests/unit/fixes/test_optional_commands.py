import pytest

from tests.linux_guests import guest_os
from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.engine import apply, converge, plan, unsettled
from vmdk2kvm.fixes.fix import Fix, Planned, PlannedGuest
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.formats import plan_text
from vmdk2kvm.formats.plan_json import plan_of
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.guest.protocol import CommandResult
from vmdk2kvm.model.changes import PlannedChange, RunCommand
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Level


def purge(*, optional: bool) -> tuple[Fix, ...]:
    def planner(guest: PlannedGuest, os: GuestOs) -> Planned:
        if guest.exists("/usr/tool"):
            yield RunCommand(
                argv=("purge", "t"),
                done_when=None,
                may_write=("/usr/",),
                gone=("/usr/tool",),
                optional=optional,
            )

    return (Fix(name="purge", reason="", families=LINUX_FAMILIES, plan=planner),)


def guest_of(status: int, *, removes: bool = False) -> MemoryGuest:
    def run(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        if removes:
            guest.remove("/usr/tool")
        return CommandResult(status=status, output="no\nroom\x1b\n")

    return MemoryGuest({"/usr/tool": b""}, programs=run)


@pytest.mark.parametrize(("status", "removes"), [(1, False), (0, False), (1, True)])
def test_an_optional_command_may_fail_and_is_told_of(status: int, removes: bool) -> None:
    guest = guest_of(status, removes=removes)
    os = guest_os(guest)
    applied = apply(plan(purge(optional=True), guest, os), guest, backup=True)
    (finding,) = applied.findings
    assert (finding.id, finding.level) == ("command-failed", Level.WARNING)
    assert f'"purge t" in the guest ended with status {status}' in finding.message
    assert finding.message.endswith("it said: no / room\\x1b") and finding.remedy
    settled = converge(applied, purge(optional=True), guest, lambda: os, lambda *_: pytest.fail("once more"))
    assert settled == applied
    assert unsettled(plan(purge(optional=True), guest, os)).changes == ()


@pytest.mark.parametrize("status", [0, 1])
def test_any_other_command_that_leaves_what_must_go_ends_the_run(status: int) -> None:
    guest = guest_of(status)
    planned = plan(purge(optional=False), guest, guest_os(guest))
    assert unsettled(planned).changes == planned.changes
    with pytest.raises(GuestError) as caught:
        apply(planned, guest, backup=False)
    assert "did not do its work" in caught.value.message


def test_a_command_that_did_its_work() -> None:
    guest = guest_of(0, removes=True)
    planned = plan(purge(optional=False), guest, guest_os(guest))
    assert apply(planned, guest, backup=False).findings == ()


def test_a_command_says_when_it_is_done() -> None:
    guest = guest_of(0)
    (planned,) = plan(purge(optional=True), guest, guest_os(guest)).changes
    assert plan_text.describe(planned.change) == (
        'run purge t\n  done when "/usr/tool" is gone; may write below "/usr/"; may fail\n'
    )


def test_what_a_command_takes_away_is_in_the_journal() -> None:
    guest = guest_of(0, removes=True)
    guest.make_folder("/usr/deep/er")
    guest.write_bytes("/usr/deep/er/file", b"")
    command = RunCommand(
        argv=("x",),
        done_when=None,
        may_write=(),
        may_remove=("/usr/to", "/usr/deep/", "/none/", "/no"),
        gone=(),
    )

    def run(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        guest.remove("/usr/tool")
        guest.remove("/usr/deep/er/file")
        return CommandResult(status=0, output="")

    guest.programs = run
    applied = apply(plan_of((PlannedChange(fix="f", change=command),), ()), guest, backup=True)
    assert applied.by_programs == ("/usr/deep/er/file", "/usr/tool")
    assert applied.findings == ()
    assert undo(guest).left == applied.by_programs
