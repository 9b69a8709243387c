"""Labels of what a repair makes: looked up in the guest's lists, set by the interpreter."""

import hashlib
import json
from dataclasses import replace

import pytest

from tests.linux_guests import guest_os
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.fix import Fix, Planned, PlannedGuest
from vmdk2kvm.fixes.linux.selinux_labels import SELINUX_LABELS_FIX, selinux_labels_fix
from vmdk2kvm.fixes.selinux_policy import Policy, read_policy
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.guest.memory import File, Link, MemoryGuest
from vmdk2kvm.guest.protocol import CommandResult, FileType
from vmdk2kvm.model.changes import Change, CopyWithin, MakeSymlink, Relabel, RunCommand, SetLabel, WriteFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs, Mount
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding
from vmdk2kvm.stages import validate

LISTS = "/etc/selinux/targeted/contexts/files/file_contexts"
TARGETED = """\
/.*\tu:r:default_t:s0
/etc/.*\tu:r:etc_t:s0
/etc/x(/.*)?\tu:r:x_t:s0
/usr/bin/.*\t--\tu:r:bin_t:s0
/usr/lib/systemd/system(/.*)?\tu:r:systemd_unit_file_t:s0
/boot/.*\tu:r:boot_t:s0
/srv/.*\t<<none>>
"""
CONFIG = "SELINUX=enforcing\nSELINUXTYPE=targeted\n"
ROOT = Mount(device="/dev/sda1", mountpoint="/", type="ext4")
ESP = Mount(device="/dev/sda2", mountpoint="/boot/efi", type="vfat")


MINE = File(content=b"old", label="u:r:mine_t:s0")


def selinux_guest(
    files: dict[str, bytes | str | File | Link] | None = None, config: str = CONFIG
) -> MemoryGuest:
    return MemoryGuest(
        {
            "/etc/selinux/config": config,
            LISTS: TARGETED,
            f"{LISTS}.subs_dist": "/etc/systemd/system /usr/lib/systemd/system\n",
            "/boot/efi/there": b"",
            **(files or {}),
        },
        programs=run,
    )


def run(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
    """`make PATH…` makes files."""
    for path in argv[1:]:
        guest.make_folder(path.rpartition("/")[0])
        guest.write_bytes(path, b"made")
    return CommandResult(status=0, output="")


def fix(*changes: Change) -> Fix:
    def plan(guest: PlannedGuest, os: GuestOs) -> Planned:
        yield from changes

    return Fix(name="other", reason="", families=LINUX_FAMILIES, plan=plan)


def planned(guest: MemoryGuest, *changes: Change, last: Fix = SELINUX_LABELS_FIX) -> Plan:
    os = guest_os(MemoryGuest({}))
    return engine.plan((fix(*changes), last), guest, replace_mounts(os))


def replace_mounts(os: GuestOs) -> GuestOs:
    return replace(os, mounts=(ROOT, ESP))


def new(path: str, mode: int = 0o644) -> WriteFile:
    return WriteFile(path=path, before=None, after=b"new", mode=mode)


def labels(plan: Plan) -> dict[str, str]:
    return {one.change.path: one.change.label for one in plan.changes if isinstance(one.change, SetLabel)}


def test_new_files_folders_and_links_are_labelled_and_nothing_else() -> None:
    guest = selinux_guest({"/etc/old": MINE, "/etc/go": Link(target="a")})
    plan = planned(
        guest,
        new("/etc/x/y/z"),
        WriteFile(path="/etc/old", before=b"old", after=b"newer"),
        MakeSymlink(path="/etc/systemd/system/a.wants/u", before=None, target="/etc/x"),
        MakeSymlink(path="/etc/go", before="a", target="b"),
        new("/boot/efi/EFI/loader"),
        new("/srv/data"),
        new("/etc/run.sh", 0o755),
    )
    assert labels(plan) == {
        "/etc/x": "u:r:x_t:s0",
        "/etc/x/y": "u:r:x_t:s0",
        "/etc/x/y/z": "u:r:x_t:s0",
        "/etc/systemd": "u:r:etc_t:s0",
        "/etc/systemd/system": "u:r:systemd_unit_file_t:s0",
        "/etc/systemd/system/a.wants": "u:r:systemd_unit_file_t:s0",
        "/etc/systemd/system/a.wants/u": "u:r:systemd_unit_file_t:s0",
        "/etc/go": "u:r:etc_t:s0",
        "/srv": "u:r:default_t:s0",
        "/etc/run.sh": "u:r:bin_t:s0",
    }
    engine.apply(plan, guest, backup=True)
    assert {path: guest.label(path) for path in labels(plan)} == labels(plan)
    assert guest.label("/etc/old") == "u:r:mine_t:s0"
    assert guest.label("/boot/efi/EFI/loader") is None
    undo(guest)
    assert guest.label("/etc/old") == "u:r:mine_t:s0"
    assert not guest.exists("/etc/x") and not guest.exists("/etc/systemd") and not guest.exists("/srv")


def test_a_copy_gets_the_label_of_its_place() -> None:
    guest = selinux_guest({"/boot/a": File(content=b"a", label="u:r:boot_t:s0")})
    copy = CopyWithin(path="/etc/a", source="/boot/a", size_bytes=1, sha256=hashlib.sha256(b"a").hexdigest())
    assert labels(planned(guest, copy)) == {"/etc/a": "u:r:etc_t:s0"}


def test_what_programs_make_is_labelled_when_they_are_done() -> None:
    guest = selinux_guest({"/boot/kept": File(content=b"", label="u:r:mine_t:s0")})
    command = RunCommand(
        argv=("make", "/boot/image", "/boot/kept", "/boot/efi/x", "/srv/y", "/boot/new/z"),
        done_when="/boot/image",
        may_write=("/boot/", "/srv/"),
    )
    plan = planned(guest, command)
    assert [one.change.kind for one in plan.changes] == ["run-command", "relabel"]
    assert plan.changes[1].change == Relabel(path=LISTS, unlabelled=("/boot/efi",))
    engine.apply(plan, guest, backup=True)
    seen = {
        path: guest.label(path)
        for path in ("/boot/image", "/boot/kept", "/boot/efi/x", "/srv/y", "/boot/new")
    }
    assert seen == {
        "/boot/image": "u:r:boot_t:s0",
        "/boot/kept": "u:r:mine_t:s0",
        "/boot/efi/x": None,
        "/srv/y": None,
        "/boot/new": "u:r:boot_t:s0",
    }
    (journal,) = guest.glob("/var/lib/vmdk2kvm/*/journal.json")
    assert json.loads(guest.read_bytes(journal))["owed"] == []
    kinds = [one.change.kind for one in engine.unsettled(planned(guest, command)).changes]
    assert kinds == ["run-command", "relabel"]
    alone = replace(command, optional=True)
    assert engine.unsettled(planned(guest, alone)).changes == ()


def test_a_program_may_take_the_policy_away() -> None:
    guest = selinux_guest()
    guest.programs = lambda g, argv, env: g.remove(LISTS) or CommandResult(status=0, output="")
    plan = planned(guest, RunCommand(argv=("rpm", "-e"), done_when=None, may_write=("/usr/",), gone=(LISTS,)))
    assert engine.apply(plan, guest, backup=False).findings == ()


def test_a_path_that_cannot_be_labelled_is_told() -> None:
    guest = selinux_guest({f"{LISTS}.local": "/boot/(?=image).* u:r:c\n"})
    command = RunCommand(argv=("make", "/boot/image"), done_when="/boot/image", may_write=("/boot/",))
    applied = engine.apply(planned(guest, command), guest, backup=False)
    (finding,) = applied.findings
    assert finding.id == "selinux-unlabelled"
    assert '"/boot/image"' in finding.message and "restorecon" in finding.remedy


@pytest.mark.parametrize(
    "config",
    ["SELINUX=disabled\n", "#SELINUX=enforcing\n", "", "SELINUX=enforcing-not\n", "SELINUXTYPE=mls\n"],
)
def test_nothing_is_labelled_where_selinux_is_off(config: str) -> None:
    guest = selinux_guest(config=config)
    assert read_policy(guest) is None
    assert labels(planned(guest, new("/etc/x/y"))) == {}


@pytest.mark.parametrize("lists", [Link(target=LISTS), File(content=bytes(9 << 20))])
def test_lists_that_cannot_be_read_are_told(lists: File | Link) -> None:
    found = read_policy(selinux_guest({LISTS: lists}))
    assert isinstance(found, Finding)
    assert (found.id, LISTS in found.message) == ("selinux-policy-unread", True)


def test_the_last_resort_is_left_out_where_it_would_restart_a_test() -> None:
    guest = selinux_guest({f"{LISTS}.local": "/etc/(?!x).* u:r:c\n"})
    assert "/.autorelabel" in [
        getattr(one.change, "path", "") for one in planned(guest, new("/etc/z")).changes
    ]
    plan = planned(guest, new("/etc/z"), last=selinux_labels_fix(last_resort=False))
    assert [one.change.kind for one in plan.changes] == ["write-file"]


def test_the_witness_is_labelled_so_that_systemd_may_run_it() -> None:
    guest = selinux_guest(
        {"/usr/lib/systemd/systemd": b"", "/sbin/init": Link(target="/usr/lib/systemd/systemd")}
    )
    assert validate.place(guest, replace_mounts(guest_os(MemoryGuest({}))))
    assert guest.label("/etc/vmdk2kvm-witness.sh") == "u:r:bin_t:s0"
    assert guest.label("/etc/systemd/system/vmdk2kvm-witness.service") == "u:r:systemd_unit_file_t:s0"


def test_a_device_has_no_label_to_look_up() -> None:
    policy = read_policy(selinux_guest())
    assert isinstance(policy, Policy)
    assert policy.label("/etc/x", FileType.OTHER) is None
