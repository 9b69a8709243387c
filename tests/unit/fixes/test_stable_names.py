import pytest

from vmdk2kvm.fixes.stable_names import MOST_FINDINGS, bounded
from vmdk2kvm.model.report import Finding, Level


def some(count: int) -> list[Finding]:
    return [Finding(id=f"f{i}", level=Level.INFO, message="m.", remedy="r.") for i in range(count)]


@pytest.mark.parametrize("count", [0, 1, MOST_FINDINGS])
def test_as_many_findings_as_are_shown_are_all_there_is(count: int) -> None:
    assert list(bounded(some(count) * 2, "/etc/fstab")) == some(count)


def test_one_finding_too_many_is_counted() -> None:
    *shown, last = bounded(some(MOST_FINDINGS + 1), "/etc/\x1bfstab")
    assert shown == some(MOST_FINDINGS)
    assert (last.id, last.level) == ("findings-cut-off", Level.WARNING)
    assert " 1 more " in last.message and "\x1b" not in last.message
