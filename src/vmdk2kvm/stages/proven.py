"""Which systems were really booted after a migration, as data: the one place that says so.

A system is a distribution and how it is laid out. *booted*: a real guest of that kind is migrated and
booted on virtio by the tests; *golden only*: repairs of its files are compared with what must come
out, and no guest was booted; *untested*: neither.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum

from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.model.guest_os import Firmware, GuestOs, InitramfsTool, OsFamily
from vmdk2kvm.model.report import Finding, Level


class Standing(Enum):
    BOOTED = "booted"
    GOLDEN_ONLY = "golden only"
    UNTESTED = "untested"


@dataclass(frozen=True, slots=True, kw_only=True)
class Layout:
    firmware: Firmware
    root: str  # the type of the root file system
    volume: str = "a partition"  # what it lies on
    tool: InitramfsTool | None = InitramfsTool.INITRAMFS_TOOLS
    arch: str = "x86_64"

    def __str__(self) -> str:
        tool = self.tool.value if self.tool else "no known initramfs tool"
        return f"{self.firmware.value.upper()}, {self.root} on {self.volume}, {tool}, {self.arch}"


@dataclass(frozen=True, slots=True, kw_only=True)
class System:
    """`evidence` names the guests that are booted, or the cases whose trees have this system's shape."""

    name: str
    ids: frozenset[str]  # os-release ID
    version: str | None = None  # os-release VERSION_ID; None: any
    layout: Layout | None = None  # None: any
    standing: Standing = Standing.UNTESTED
    evidence: tuple[str, ...] = ()


def _debian_12(guest: str, layout: Layout) -> System:
    return System(
        name="Debian 12",
        ids=frozenset({"debian"}),
        version="12",
        layout=layout,
        standing=Standing.BOOTED,
        evidence=(guest,),
    )


def _any(name: str, *ids: str, cases: tuple[str, ...] = ()) -> System:
    standing = Standing.GOLDEN_ONLY if cases else Standing.UNTESTED
    return System(name=name, ids=frozenset(ids), standing=standing, evidence=cases)


_BIOS, _UEFI = Firmware.BIOS, Firmware.UEFI

# The first row that fits a guest is what is known of it.
SYSTEMS = (
    _debian_12("bios-ext4", Layout(firmware=_BIOS, root="ext4")),
    _debian_12("bios-dracut", Layout(firmware=_BIOS, root="ext4", tool=InitramfsTool.DRACUT)),
    _debian_12("bios-btrfs", Layout(firmware=_BIOS, root="btrfs")),
    _debian_12("uefi-lvm-xfs", Layout(firmware=_UEFI, root="xfs", volume="LVM")),
    _any(
        "Debian, others",
        "debian",
        cases=(
            "fstab-stable-names/debian-installer",
            "initramfs-resume/debian-installer",
            "kernel-cmdline-stable-root/xen",
        ),
    ),
    _any("Ubuntu", "ubuntu", cases=("kernel-cmdline-stable-root/defaults-and-drop-ins",)),
    _any("Fedora", "fedora", cases=("kernel-cmdline-stable-root/uefi-two-files",)),
    _any("RHEL", "rhel", cases=("fstab-stable-names/nothing-to-do",)),
    _any("CentOS, Rocky, Alma, Oracle", "centos", "rocky", "almalinux", "ol"),
    _any(
        "SLES",
        "sles",
        "sled",
        "suse",
        cases=("fstab-stable-names/names-by-id", "grub-device-map/by-id-and-floppy"),
    ),
    _any(
        "openSUSE",
        "opensuse-leap",
        "opensuse-tumbleweed",
        "opensuse",
        cases=("fstab-stable-names/btrfs-subvolumes-by-path", "kernel-cmdline-stable-root/btrfs-by-path"),
    ),
    _any("Arch", "arch"),
    _any("Alpine", "alpine"),
)


def standing(os: GuestOs) -> Standing:
    """What is known of systems like this one."""
    layout = layout_of(os)
    fitting = (
        system.standing
        for system in SYSTEMS
        if os.id in system.ids and system.version in (None, os.version) and system.layout in (None, layout)
    )
    return next(fitting, Standing.UNTESTED)


def layout_of(os: GuestOs) -> Layout:
    root = os.mounts[0]
    return Layout(
        firmware=os.firmware,
        root=root.type,
        volume=_volume(os, root.device),
        tool=os.initramfs_tool,
        arch=os.arch,
    )


def _volume(os: GuestOs, device: str) -> str:
    found = next((one for one in os.names.filesystems if one.device == device), None)
    if found is not None and found.disk is not None:
        return "a partition" if found.partition is not None else "a whole disk"
    return "LVM" if os.lvm and not device.startswith("/dev/md") else "RAID or device mapper"


_KNOWN = {
    Standing.GOLDEN_ONLY: "only repairs of such files were tested",
    Standing.UNTESTED: "it is untested",
}


def not_booted(os: GuestOs) -> Iterator[Finding]:
    """A finding, unless a system like this one was booted; one of no known family has its own."""
    known = _KNOWN.get(standing(os))
    if known is not None and os.family is not OsFamily.OTHER_LINUX:
        yield Finding(
            id="not-booted-by-us",
            level=Level.INFO,
            message=f'no system like "{visible(os.name)}" ({visible(str(layout_of(os)))}) has been booted'
            f" by us yet: {known}.",
            remedy="prove the result with --qemu-test; docs/proven.md lists what was booted.",
        )


def render_page() -> str:
    """docs/proven.md: the table, for people."""
    intro = (
        "# Proven\n\n"
        "Which systems have been booted after a migration. *booted*: the tests migrate a real guest of this\n"
        "kind and boot it on virtio; *golden only*: repairs of its files are compared with what must come\n"
        "out, no guest was booted; *untested*: neither, as is all that is not listed. `vmdk2kvm inspect`\n"
        "and the report say so of a guest that is not like a booted one.\n\n"
        "| system | layout | standing | evidence |\n|---|---|---|---|\n"
    )
    return intro + "".join(map(_row, SYSTEMS))


def _row(system: System) -> str:
    layout = str(system.layout) if system.layout else "any other" if system.ids == {"debian"} else "any"
    evidence = ", ".join(f"`{name}`" for name in system.evidence) or "none"
    return f"| {system.name} | {layout} | {system.standing.value} | {evidence} |\n"
