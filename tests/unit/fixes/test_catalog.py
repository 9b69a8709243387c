from pathlib import Path

import pytest

from vmdk2kvm.errors import UsageError
from vmdk2kvm.fixes.catalog import FIXES, FixOptions, chosen, render_page
from vmdk2kvm.model.choices import FstabMode

ROOT = Path(__file__).parents[3]


def names(options: FixOptions) -> list[str]:
    return [fix.name for fix in chosen(options)]


def test_all_fixes_by_default_in_the_order_of_the_catalog() -> None:
    assert names(FixOptions()) == [fix.name for fix in FIXES]


def test_names_are_unique_and_what_takes_others_along_comes_after_them() -> None:
    order = [fix.name for fix in FIXES]
    assert len(set(order)) == len(order)
    at = order.index("initramfs-virtio")
    assert all(order.index(name) < at for name in order if "stable" in name or name == "initramfs-resume")
    assert order[-1] == "selinux-labels"


@pytest.mark.parametrize(
    ("options", "left_out"),
    [
        (
            FixOptions(no_grub=True),
            {"kernel-cmdline-stable-root", "grub-device-map", "uefi-fallback-loader"},
        ),
        (FixOptions(no_regen_initramfs=True), {"initramfs-virtio"}),
        (FixOptions(fstab_mode=FstabMode.NOOP), {"fstab-stable-names"}),
        (FixOptions(fstab_mode=FstabMode.BYPATH_ONLY), set()),
        (FixOptions(skip=frozenset({"initramfs-resume"})), {"initramfs-resume"}),
    ],
)
def test_what_an_option_leaves_out(options: FixOptions, left_out: set[str]) -> None:
    assert set(names(FixOptions())) - set(names(options)) == left_out


def test_the_fstab_mode_reaches_the_fix() -> None:
    by_path = chosen(FixOptions(fstab_mode=FstabMode.BYPATH_ONLY))[0]
    assert by_path.plan.args == (FstabMode.BYPATH_ONLY,)  # type: ignore[attr-defined]


def test_an_unknown_name_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError) as caught:
        chosen(FixOptions(skip=frozenset({"initramfs-virtoi"})))
    assert '"initramfs-virtoi"' in caught.value.message
    assert 'did you mean "initramfs-virtio"?' in caught.value.hint


def test_an_unknown_name_like_no_other_is_answered_with_all() -> None:
    with pytest.raises(UsageError) as caught:
        chosen(FixOptions(skip=frozenset({"xyzzy"})))
    assert "did you mean" not in caught.value.hint
    assert all(fix.name in caught.value.hint for fix in FIXES)


def test_every_fix_has_a_section_and_the_page_is_current() -> None:
    page = (ROOT / "docs/fixes.md").read_text()
    assert [line for line in page.split("\n") if line.startswith("## ")] == [
        f"## {fix.name}" for fix in FIXES
    ]
    assert page == render_page(), "write render_page() of fixes/catalog.py to docs/fixes.md"


@pytest.mark.parametrize("fix", FIXES, ids=lambda fix: fix.name)
def test_every_fix_has_a_case(fix: object) -> None:
    cases = ROOT / "tests/cases" / fix.name  # type: ignore[attr-defined]
    assert list(cases.glob("*/plan.json"))
