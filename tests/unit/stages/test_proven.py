"""The table agrees with the guests that are booted and the cases that are compared."""

from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.rows import BUSES, ROWS
from tests.guests.catalog import FOUR, GUESTS, Guest
from tests.linux_guests import debian, guest_os
from vmdk2kvm.model.guest_os import DeviceNames, FileSystem, Firmware, GuestOs, InitramfsTool, Mount, OsFamily
from vmdk2kvm.model.report import Level
from vmdk2kvm.stages.proven import SYSTEMS, Layout, Standing, layout_of, not_booted, render_page, standing

ROOT = Path(__file__).parents[3]
TOOLS = [tool.value for tool in InitramfsTool]
BOOTED = [system for system in SYSTEMS if system.standing is Standing.BOOTED]


def layout_in_the_catalog(guest: Guest) -> Layout:
    root = next(volume for volume in guest.volumes if volume.mountpoint == "/")
    (tool,) = (package for package in guest.packages if package in TOOLS)
    on_lvm = guest.volume_group and root.device.startswith(f"/dev/{guest.volume_group}/")
    return Layout(
        firmware=Firmware(guest.firmware),
        root=root.type,
        volume="LVM" if on_lvm else "a partition",
        tool=InitramfsTool(tool),
    )


def os(*, root: FileSystem | None = None, **changed: object) -> GuestOs:
    """A Debian 12 as in bios-ext4."""
    root = root or FileSystem(device="/dev/sda1", type="ext4", size_bytes=1, disk=0, partition=1)
    found = replace(
        guest_os(debian()),
        names=DeviceNames(filesystems=(root,)),
        mounts=(Mount(device=root.device, mountpoint="/", type=root.type),),
    )
    return replace(found, **changed)


@pytest.mark.parametrize("system", BOOTED, ids=lambda system: system.evidence[0])
def test_what_is_called_booted_is_a_row_of_the_tests(system: object) -> None:
    (name,) = system.evidence  # type: ignore[attr-defined]
    assert layout_in_the_catalog(GUESTS[name]) == system.layout  # type: ignore[attr-defined]
    assert {row.bus for row in ROWS if row.guest == name} == set(BUSES)


def test_every_guest_that_is_booted_is_called_so() -> None:
    assert [system.evidence for system in BOOTED] == [(guest.name,) for guest in FOUR]


def test_a_case_stands_behind_each_golden_row_and_nothing_behind_an_untested_one() -> None:
    for system in SYSTEMS:
        if system.standing is Standing.GOLDEN_ONLY:
            assert system.evidence
            assert all((ROOT / "tests/cases" / case / "plan.json").is_file() for case in system.evidence)
        assert system.evidence or system.standing is Standing.UNTESTED


def test_the_page_is_current() -> None:
    page = (ROOT / "docs/proven.md").read_text()
    assert page == render_page(), "write render_page() of stages/proven.py to docs/proven.md"


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, Standing.BOOTED),
        ({"initramfs_tool": InitramfsTool.DRACUT}, Standing.BOOTED),
        ({"version": "13"}, Standing.GOLDEN_ONLY),
        ({"firmware": Firmware.UEFI}, Standing.GOLDEN_ONLY),
        ({"arch": "aarch64"}, Standing.GOLDEN_ONLY),
        ({"initramfs_tool": None}, Standing.GOLDEN_ONLY),
        ({"id": "ubuntu"}, Standing.GOLDEN_ONLY),
        ({"id": "arch"}, Standing.UNTESTED),
        ({"id": "linuxmint"}, Standing.UNTESTED),
    ],
)
def test_standing(changed: dict[str, object], expected: Standing) -> None:
    found = os(**changed)
    assert standing(found) is expected
    assert [finding.level for finding in not_booted(found)] == (
        [] if expected is Standing.BOOTED else [Level.INFO]
    )


@pytest.mark.parametrize(
    ("device", "place", "lvm", "volume"),
    [
        ("/dev/sda1", {"disk": 0, "partition": 1}, True, "a partition"),
        ("/dev/sda", {"disk": 0}, False, "a whole disk"),
        ("/dev/vg0/root", {}, True, "LVM"),
        ("/dev/md127", {}, True, "RAID or device mapper"),
        ("/dev/mapper/crypt", {}, False, "RAID or device mapper"),
    ],
)
def test_what_the_root_lies_on(device: str, place: dict[str, int], lvm: bool, volume: str) -> None:
    root = FileSystem(device=device, type="xfs", size_bytes=1, **place)
    assert layout_of(os(root=root, lvm=lvm)).volume == volume


def test_the_finding_names_the_system_and_its_layout() -> None:
    (finding,) = not_booted(os(firmware=Firmware.UEFI, initramfs_tool=None, name="Evil\x1b[2J"))
    assert "\x1b" not in finding.message
    assert "UEFI, ext4 on a partition, no known initramfs tool, x86_64" in finding.message
    assert "only repairs of such files were tested" in finding.message
    (finding,) = not_booted(os(id="alpine"))
    assert finding.message.endswith("it is untested.")


def test_a_family_nobody_knows_has_a_finding_of_its_own() -> None:
    assert not list(not_booted(os(family=OsFamily.OTHER_LINUX, id="photon")))
