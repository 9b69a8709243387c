"""The fixes for storage on files no administrator wrote: they end soon, with an edit or a finding."""

import pytest

from tests.unit.fixes.linux.test_hostile_guests import after_of, ids, planned, system
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.fixes.linux.kdump_target import KDUMP_TARGET_FIX
from vmdk2kvm.fixes.linux.lvm_devices import LVM_DEVICES_FIX
from vmdk2kvm.fixes.linux.mdadm_conf import MDADM_CONF_FIX
from vmdk2kvm.fixes.linux.multipath import MULTIPATH_FIX
from vmdk2kvm.fixes.linux.systemd_units import SYSTEMD_UNITS_FIX
from vmdk2kvm.guest.memory import Folder, Link, MemoryGuest
from vmdk2kvm.model.guest_os import FileSystem, OsFamily

VOLUME = FileSystem(device="/dev/sdb2", type="LVM2_member", size_bytes=1, uuid="a-b", disk=1, partition=2)
UNIT = "/etc/systemd/system/x.mount"
PLACES = [
    (MDADM_CONF_FIX, "/etc/mdadm.conf"),
    (MDADM_CONF_FIX, "/etc/mdadm/mdadm.conf"),
    (LVM_DEVICES_FIX, "/etc/lvm/devices/system.devices"),
    (LVM_DEVICES_FIX, "/etc/lvm/lvm.conf"),
    (LVM_DEVICES_FIX, "/etc/lvm/lvmlocal.conf"),
    (MULTIPATH_FIX, "/etc/multipath.conf"),
    (KDUMP_TARGET_FIX, "/etc/kdump.conf"),
    (SYSTEMD_UNITS_FIX, UNIT),
]
FIXES = list(dict.fromkeys(fix for fix, _ in PLACES))
every_place = pytest.mark.parametrize(
    ("fix", "path"), PLACES, ids=lambda value: getattr(value, "name", value)
)


@every_place
def test_a_file_of_ten_megabytes_is_left_alone(fix: Fix, path: str) -> None:
    plan = planned(fix, path, "DEVICE /dev/sda1\n" * 600_000, system(VOLUME))
    assert (plan.changes, ids(plan)) == ((), ["file-left-unread"])


@every_place
def test_a_folder_in_the_place_of_a_file(fix: Fix, path: str) -> None:
    plan = engine.plan([fix], MemoryGuest({path: Folder()}), system(VOLUME))
    assert plan.changes == ()
    assert ids(plan) == ([] if path == UNIT else ["file-left-unread"])


@every_place
def test_links_in_a_circle(fix: Fix, path: str) -> None:
    plan = engine.plan([fix], MemoryGuest({path: Link(target=path)}), system(VOLUME))
    assert plan.changes == ()
    assert ids(plan) in ([], ["file-left-unread"])


def test_a_guest_without_any_of_the_files() -> None:
    plan = engine.plan(FIXES, MemoryGuest({}), system(VOLUME))
    assert (plan.changes, plan.findings) == ((), ())


@pytest.mark.parametrize("fix", FIXES, ids=lambda fix: fix.name)
def test_no_fix_concerns_windows(fix: Fix) -> None:
    assert OsFamily.WINDOWS not in fix.families
    assert OsFamily.OTHER_LINUX in fix.families


def test_thousands_of_patterns() -> None:
    words = " ".join(f"/dev/sd[a-c]{n}*" for n in range(5_000))
    assert after_of(planned(MDADM_CONF_FIX, "/etc/mdadm.conf", f"DEVICE {words}\n")) == "DEVICE partitions\n"


def test_thousands_of_arrays_without_identity() -> None:
    text = "".join(f"ARRAY /dev/md{n} devices=/dev/sdz{n}\n" for n in range(3_000))
    plan = planned(MDADM_CONF_FIX, "/etc/mdadm.conf", text)
    assert ids(plan) == ["mdadm-array-without-identity"] * 20 + ["findings-cut-off"]


def test_expressions_made_to_take_forever() -> None:
    expressions = ", ".join(f'"a|(a*)*{n}|", "a|{"a*" * 20}$|"' for n in range(2_000))
    text = f'devices {{ filter = [ {expressions}, "r|.*|" ] }}\n'
    plan = planned(LVM_DEVICES_FIX, "/etc/lvm/lvm.conf", text, system(VOLUME))
    assert (plan.changes, ids(plan)) == ((), ["lvm-filter-not-understood"])


def test_thousands_of_filters() -> None:
    text = 'devices { filter = [ "a|sd|", "r|.*|" ] }\n' * 5_000
    after = after_of(planned(LVM_DEVICES_FIX, "/etc/lvm/lvm.conf", text, system(VOLUME)))
    assert after == text.replace('"a|sd|"', '"a|vd|", "a|sd|"')


def test_thousands_of_entries_without_a_disk_of_the_guest() -> None:
    text = "IDTYPE=sys_wwid IDNAME=x PVID=y\n" * 30_000
    assert planned(LVM_DEVICES_FIX, "/etc/lvm/devices/system.devices", text).changes == ()


def test_thousands_of_wwids() -> None:
    text = "".join(f"multipath {{ wwid 36000c29{n} alias \x1b[2J }}\n" for n in range(20_000))
    plan = planned(MULTIPATH_FIX, "/etc/multipath.conf", text)
    assert ids(plan) == ["multipath-vmware-wwid"] * 20 + ["findings-cut-off"]
    assert all("\x1b" not in each.message for each in plan.findings)


def test_thousands_of_settings_in_a_unit() -> None:
    text = "[Mount]\n" + "What=/dev/sda1\n" * 40_000 + "[Unit]\n" + "After=dev-sda1.device\n" * 20_000
    after = after_of(planned(SYSTEMD_UNITS_FIX, UNIT, text))
    assert after.count("What=/dev/disk/by-uuid/root\n") == 40_000
    assert "/dev/sda1" not in after and "dev-sda1" not in after


def test_a_label_cannot_break_out_of_a_unit() -> None:
    evil = FileSystem(device="/dev/sdb1", type="ext4", size_bytes=1, label="x\n[Service]\nExecStart=/x")
    plan = planned(SYSTEMD_UNITS_FIX, UNIT, "[Mount]\nWhat=/dev/sdb1\n", system(evil))
    assert (plan.changes, ids(plan)) == ((), ["systemd-unit-no-stable-name"])
