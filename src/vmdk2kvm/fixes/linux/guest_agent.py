"""The QEMU guest agent, with `install_guest_agent`: from package files, else at the first start on KVM.

The appliance has no network. Package files (`guest_agent_package`) are put into the guest and installed
by its package manager, which takes nothing else in and nothing out. Without them a small unit waits
for the network at the first start, installs the agent, and removes itself.
"""

from functools import partial

from vmdk2kvm.fixes.fix import Fix, Planned, PlannedGuest
from vmdk2kvm.fixes.guest_text import read_guest_text, stands
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import FileType, GuestReader
from vmdk2kvm.model.changes import MakeSymlink, RunCommand, WriteFile
from vmdk2kvm.model.choices import PackageFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Finding, Level

FOLDER = "/var/cache/vmdk2kvm"
_AGENTS = ("/usr/sbin/qemu-ga", "/usr/bin/qemu-ga")
_NAME = "vmdk2kvm-guest-agent"
SCRIPT = f"/etc/{_NAME}.sh"
UNIT = f"/etc/systemd/system/{_NAME}.service"
LINK = f"/etc/systemd/system/multi-user.target.wants/{_NAME}.service"
_MAY_WRITE = (
    *("/usr/", "/lib/", "/var/", "/etc/qemu", "/etc/default/qemu", "/etc/sysconfig/qemu", "/etc/init.d/"),
    *(
        "/etc/rc",
        "/etc/systemd/system/",
        "/etc/apparmor.d/",
        "/etc/ld.so.cache",
        "/etc/apk/",
        "/run/",
        "/tmp/",
    ),
)
# Each file, then the command for it; each refuses, as a whole, what cannot be complete.
_FROM_FILES = (
    (".deb", "/usr/bin/apt-get", "apt-get install -y --no-download --no-install-recommends --no-remove"),
    (".rpm", "/usr/bin/rpm", "rpm -i"),
    (".apk", "/sbin/apk", "apk add --no-network --allow-untrusted"),
    (".pkg.tar.zst", "/usr/bin/pacman", "pacman -U --noconfirm"),
)
_FROM_NETWORK = (
    ("/usr/bin/apt-get", "apt-get update && apt-get install -y qemu-guest-agent"),
    ("/usr/bin/zypper", "zypper --non-interactive install qemu-guest-agent"),
    ("/usr/bin/dnf", "dnf install -y qemu-guest-agent"),
    ("/usr/bin/yum", "yum install -y qemu-guest-agent"),
    ("/usr/bin/pacman", "pacman -Sy --noconfirm qemu-guest-agent"),
)
# Type=simple: the start of the machine does not wait for a network that may not be there.
_UNIT_TEXT = f"""\
[Unit]
Description=Install the QEMU guest agent
After=network.target

[Service]
Type=simple
ExecStart={SCRIPT}
"""
_SCRIPT_TEXT = """\
#!/bin/sh
# The machine came from VMware. Installs the QEMU guest agent once there is a network, and removes itself;
# after half an hour it gives up until the next start.
export DEBIAN_FRONTEND=noninteractive
tries=0
until {command}; do
    tries=$((tries + 1))
    [ $tries -lt 60 ] || exit 1
    sleep 30
done
systemctl start qemu-guest-agent.service
rm -f {link} {unit} {script}
systemctl daemon-reload
"""


def guest_agent_fix(*, install: bool, packages: tuple[PackageFile, ...]) -> Fix:
    return Fix(
        name="guest-agent",
        reason="the host asks the guest for addresses, quiet file systems and a clean end through it",
        families=LINUX_FAMILIES,
        plan=partial(_plan, install, packages),
    )


def _plan(install: bool, packages: tuple[PackageFile, ...], guest: PlannedGuest, os: GuestOs) -> Planned:
    del os
    if install and packages:
        yield from _from_files(packages, guest)
    elif install:
        yield from _at_first_start(guest)


def _from_files(packages: tuple[PackageFile, ...], guest: GuestReader) -> Planned:
    names = ", ".join(f'"{visible(one.name)}"' for one in packages)
    command = _command_for(packages, guest)
    if command is None:
        yield _finding(
            "wrong-package",
            f"{names}: the guest's package manager does not take such files.",
            "give files of the kind it takes (.deb, .rpm, .apk, .pkg.tar.zst), or none for the first start.",
            Level.WARNING,
        )
        return
    yield _finding(
        "from-package",
        f"the QEMU guest agent comes from {names}; one that is there already stays.",
        "give the machine a virtio-serial channel called org.qemu.guest_agent.0.",
    )
    if any(map(guest.exists, _AGENTS)):
        return
    for one in packages:
        yield from _file(guest, f"{FOLDER}/{one.name}", one.content, 0o644)
    yield RunCommand(
        argv=(
            "sh",
            "-c",
            f'{command} "$@" && rm -f "$@"',
            "sh",
            *(f"{FOLDER}/{one.name}" for one in packages),
        ),
        done_when=None,
        gone=tuple(f"{FOLDER}/{one.name}" for one in packages),
        may_write=_MAY_WRITE,
        optional=True,
    )


def _command_for(packages: tuple[PackageFile, ...], guest: GuestReader) -> str | None:
    for suffix, program, command in _FROM_FILES:
        if all(one.name.endswith(suffix) for one in packages):
            return f"DEBIAN_FRONTEND=noninteractive {command}" if guest.exists(program) else None
    return None


def _at_first_start(guest: GuestReader) -> Planned:
    if any(map(guest.exists, _AGENTS)):
        yield _finding("present", "the guest has the QEMU guest agent already.", "nothing.")
        return
    command = next((command for program, command in _FROM_NETWORK if guest.exists(program)), None)
    if command is None or not _starts_systemd(guest):
        why = "its init is not systemd" if command else "no package manager known here is there"
        yield _finding(
            "not-installed",
            f"the QEMU guest agent cannot be installed at the first start: {why}.",
            "install qemu-guest-agent in the guest after the move, or give guest_agent_package.",
            Level.WARNING,
        )
        return
    yield _finding(
        "at-first-start",
        "the QEMU guest agent is installed at the first start with a network; until then there is none.",
        "give the machine a network that reaches its repositories, and a channel org.qemu.guest_agent.0.",
    )
    text = _SCRIPT_TEXT.format(command=command, link=LINK, unit=UNIT, script=SCRIPT)
    yield from _file(guest, SCRIPT, text.encode(), 0o755)
    yield from _file(guest, UNIT, _UNIT_TEXT.encode(), 0o644)
    yield from _link(guest)


def _starts_systemd(guest: GuestReader) -> bool:
    return guest.exists("/sbin/init") and guest.realpath("/sbin/init").endswith("/systemd")


def _link(guest: GuestReader) -> Planned:
    if not stands(guest, LINK):
        yield MakeSymlink(path=LINK, before=None, target=UNIT)
    elif guest.stat(LINK).type is not FileType.SYMLINK:
        yield _in_the_way(LINK)
    elif guest.readlink(LINK) != UNIT:
        yield MakeSymlink(path=LINK, before=guest.readlink(LINK), target=UNIT)


def _file(guest: GuestReader, path: str, content: bytes, mode: int) -> Planned:
    found = read_guest_text(guest, path, limit_bytes=16 << 20)
    if isinstance(found, Finding):
        yield _in_the_way(path)
    elif found is None or found.before != content:
        yield WriteFile(path=path, before=found.before if found else None, after=content, mode=mode)


def _in_the_way(path: str) -> Finding:
    message = (
        f'"{visible(path)}" is no regular file of a usual size, so the QEMU guest agent is not installed.'
    )
    return _finding("in-the-way", message, "move it away in the guest, then run again.", Level.WARNING)


def _finding(id: str, message: str, remedy: str, level: Level = Level.INFO) -> Finding:
    return Finding(id=f"guest-agent-{id}", level=level, message=message, remedy=remedy)
