"""Tools, agent and cloud-init: what is planned, in which order, and what is never touched."""

from dataclasses import replace

import pytest

from tests.linux_guests import guest_os
from vmdk2kvm.fixes.catalog import FixOptions, chosen
from vmdk2kvm.fixes.engine import apply, converge, plan
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.fixes.vmware_packages import tools
from vmdk2kvm.guest.memory import File, Folder, Link, MemoryGuest, Node, Special
from vmdk2kvm.guest.protocol import CommandResult
from vmdk2kvm.model.changes import RunCommand, WriteFile
from vmdk2kvm.model.choices import CloudDatasource, PackageFile
from vmdk2kvm.model.guest_os import BootLoader, BootLoaderKind, Firmware, GuestOs
from vmdk2kvm.model.plan import Plan

IDENTITY = {
    "/etc/hostname": "web01\n",
    "/etc/hosts": "127.0.1.1 web01\n",
    "/etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/var/lib/dbus/machine-id": "0123456789abcdef0123456789abcdef\n",
    "/etc/ssh/ssh_host_ed25519_key": File(content=b"key", mode=0o600),
    "/etc/ssh/ssh_host_ed25519_key.pub": "ssh-ed25519 AAAA\n",
    "/root/.ssh/authorized_keys": "ssh-ed25519 AAAA admin\n",
}
STATUS = "Package: open-vm-tools\nStatus: install ok installed\nDepends: libc6\n\n"
# what dpkg wrote, and lines that a stranger may have added
LIST = "/.\n/etc\n/etc/vmware-tools\n/etc/vmware-tools/a\n/usr\n/usr/bin\n/usr/bin/vmtoolsd\n"
LIST += "/e\n/etc/selinux/config\n/usr/sbin/qemu-ga\n/etc/vmdk2kvm\n/var/cache/vm\n\nx\n"
FILES = {
    **IDENTITY,
    "/sbin/init": Link(target="/lib/systemd/systemd"),
    "/lib/systemd/systemd": "",
    "/usr/bin/apt-get": "",
    "/usr/bin/vmtoolsd": "",
    "/etc/cloud/cloud.cfg": "datasource_list: [ VMware ]\n",
    "/var/lib/dpkg/status": STATUS,
    "/var/lib/dpkg/info/open-vm-tools.list": LIST,
}
ALL = FixOptions(
    remove_vmware_tools=True, install_guest_agent=True, cloud_init_datasource=CloudDatasource.NONE
)
PACKAGE = PackageFile(name="qemu-guest-agent.deb", content=b"!<arch>\n")


def works(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
    if "dpkg" in argv:
        guest.remove("/var/lib/dpkg/info/open-vm-tools.list")
        guest.write_bytes("/var/lib/dpkg/status", b"")
        guest.remove("/usr/bin/vmtoolsd")
    else:
        guest.make_folder("/usr/sbin")
        guest.write_bytes("/usr/sbin/qemu-ga", b"")
        guest.remove(argv[-1])
    return CommandResult(status=0, output="")


def fails(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
    return CommandResult(status=100, output="E: no\n")


def planned(guest: MemoryGuest, options: FixOptions, os: GuestOs | None = None) -> Plan:
    return plan(chosen(options), guest, os or guest_os(MemoryGuest({})))


@pytest.mark.parametrize("packages", [(), (PACKAGE,)])
@pytest.mark.parametrize("programs", [works, fails])
def test_all_at_once_settles_keeps_who_the_machine_is_and_can_be_undone(
    packages: tuple[PackageFile, ...],
    programs: object,
) -> None:
    guest = MemoryGuest(FILES, programs=programs)  # type: ignore[arg-type]
    before = guest.snapshot()
    options = replace(ALL, guest_agent_packages=packages)
    os = guest_os(MemoryGuest({}))
    first = planned(guest, options, os)
    applied = apply(first, guest, backup=True)
    settled = converge(
        applied, chosen(options), guest, lambda: os, lambda *_: pytest.fail("it was not settled")
    )
    assert [each.id for each in settled.findings] == (
        ["command-failed"] * (1 + len(packages)) if programs is fails else []
    )
    assert {path: guest.snapshot()[path] for path in IDENTITY} == {path: before[path] for path in IDENTITY}
    undo(guest)
    after = guest.snapshot()
    by_programs = {"/var/lib/dpkg/info/open-vm-tools.list", "/var/lib/dpkg/status", "/usr/bin/vmtoolsd"}
    by_programs |= {"/usr/sbin/qemu-ga", "/usr/sbin"} if programs is works else set()
    differs = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert differs <= by_programs


def test_the_agent_that_could_not_be_installed_waits_in_the_guest() -> None:
    guest = MemoryGuest(FILES, programs=fails)
    options = FixOptions(install_guest_agent=True, guest_agent_packages=(PACKAGE,))
    apply(planned(guest, options), guest, backup=False)
    assert guest.read_bytes("/var/cache/vmdk2kvm/qemu-guest-agent.deb") == PACKAGE.content
    assert [one.change.kind for one in planned(guest, options).changes] == ["run-command"]


def test_without_a_wish_nothing_is_done_and_all_is_told() -> None:
    guest = MemoryGuest(FILES)
    found = planned(guest, FixOptions())
    assert found.changes == ()
    ids = {finding.id for finding in found.findings}
    assert {"vmware-tools-installed", "cloud-init-vmware-datasource"} <= ids
    assert all(finding.remedy for finding in found.findings)


def test_a_command_announces_the_files_of_its_package_and_not_the_folders_above() -> None:
    (leftover,) = tools(MemoryGuest(FILES))
    (command,) = leftover.changes
    assert isinstance(command, RunCommand)
    assert {"/etc/vmware-tools/a", "/usr/bin/vmtoolsd"} <= set(command.may_remove)
    announced = (*command.may_write, *command.may_remove)
    assert {"/", "/.", "/e", "/etc", "/usr", "/usr/bin", "/etc/", "/usr/"}.isdisjoint(announced)


@pytest.mark.parametrize(
    "name", ["open-vm-tools --force", "open-vm-tools;x", "libopen-vm-tools", "-open-vm-"]
)
def test_names_that_are_none_of_ours_reach_no_command(name: str) -> None:
    status = STATUS.replace("open-vm-tools", name)
    files = {"/var/lib/dpkg/status": status, "/var/lib/dpkg/info/open-vm-tools.list": ""}
    assert list(tools(MemoryGuest(files))) == []


def test_cloud_init_that_a_kernel_argument_switches_off_is_no_trap() -> None:
    guest = MemoryGuest(
        {**FILES, "/boot/grub/grub.cfg": "linux /vmlinuz root=UUID=1 cloud-init=disabled quiet\n"}
    )
    loader = BootLoader(kind=BootLoaderKind.GRUB2, firmware=Firmware.BIOS, files=("/boot/grub/grub.cfg",))
    os = guest_os(MemoryGuest({}))
    assert "cloud-init-vmware-datasource" in {one.id for one in planned(guest, FixOptions(), os).findings}
    quiet = planned(guest, FixOptions(), replace(os, boot_loaders=(loader,)))
    assert "cloud-init-vmware-datasource" not in {one.id for one in quiet.findings}


def test_a_pin_that_says_something_else_is_written_anew() -> None:
    pin = "/etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg"
    guest = MemoryGuest({**FILES, pin: "datasource_list: [ Ec2, None ]\n"})
    (one,) = planned(guest, FixOptions(cloud_init_datasource=CloudDatasource.NO_CLOUD)).changes
    assert isinstance(one.change, WriteFile) and one.change.path == pin
    assert one.change.before == b"datasource_list: [ Ec2, None ]\n"


@pytest.mark.parametrize("fstab", ["x", ".host:/ /mnt vmhgfs nofail 0 0\n"])
def test_a_shared_folder_that_may_be_absent_does_not_stop_the_boot(fstab: str) -> None:
    found = planned(MemoryGuest({"/etc/fstab": fstab}), FixOptions()).findings
    assert [one.level.value for one in found if one.id == "vmware-shared-folder"] == (
        ["warning"] if "host" in fstab else []
    )


NAMES = ("cloud-init-datasource", "vmware-tools", "guest-agent", "selinux-labels")
PLACES = [
    "/etc/fstab",
    "/etc/cloud/cloud.cfg",
    "/etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg",
    "/etc/cloud/ds-identify.cfg",
    "/var/lib/cloud/instance/datasource",
    "/etc/vmware-tools/locations",
    "/var/lib/dpkg/status",
    "/var/lib/dpkg/info/open-vm-tools.list",
    "/lib/apk/db/installed",
    "/etc/yum.repos.d/a.repo",
    "/etc/apt/sources.list",
    "/etc/X11/xorg.conf",
    "/etc/udev/rules.d/99-vmware-scsi-udev.rules",
    "/etc/modprobe.d/vmware-tools.conf",
    "/etc/modules",
    "/etc/systemd/system/mnt.mount",
    "/usr/bin/vmtoolsd",
    "/sbin/init",
    "/usr/bin/apt-get",
    "/usr/sbin/qemu-ga",
    "/etc/vmdk2kvm-guest-agent.sh",
    "/etc/systemd/system/multi-user.target.wants/vmdk2kvm-guest-agent.service",
    "/etc/selinux/config",
    "/etc/selinux/targeted/contexts/files/file_contexts",
    "/.autorelabel",
    "/var/cache/vmdk2kvm/qemu-guest-agent.deb",
]
OBJECTS = {
    "loop": Link(target="loop"),
    "away": Link(target="../../../../../../etc/passwd"),
    "pipe": Special(),
    "folder": Folder(),
    "large": File(content=b"\n" * (17 << 20)),
    "noise": File(content=bytes(range(256)) * 300),
}


@pytest.mark.parametrize("what", OBJECTS)
@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("packages", [(), (PACKAGE,)])
def test_whatever_stands_in_a_place_the_plan_is_made_or_told_of(
    place: str, what: str, packages: tuple[PackageFile, ...]
) -> None:
    files: dict[str, bytes | str | Node] = {
        **FILES,
        "/etc/selinux/config": "SELINUX=enforcing\n",
        place: OBJECTS[what],
    }
    if what == "loop":
        files[place] = Link(target=place)
    guest = MemoryGuest(files, programs=fails)
    os = guest_os(MemoryGuest({}))
    options = replace(ALL, guest_agent_packages=packages)
    found = plan(tuple(fix for fix in chosen(options) if fix.name in NAMES), guest, os)
    assert all(finding.remedy for finding in found.findings)
    apply(found, guest, backup=True)


def test_what_is_in_the_way_is_told_and_left() -> None:
    link = "/etc/systemd/system/multi-user.target.wants/vmdk2kvm-guest-agent.service"
    pin = "/etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg"
    guest = MemoryGuest({**FILES, link: "mine", "/etc/vmdk2kvm-guest-agent.sh": Special(), pin: Folder()})
    found = planned(guest, replace(ALL, remove_vmware_tools=False))
    ids = [one.id for one in found.findings]
    assert ids.count("guest-agent-in-the-way") == 2 and "cloud-init-in-the-way" in ids
    assert [one.change.path for one in found.changes if not isinstance(one.change, RunCommand)] == [
        "/etc/systemd/system/vmdk2kvm-guest-agent.service"
    ]


def test_a_link_to_another_unit_is_led_to_ours() -> None:
    link = "/etc/systemd/system/multi-user.target.wants/vmdk2kvm-guest-agent.service"
    guest = MemoryGuest({**FILES, link: Link(target="/dev/null")})
    apply(planned(guest, FixOptions(install_guest_agent=True)), guest, backup=False)
    assert guest.readlink(link) == "/etc/systemd/system/vmdk2kvm-guest-agent.service"
