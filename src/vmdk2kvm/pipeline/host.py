"""What this host needs to migrate and to prove, and the command that installs what it lacks."""

import importlib.util
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from vmdk2kvm.errors import ToolMissing
from vmdk2kvm.model.units import GIB, format_bytes
from vmdk2kvm.tools import accelerator, qemu_system
from vmdk2kvm.tools.run import find

_ROOM_BYTES = GIB  # the appliance that libguestfs builds and keeps in /var/tmp
_APPLIANCE_FOLDER = Path("/var/tmp")
_SYSTEM_BINDINGS = (
    "/usr/lib/python3/dist-packages/guestfs.py",
    "/usr/lib64/python3*/site-packages/guestfs.py",
)


class State(Enum):
    OK = "ok"
    MISSING = "missing"  # nothing works without it
    LACKING = "lacking"  # something works worse without it


@dataclass(frozen=True, slots=True, kw_only=True)
class HostCheck:
    """One thing looked at; `package` is what would install it, where a package would."""

    name: str
    state: State
    message: str
    remedy: str | None = None
    package: str | None = None


class PackageManager(Enum):
    APT = "apt-get"
    DNF = "dnf"
    ZYPPER = "zypper"

    def install(self, packages: Iterable[str]) -> str:
        return f"sudo {self.value} install {' '.join(packages)}"


_PACKAGES: dict[str, dict[PackageManager, str]] = {
    "qemu-img": {
        PackageManager.APT: "qemu-utils",
        PackageManager.DNF: "qemu-img",
        PackageManager.ZYPPER: "qemu-tools",
    },
    "qemu-system-x86_64": {
        PackageManager.APT: "qemu-system-x86",
        PackageManager.DNF: "qemu-system-x86-core",
        PackageManager.ZYPPER: "qemu-x86",
    },
    "guestfs": {
        PackageManager.APT: "python3-guestfs",
        PackageManager.DNF: "python3-libguestfs",
        PackageManager.ZYPPER: "python3-libguestfs",
    },
    "supermin": dict.fromkeys(PackageManager, "supermin"),
    "ovmf": {
        PackageManager.APT: "ovmf",
        PackageManager.DNF: "edk2-ovmf",
        PackageManager.ZYPPER: "qemu-ovmf-x86_64",
    },
    "kernel": {
        PackageManager.APT: "linux-image-amd64",
        PackageManager.DNF: "kernel-core",
        PackageManager.ZYPPER: "kernel-default",
    },
}


def package_manager() -> PackageManager | None:
    return next((one for one in PackageManager if find(one.value)), None)


def check_host() -> tuple[HostCheck, ...]:
    """Everything looked at, in the order it is needed. Starts a virtual CPU for a moment."""
    return (
        _program("qemu-img", "copies and creates disk images"),
        _program("qemu-system-x86_64", "runs the appliance and the boot test"),
        _binding(),
        _program("supermin", "builds libguestfs' appliance"),
        _kernel(),
        _room(),
        _ovmf(),
        _kvm(),
    )


def install_command(checks: Iterable[HostCheck]) -> str | None:
    """The command that installs what is not there; None where no package would help."""
    names = [one.package for one in checks if one.package and one.state is not State.OK]
    manager = package_manager()
    if not names:
        return None
    if manager is None:
        return "install with this host's own package manager: " + ", ".join(names)
    return manager.install(dict.fromkeys(_PACKAGES[name][manager] for name in names))


def _program(name: str, purpose: str) -> HostCheck:
    path = find(name)
    return _ok(name, str(path)) if path else _installable(name, State.MISSING, f"not installed; it {purpose}")


def _ok(name: str, message: str) -> HostCheck:
    return HostCheck(name=name, state=State.OK, message=message)


def _installable(name: str, state: State, message: str) -> HostCheck:
    return HostCheck(name=name, state=state, message=message, package=name)


def _binding(find_spec: Callable[[str], object | None] = importlib.util.find_spec) -> HostCheck:
    if find_spec("guestfs") is not None:
        return _ok("guestfs", "libguestfs' Python binding")
    if any(any(Path("/").glob(pattern.lstrip("/"))) for pattern in _SYSTEM_BINDINGS):
        return HostCheck(
            name="guestfs",
            state=State.MISSING,
            message="installed for the system's Python, but this environment does not see it",
            remedy="make the environment with `/usr/bin/python3 -m venv --system-site-packages`",
        )
    return _installable("guestfs", State.MISSING, "libguestfs' Python binding is not there")


def _kernel(root: Path = Path("/")) -> HostCheck:
    """supermin boots the host's own kernel and has to read it; Ubuntu lets only root do so."""
    named = os.environ.get("SUPERMIN_KERNEL")
    patterns = ("boot/vmlinuz-*", "lib/modules/*/vmlinuz")
    images = [Path(named)] if named else [path for pattern in patterns for path in sorted(root.glob(pattern))]
    readable = next((path for path in images if os.access(path, os.R_OK)), None)
    if readable is not None:
        return _ok("kernel", str(readable))
    if images:
        return HostCheck(
            name="kernel",
            state=State.MISSING,
            message=f"{images[0]} cannot be read by this user; the appliance boots it",
            remedy="sudo chmod 0644 /boot/vmlinuz-*",
        )
    return _installable("kernel", State.MISSING, "no kernel for the appliance to boot")


def _room(folder: Path = _APPLIANCE_FOLDER, needed_bytes: int = _ROOM_BYTES) -> HostCheck:
    free_bytes = shutil.disk_usage(folder).free
    message = f"{format_bytes(free_bytes)} free in {folder}"
    if free_bytes >= needed_bytes:
        return _ok("room", message)
    return HostCheck(
        name="room",
        state=State.LACKING,
        message=f"{message}; the appliance needs up to {format_bytes(needed_bytes)}",
        remedy=f"free some space in {folder}",
    )


def _ovmf() -> HostCheck:
    try:
        code, _ = qemu_system.find_ovmf()
    except ToolMissing:
        return _installable("ovmf", State.LACKING, "not installed; no UEFI guest can be test-booted")
    return _ok("ovmf", str(code))


def _kvm() -> HostCheck:
    if find("qemu-system-x86_64") is not None and accelerator.probe() is accelerator.Accelerator.KVM:
        return _ok("kvm", "a virtual CPU starts")
    problem, remedy = _without_kvm(accelerator.DEVICE)
    message = f"{problem}; everything is emulated in software, about ten times slower"
    return HostCheck(name="kvm", state=State.LACKING, message=message, remedy=remedy)


def _without_kvm(device: Path) -> tuple[str, str]:
    """The problem and its remedy."""
    if not device.exists():
        return f"no {device}", "turn on virtualization in the firmware, or nesting in the hypervisor above"
    if not os.access(device, os.R_OK | os.W_OK):
        return f"no right to use {device}", 'sudo usermod -aG kvm "$USER", then log in again'
    return (
        f"{device} is there, but no virtual CPU starts",
        "look into the kernel's log (`dmesg`) of this host and of the hypervisor above",
    )
