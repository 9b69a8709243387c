import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.package_lists import Package, parse_apk, parse_dpkg, removable

STATUS = """\
Package: open-vm-tools
Status: install ok installed
Pre-Depends: init-system-helpers (>= 1.54~)
Depends: libc6:any (>= 2.34), libssl3 | libssl1.1,
 pciutils
Provides: open-vm-toolbox (= 1), vm-tools
Description: tools
 Depends: nothing

Package: gone
Status: deinstall ok config-files

Package: half
Status: install reinstreq half-installed

Package: never
Status: unknown ok not-installed

Package: no-status

"""


def test_dpkg_tells_what_is_installed_and_what_it_needs() -> None:
    assert parse_dpkg(STATUS) == (
        Package(
            name="open-vm-tools",
            needs=(("init-system-helpers",), ("libc6",), ("libssl3", "libssl1.1"), ("pciutils",)),
            provides=("open-vm-toolbox", "vm-tools"),
        ),
        Package(name="half"),
    )


def test_apk_tells_what_is_installed_and_what_it_needs() -> None:
    text = (
        "C:Q1\nP:a\nV:1\nD:so:libx.so.1 b>=2 !c d=1-r0\np:so:liba.so.0=0.0 cmd:a=1-r0\nF:usr\n\nP:b\n\nC:x\n"
    )
    assert parse_apk(text) == (
        Package(name="a", needs=(("so:libx.so.1",), ("b",), ("d",)), provides=("so:liba.so.0", "cmd:a")),
        Package(name="b"),
    )


def package(name: str, *needs: tuple[str, ...], provides: tuple[str, ...] = ()) -> Package:
    return Package(name=name, needs=needs, provides=provides)


@pytest.mark.parametrize(
    ("others", "kept"),
    [
        ([package("server", ("tools",))], {"tools": "server"}),
        ([package("server", ("tools", "agent"))], {"tools": "server"}),
        ([package("server", ("tools", "agent")), package("agent")], {}),
        ([package("server", ("tools", "agent")), package("other", provides=("agent",))], {}),
        ([package("server", ("virtual",))], {"tools": "server"}),
        ([package("server", ("virtual",)), package("other", provides=("virtual",))], {}),
        ([package("server", ("desktop",))], {"tools": "desktop", "desktop": "server"}),
        ([package("server", ("absent",))], {}),
    ],
)
def test_what_another_package_needs_stays(others: list[Package], kept: dict[str, str]) -> None:
    ours = [package("tools", provides=("virtual",)), package("desktop", ("tools",))]
    going, staying = removable([*ours, *others], frozenset({"tools", "desktop"}))
    assert staying == kept
    assert going == {"tools", "desktop"} - kept.keys()


names = st.sampled_from("abcdef")
packages = st.builds(
    Package,
    name=names,
    needs=st.lists(st.lists(names, min_size=1, max_size=2).map(tuple), max_size=2).map(tuple),
    provides=st.lists(names, max_size=1).map(tuple),
)


def unmet(present: list[Package]) -> set[tuple[str, ...]]:
    there = {name for one in present for name in (one.name, *one.provides)}
    return {choice for one in present for choice in one.needs if not there.intersection(choice)}


@given(st.lists(packages, max_size=8, unique_by=lambda one: one.name), st.frozensets(names))
def test_removing_breaks_no_package_that_stays(present: list[Package], wanted: frozenset[str]) -> None:
    going, kept = removable(present, wanted)
    assert going | kept.keys() == wanted and not going & kept.keys()
    assert unmet([one for one in present if one.name not in going]) <= unmet(present)


@given(st.text())
def test_any_text_is_a_list(text: str) -> None:
    parse_dpkg(text)
    parse_apk(text)
