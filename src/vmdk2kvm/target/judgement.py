"""From what a witness reports to whether the guest booted.

Booted means: root on the target's disk, the default target reached, and every local fstab entry
without noauto or nofail active. Failed units and network mounts, which cannot come up on an
isolated network, are findings.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from vmdk2kvm.formats import fstab
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.model.report import BootBus, Finding, Level
from vmdk2kvm.target.console import FailureName

_DRIVER = {
    BootBus.VIRTIO_BLK: "virtio_blk",
    BootBus.VIRTIO_SCSI: "virtio_scsi",
    BootBus.PVSCSI: "vmw_pvscsi",
    BootBus.AHCI: "ahci",
    BootBus.SATA: "ahci",
}
_NETWORK_TYPES = frozenset((
    "9p", "afs", "ceph", "cifs", "davfs", "fuse.ceph", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs",
    "glusterfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs", "sshfs",
))  # fmt: skip
_OCTAL = re.compile(r"\\([0-7]{3})")
_MAX_SHOWN = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """`failure` is None for a guest that booted; `detail` says what exactly is wrong."""

    failure: FailureName | None
    detail: str
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Mounted:
    device_number: str  # "254:1"
    mountpoint: str
    type: str
    source: str


def judge(report: Mapping[str, str], bus: BootBus) -> Judgement:
    """`report` is a whole frame of the witness (all of REQUIRED_FACTS)."""
    failure, detail = _failure(report, bus)
    return Judgement(
        failure=failure,
        detail=detail,
        facts=tuple((name, visible(value)[:1000]) for name, value in _facts(report) if value),
        findings=(*_failed_units(report), *_network_mounts(report)),
    )


def _failure(report: Mapping[str, str], bus: BootBus) -> tuple[FailureName | None, str]:
    default, emergency, rescue = (report["states"].split() + ["unknown"] * 3)[:3]
    inactive = [entry.mountpoint for entry in _inactive(report, network=False)]
    if default != "active":
        causes = [
            *(f"{unit} failed" for unit in _unit_names(report)),
            *(f"{at} not active" for at in inactive),
        ]
        return _fallen(emergency, rescue), visible("; ".join([f"default.target is {default}", *causes]))
    if (elsewhere := _root_elsewhere(report, _DRIVER[bus])) is not None:
        return FailureName.NOT_ON_TARGET_DISK, visible(elsewhere)
    if inactive:
        return FailureName.FSTAB_NOT_ACTIVE, visible(", ".join(inactive))
    return None, ""


def _fallen(emergency: str, rescue: str) -> FailureName:
    if emergency == "active":
        return FailureName.EMERGENCY_MODE
    return FailureName.RESCUE_MODE if rescue == "active" else FailureName.TIME_OUT


def _root_elsewhere(report: Mapping[str, str], driver: str) -> str | None:
    """Why root is not on a disk driven by `driver`, None when it is."""
    devices = {row[0]: row for row in _rows(report["block-devices"], fields=5)}
    root = _root_device(report, devices)
    disks = _disks_below(root, devices)
    for disk in disks:
        drivers = devices[disk][4] if disk in devices else "nothing that is a block device"
        if driver not in drivers.split(","):
            return f"root is on {disk}, driven by {drivers.strip(',')}, not by {driver}"
    return None if disks else f"root is on {root}, which stands on no disk"


def _root_device(report: Mapping[str, str], devices: Mapping[str, list[str]]) -> str:
    """The kernel's name of the root's device. btrfs shows a device number of its own, so a
    number that no device has gives way to the source that findmnt(8) names."""
    number = next((m.device_number for m in _mounted(report) if m.mountpoint == "/"), "")
    by_number = next((name for name, row in devices.items() if row[1] == number), None)
    return by_number or report["root-device"].rpartition("/")[2]


def _disks_below(root: str, devices: Mapping[str, list[str]]) -> list[str]:
    """The whole disks a device stands on, through device-mapper, md and partitions."""
    disks, seen, open_ends = [], {root}, [root]
    while open_ends:
        name = open_ends.pop()
        row = devices.get(name, [name, "", name, "-", "-"])
        below = [slave for slave in row[3].split(",") if slave not in ("", "-")]
        if not below and row[2] != name:
            below = [row[2]]  # a partition: its disk
        if not below:
            disks.append(name)
        open_ends += [device for device in below if device not in seen]
        seen.update(below)
    return disks


def _inactive(report: Mapping[str, str], *, network: bool) -> Iterator[fstab.Entry]:
    """The fstab entries that should be active and are not; network file systems, or local ones."""
    resolved = {row[0]: row[1:] for row in _rows(report.get("fstab-resolved", ""), fields=3, separator="\t")}
    mounted = {mount.mountpoint for mount in _mounted(report)}
    swaps = {_unescape(row[0]) for row in _rows(report.get("/proc/swaps", ""), fields=2)[1:]}
    for entry in fstab.entries(report.get("/etc/fstab", "")):
        options = (entry.options or "").split(",")
        if "noauto" in options or "nofail" in options or entry.type == "ignore":
            continue
        if network is not (entry.type in _NETWORK_TYPES or "_netdev" in options):
            continue
        device, where = resolved.get(str(entry.line), [entry.spec, entry.mountpoint])
        if entry.type == "swap":
            if device not in swaps:
                yield entry
        elif entry.mountpoint.startswith("/") and not {where, entry.mountpoint} & mounted:
            yield entry


def _mounted(report: Mapping[str, str]) -> list[_Mounted]:
    """proc_pid_mountinfo(5), the newest mount of a place first."""
    mounts = []
    for line in report["/proc/self/mountinfo"].split("\n"):
        left, _, right = line.partition(" - ")
        fields, rest = left.split(" "), right.split(" ")
        if len(fields) >= 6 and len(rest) >= 2:
            mounts.append(
                _Mounted(
                    device_number=fields[2],
                    mountpoint=_unescape(fields[4]),
                    type=rest[0],
                    source=_unescape(rest[1]),
                )
            )
    return mounts[::-1]


def _failed_units(report: Mapping[str, str]) -> Iterator[Finding]:
    for unit in _unit_names(report):
        yield Finding(
            id="boot-failed-unit",
            level=Level.WARNING,
            message=f'the unit "{visible(unit)}" failed in the boot test.',
            remedy=f"see `systemctl status {visible(unit)}` in the guest; a unit that needs the network "
            "may fail because the boot test isolates the guest.",
        )


def _network_mounts(report: Mapping[str, str]) -> Iterator[Finding]:
    for entry in list(_inactive(report, network=True))[:_MAX_SHOWN]:
        yield Finding(
            id="boot-network-mount",
            level=Level.INFO,
            message=f'the network mount "{visible(entry.mountpoint)}" was not active in the boot test.',
            remedy="the boot test isolates the guest from every network; check the mount after the move.",
        )


def _unit_names(report: Mapping[str, str]) -> list[str]:
    return [row[0] for row in _rows(report.get("failed-units", ""), fields=1)][:_MAX_SHOWN]


def _facts(report: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    yield "kernel", report["/proc/sys/kernel/osrelease"]
    pretty = re.search(r'^PRETTY_NAME="?([^"\n]*)"?$', report.get("/etc/os-release", ""), re.MULTILINE)
    yield "os", pretty[1] if pretty else ""
    yield "cmdline", report.get("/proc/cmdline", "")
    root = next((mount for mount in _mounted(report) if mount.mountpoint == "/"), None)
    yield "root", f"{root.source} {root.type}" if root else ""
    disks = [row for row in _rows(report["block-devices"], fields=5) if row[0] == row[2] and row[4] != "-"]
    yield "disks", ", ".join(f"{row[0]} ({row[4].strip(',')})" for row in disks)
    for row in _rows(report.get("interfaces", ""), fields=4)[:_MAX_SHOWN]:
        yield f"interface {visible(row[0])}", " ".join(row[1:]).rstrip(",")
    yield "failed-units", ", ".join(_unit_names(report))
    yield "uptime_s", report.get("uptime", "")


def _rows(text: str, *, fields: int, separator: str | None = None) -> list[list[str]]:
    """The lines that have at least `fields` fields, split."""
    rows = (line.split(separator) for line in text.split("\n"))
    return [row for row in rows if len(row) >= fields]


def _unescape(field: str) -> str:
    return _OCTAL.sub(lambda found: chr(int(found[1], 8)), field)
