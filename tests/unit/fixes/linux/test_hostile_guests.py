"""The name fixes on files no administrator wrote: they end soon, with an edit or a finding."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.fixes.linux.device_map import DEVICE_MAP_FIX
from vmdk2kvm.fixes.linux.fstab import fstab_fix
from vmdk2kvm.fixes.linux.initramfs_resume import INITRAMFS_RESUME_FIX
from vmdk2kvm.fixes.linux.kernel_cmdline import KERNEL_CMDLINE_FIX
from vmdk2kvm.guest.memory import Folder, Link, MemoryGuest
from vmdk2kvm.model.changes import WriteFile
from vmdk2kvm.model.choices import FstabMode
from vmdk2kvm.model.guest_os import (
    BootLoader,
    BootLoaderKind,
    DeviceNames,
    FileSystem,
    Firmware,
    GuestOs,
    OsFamily,
)
from vmdk2kvm.model.plan import Plan

GRUB_CONFIG = "/boot/grub/grub.cfg"
FSTAB_FIX = fstab_fix(FstabMode.STABILIZE_ALL)
ALL_FIXES = [FSTAB_FIX, KERNEL_CMDLINE_FIX, DEVICE_MAP_FIX, INITRAMFS_RESUME_FIX]
CONFIGURATIONS = [
    "/etc/fstab",
    GRUB_CONFIG,
    "/etc/default/grub",
    "/etc/default/grub.d/x.cfg",
    "/etc/kernel/cmdline",
    "/boot/grub/device.map",
    "/boot/grub2/device.map",
    "/etc/initramfs-tools/initramfs.conf",
    "/etc/initramfs-tools/conf.d/resume",
]


def system(*more: FileSystem, family: OsFamily = OsFamily.DEBIAN) -> GuestOs:
    root = FileSystem(device="/dev/sda1", type="ext4", size_bytes=1, uuid="root", disk=0, partition=1)
    swap = FileSystem(device="/dev/sda5", type="swap", size_bytes=1, uuid="swap", disk=0, partition=5)
    filesystems = (root, swap, *more)
    return GuestOs(
        family=family,
        id="debian",
        version="12",
        name="Debian",
        arch="x86_64",
        firmware=Firmware.BIOS,
        names=DeviceNames(
            filesystems=filesystems, by_name={each.device: each.device for each in filesystems}
        ),
        mounts=(),
        space=(),
        kernels=(),
        boot_loaders=(
            BootLoader(kind=BootLoaderKind.GRUB2, firmware=Firmware.BIOS, files=(GRUB_CONFIG,)),
            BootLoader(kind=BootLoaderKind.EXTLINUX, firmware=Firmware.BIOS, files=("/boot/ext.cfg",)),
        ),
        initramfs_tool=None,
        fstab=None,
    )


@contextmanager
def soon() -> Iterator[None]:
    started = time.monotonic()
    yield
    assert time.monotonic() - started < 40


def planned(fix: Fix, path: str, text: str, os: GuestOs | None = None) -> Plan:
    with soon():
        return engine.plan([fix], MemoryGuest({path: text}), os or system())


def after_of(plan: Plan) -> str:
    (item,) = plan.changes
    assert isinstance(item.change, WriteFile)
    return item.change.after.decode()


def ids(plan: Plan) -> list[str]:
    return [finding.id for finding in plan.findings]


def test_an_fstab_of_ten_megabytes_is_left_alone() -> None:
    plan = planned(FSTAB_FIX, "/etc/fstab", "/dev/sda1 / ext4 defaults 0 1\n" * 350_000)
    assert (plan.changes, ids(plan)) == ((), ["file-left-unread"])
    assert "10 MiB, over 1 MiB" in plan.findings[0].message


def test_noop_changes_and_reports_nothing() -> None:
    plan = planned(fstab_fix(FstabMode.NOOP), "/etc/fstab", "/dev/sdz1 / ext4\n/dev/sda1 / ext4\n")
    assert (plan.changes, plan.findings) == ((), ())


def test_an_fstab_of_one_megabyte_is_edited() -> None:
    text = "/dev/sda1 / ext4\n" * 60_000
    assert after_of(planned(FSTAB_FIX, "/etc/fstab", text)) == text.replace("/dev/sda1", "UUID=root")


def test_findings_of_one_file_are_bounded() -> None:
    plan = planned(FSTAB_FIX, "/etc/fstab", "".join(f"/dev/sdz{n} / ext4\n" for n in range(30_000)))
    assert ids(plan) == ["fstab-unresolved-name"] * 20 + ["findings-cut-off"]
    assert "29980 more" in plan.findings[-1].message


@pytest.mark.parametrize(
    "line",
    [
        "btrfsvol:" + "/dev/sda1" * 100_000 + " / btrfs",
        "btrfsvol:" + "/" * 900_000 + " / btrfs",
        "/dev/sda5 none swap " + "device=/dev/sdz," * 60_000,
        "/dev/sda5 none swap " + '"' * 900_000,
        "/dev/sda5 none swap " + "\\040" * 250_000,
        "/dev/sda5 " * 90_000,
        "/dev/nvme" + "0" * 900_000 + " / ext4",
    ],
    ids=lambda line: line[:30],
)
def test_one_endless_line(line: str) -> None:
    plan = planned(FSTAB_FIX, "/etc/fstab", line)
    assert plan.changes or plan.findings


def test_a_hundred_thousand_arguments_for_one_kernel() -> None:
    text = "linux /vmlinuz " + "root=/dev/sda1 " * 100_000 + "x=/dev/sdb1\ninitrd /i\n"
    plan = planned(KERNEL_CMDLINE_FIX, GRUB_CONFIG, text)
    assert after_of(plan) == text.replace("/dev/sda1", "UUID=root")
    assert ids(plan) == ["kernel-cmdline-other-argument"]


def test_a_hundred_thousand_kernels() -> None:
    text = "linux /k root=/dev/sdz1 x\n" * 100_000
    assert ids(planned(KERNEL_CMDLINE_FIX, GRUB_CONFIG, text)) == ["kernel-cmdline-unresolved-name"]


def test_a_hundred_thousand_arguments_in_the_defaults() -> None:
    text = 'GRUB_CMDLINE_LINUX="' + 'a=\\"b\\" root=/dev/sda1 ' * 100_000 + '"\n'
    assert after_of(planned(KERNEL_CMDLINE_FIX, "/etc/default/grub", text)) == text.replace(
        "/dev/sda1", "UUID=root"
    )


def test_a_hundred_thousand_arguments_in_the_kernel_cmdline() -> None:
    text = "root=/dev/sda1 " * 100_000
    assert after_of(planned(KERNEL_CMDLINE_FIX, "/etc/kernel/cmdline", text)) == text.replace(
        "/dev/sda1", "UUID=root"
    )


def test_a_menu_over_four_megabytes_is_left_alone() -> None:
    assert ids(planned(KERNEL_CMDLINE_FIX, GRUB_CONFIG, "linux /k root=/dev/sda1\n" * 200_000)) == [
        "file-left-unread"
    ]


def test_labels_cannot_break_out_of_a_configuration() -> None:
    evil = FileSystem(device="/dev/sdb1", type="ext4", size_bytes=1, label='$(reboot) "; x', uuid="a\nb")
    defaults = planned(
        KERNEL_CMDLINE_FIX, "/etc/default/grub", 'GRUB_CMDLINE_LINUX="root=/dev/sdb1"\n', system(evil)
    )
    assert (defaults.changes, ids(defaults)) == ((), ["kernel-cmdline-no-stable-name"])
    fstab = planned(FSTAB_FIX, "/etc/fstab", "/dev/sdb1 / ext4\n", system(evil))
    assert (fstab.changes, ids(fstab)) == ((), ["fstab-no-stable-name"])


def test_exactly_as_many_findings_as_are_shown() -> None:
    plan = planned(FSTAB_FIX, "/etc/fstab", "".join(f"/dev/sdz{n} / ext4\n" for n in range(20)))
    assert ids(plan) == ["fstab-unresolved-name"] * 20


def test_a_device_that_holds_nothing_known() -> None:
    blank = FileSystem(device="/dev/sdb1", type="", size_bytes=1)
    plan = planned(FSTAB_FIX, "/etc/fstab", "/dev/sdb1 /x ext4\n", system(blank))
    assert ids(plan) == ["fstab-contradicting-type"]
    assert "holds nothing known, which" in plan.findings[0].message


def test_findings_show_no_control_characters() -> None:
    plan = planned(FSTAB_FIX, "/etc/fstab", "/dev/nvme\x1b[2J / ext4\n")
    assert "\\x1b[2J" in plan.findings[0].message
    assert "\x1b" not in plan.findings[0].message


def test_a_guest_without_any_of_the_files() -> None:
    plan = engine.plan(ALL_FIXES, MemoryGuest({}), system())
    assert (plan.changes, plan.findings) == ((), ())


@pytest.mark.parametrize(
    ("fix", "path"), [(FSTAB_FIX, CONFIGURATIONS[0]), (DEVICE_MAP_FIX, CONFIGURATIONS[5])]
)
def test_links_are_not_followed_where_a_file_belongs(fix: Fix, path: str) -> None:
    plan = engine.plan([fix], MemoryGuest({path: Link(target="/x"), "/x": "/dev/sda1 / ext4"}), system())
    assert (plan.changes, ids(plan)) == ((), ["file-left-unread"])


@pytest.mark.parametrize("path", CONFIGURATIONS)
def test_folders_in_the_place_of_files(path: str) -> None:
    plan = engine.plan(ALL_FIXES, MemoryGuest({path: Folder()}), system())
    assert (plan.changes, ids(plan)) == ((), ["file-left-unread"])
    assert path in plan.findings[0].message


@pytest.mark.parametrize("path", CONFIGURATIONS)
def test_links_in_a_circle(path: str) -> None:
    plan = engine.plan(ALL_FIXES, MemoryGuest({path: Link(target=path)}), system())
    assert (plan.changes, ids(plan)) == ((), ["file-left-unread"])


@pytest.mark.parametrize("folder", ["/etc/default/grub.d", "/etc/initramfs-tools/conf.d"])
def test_a_circle_of_links_leaves_the_files_beside_it_to_the_fixes(folder: str) -> None:
    text = 'GRUB_CMDLINE_LINUX="root=/dev/sda1"\nRESUME=/dev/sda5\n'
    circle = {f"{folder}/a.cfg": Link(target="b.cfg"), f"{folder}/b.cfg": Link(target=f"{folder}/a.cfg")}
    beside = {f"{folder}/0.cfg": text, f"{folder}/c.cfg": text}
    plan = engine.plan(ALL_FIXES, MemoryGuest({**beside, **circle}), system())
    assert [each.change.path for each in plan.changes if isinstance(each.change, WriteFile)] == [*beside]
    assert [each.message for each in plan.findings] == [
        f'"{path}" in the guest was left as it is: '
        f'"{path}" in the guest leads through more than 40 symbolic links.'
        for path in circle
    ]


def test_a_folder_that_links_to_itself() -> None:
    guest = MemoryGuest({"/boot/grub": Link(target="/boot/grub")})
    plan = engine.plan([DEVICE_MAP_FIX], guest, system())
    assert (plan.changes, ids(plan)) == ((), ["file-left-unread"])


def test_a_link_to_nothing_is_no_file() -> None:
    plan = engine.plan([KERNEL_CMDLINE_FIX], MemoryGuest({"/etc/default/grub": Link(target="/x")}), system())
    assert (plan.changes, plan.findings) == ((), ())


def test_other_boot_loaders_files_are_not_grubs() -> None:
    guest = MemoryGuest({"/boot/ext.cfg": "linux /k root=/dev/sda1\ninitrd /i\n"})
    assert engine.plan([KERNEL_CMDLINE_FIX], guest, system()).changes == ()


@pytest.mark.parametrize("fix", ALL_FIXES, ids=lambda fix: fix.name)
def test_no_fix_concerns_windows(fix: Fix) -> None:
    assert OsFamily.WINDOWS not in fix.families
    assert OsFamily.OTHER_LINUX in fix.families
