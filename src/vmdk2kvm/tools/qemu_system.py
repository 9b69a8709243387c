"""qemu-system-x86_64: one headless machine on an isolated network.

The machine's sockets are passed as open descriptors: a path would have to be shorter than 108
bytes, and would be reachable by others.
"""

import fcntl
import json
import os
import shutil
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.errors import ToolMissing
from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.report import BootBus
from vmdk2kvm.tools import run
from vmdk2kvm.tools.accelerator import Accelerator
from vmdk2kvm.tools.whole_file import translated

PROGRAM = "qemu-system-x86_64"

# Code and variables of OVMF without Secure Boot, where distributions put them.
_OVMF = tuple(
    (Path(code), Path(variables))
    for code, variables in (
        ("/usr/share/OVMF/OVMF_CODE_4M.fd", "/usr/share/OVMF/OVMF_VARS_4M.fd"),  # Debian, Ubuntu
        ("/usr/share/OVMF/OVMF_CODE.fd", "/usr/share/OVMF/OVMF_VARS.fd"),
        ("/usr/share/edk2/ovmf/OVMF_CODE.fd", "/usr/share/edk2/ovmf/OVMF_VARS.fd"),  # Fedora, RHEL
        ("/usr/share/edk2/x64/OVMF_CODE.4m.fd", "/usr/share/edk2/x64/OVMF_VARS.4m.fd"),  # Arch
        ("/usr/share/edk2-ovmf/x64/OVMF_CODE.fd", "/usr/share/edk2-ovmf/x64/OVMF_VARS.fd"),
        ("/usr/share/qemu/ovmf-x86_64-code.bin", "/usr/share/qemu/ovmf-x86_64-vars.bin"),  # SUSE
    )
)

# The tether's shell uses descriptors 8 and 9 itself, so ours start well above.
_FIRST_FD = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """`images` are qcow2 files of ours, opened for writing; the first one is booted from.

    `variables` is a private copy of the UEFI variables, None for BIOS. `macs` are its network cards, each
    on a network of its own that reaches nothing; () is one card with any MAC.
    """

    images: tuple[Path, ...]
    firmware: Firmware
    bus: BootBus
    accelerator: Accelerator
    memory_mib: int
    cpus: int
    port_name: str
    variables: Path | None = None
    macs: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A started machine; the sockets are ours to read and write."""

    process: run.Process
    argv: tuple[str, ...]
    qmp: socket.socket
    serial: socket.socket
    port: socket.socket


def find_ovmf() -> tuple[Path, Path]:
    """OVMF's code and variables on this host. Raises ToolMissing."""
    for code, variables in _OVMF:
        if code.is_file() and variables.is_file():
            return code, variables
    raise ToolMissing("OVMF")


def copy_variables(folder: Path) -> Path:
    """A private, writable copy of OVMF's variables. Raises ToolMissing, OutputFull, OutputNotWritable."""
    copy = folder / "uefi-variables.fd"
    variables = find_ovmf()[1]
    with translated(copy):
        shutil.copyfile(variables, copy)
    return copy


@contextmanager
def start(machine: Machine, log_file: Path) -> Iterator[Running]:
    """Start a machine; it is killed when the block ends. QEMU's own words go to `log_file`."""
    with ExitStack() as stack:
        pairs = [_socket_pair(stack) for _ in range(3)]
        argv = render_argv(machine, *(theirs for _, theirs in pairs))
        with translated(log_file):
            log = stack.enter_context(log_file.open("wb"))
        fds = [theirs for _, theirs in pairs]
        try:
            process = stack.enter_context(run.start(argv, stdout=log, stderr=log, pass_fds=fds))
        finally:
            for fd in fds:
                os.close(fd)
        qmp, serial, port = (ours for ours, _ in pairs)
        yield Running(process=process, argv=tuple(argv), qmp=qmp, serial=serial, port=port)


def _socket_pair(stack: ExitStack) -> tuple[socket.socket, int]:
    ours, theirs = socket.socketpair()
    stack.callback(ours.close)
    with theirs:
        return ours, fcntl.fcntl(theirs.fileno(), fcntl.F_DUPFD_CLOEXEC, _FIRST_FD)


def render_argv(machine: Machine, qmp_fd: int, serial_fd: int, port_fd: int) -> list[str]:
    return [
        PROGRAM, "-nodefaults", "-no-user-config", "-display", "none",
        "-machine", "q35" + (",pflash0=uefi,pflash1=variables" if machine.variables else ""),
        *_processor(machine),
        "-m", str(machine.memory_mib),
        "-rtc", "base=utc",
        "-boot", "menu=off,strict=on",
        # A guest that ends stays as it is, so that its screen can be read.
        "-action", "panic=pause,shutdown=pause",
        "-device", "VGA",
        "-device", "pvpanic",
        "-device", "virtio-rng-pci",
        *_socket("qmp", qmp_fd), "-mon", "chardev=qmp,mode=control",
        *_socket("console", serial_fd), "-serial", "chardev:console",
        *_socket("port", port_fd), "-device", "virtio-serial-pci",
        "-device", f"virtserialport,chardev=port,name={machine.port_name}",
        *_network_cards(machine),
        *_firmware(machine),
        *_disks(machine),
    ]  # fmt: skip


def _processor(machine: Machine) -> list[str]:
    if machine.accelerator is Accelerator.KVM:
        model, accelerator = "host", "kvm"
    else:
        # Five-level page tables cost an emulated guest time and OVMF its patience.
        model, accelerator = "max,la57=off", "tcg,thread=multi"
    return ["-accel", accelerator, "-cpu", model, "-smp", str(machine.cpus)]


def _socket(name: str, fd: int) -> list[str]:
    return ["-chardev", f"socket,id={name},fd={fd}"]


def _network_cards(machine: Machine) -> Iterator[str]:
    """As on VMware where the bus is VMware's; without a boot ROM, for nothing is booted over it."""
    models = {BootBus.PVSCSI: "vmxnet3", BootBus.AHCI: "vmxnet3", BootBus.SATA: "e1000e"}
    card = f"{models.get(machine.bus, 'virtio-net-pci')},romfile="
    in_port = models.get(machine.bus) == "vmxnet3"
    if in_port:
        yield from _NATIVE_HOTPLUG
    for index, mac in enumerate(machine.macs or (None,)):
        if in_port:
            yield from ("-device", _vmware_port(index))
        place = f",bus=port{index}" if in_port else ""
        yield from ("-netdev", f"user,id=net{index},restrict=on")
        yield from ("-device", f"{card},netdev=net{index}{place}" + (f",mac={mac}" if mac else ""))


# The guest then numbers slots as the ports do, not as QEMU's ACPI tables do.
_NATIVE_HOTPLUG = ("-global", "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off")


def _vmware_port(index: int) -> str:
    """VMware's slots for cards are 192, 224, 256…, and udev calls the cards ens192, ens224, ens256…"""
    return f"pcie-root-port,id=port{index},chassis={index + 16},slot={192 + 32 * index},addr=0x{index + 19:x}"


def _firmware(machine: Machine) -> list[str]:
    if machine.variables is None:
        return []
    return [
        *_raw_node("uefi", find_ovmf()[0], read_only=True),
        *_raw_node("variables", machine.variables, read_only=False),
    ]


def _raw_node(name: str, path: Path, *, read_only: bool) -> list[str]:
    file = {"driver": "file", "filename": str(path)}
    node = {"driver": "raw", "node-name": name, "read-only": read_only, "file": file}
    return ["-blockdev", json.dumps(node)]


def _disks(machine: Machine) -> list[str]:
    argv = list(_controller(machine.bus))
    for index, image in enumerate(machine.images):
        argv += ["-blockdev", json.dumps(_disk_node(f"disk{index}", image))]
        argv += ["-device", f"{_disk_device(machine.bus, index)},drive=disk{index},bootindex={index + 1}"]
    return argv


def _disk_node(name: str, image: Path) -> dict[str, object]:
    """A throwaway image: nothing is flushed."""
    cache = {"direct": False, "no-flush": True}
    file = {"driver": "file", "filename": str(image), "cache": cache}
    return {"driver": "qcow2", "node-name": name, "discard": "unmap", "cache": cache, "file": file}


def _controller(bus: BootBus) -> tuple[str, ...]:
    match bus:
        case BootBus.VIRTIO_BLK | BootBus.AHCI | BootBus.SATA:  # q35 has an AHCI controller of its own
            return ()
        case BootBus.VIRTIO_SCSI:
            return ("-device", "virtio-scsi-pci,id=scsi0")
        # On PCI bus 3, as on VMware: by-path names hold "pci-0000:03:00.0". The ports lie above every
        # slot that QEMU hands out by itself.
        case BootBus.PVSCSI:
            ports = (f"pcie-root-port,id=bus{n},chassis={n},slot={n},addr=0x{n + 15:x}" for n in (1, 2, 3))
            return (
                *(word for port in ports for word in ("-device", port)),
                "-device",
                "pvscsi,id=scsi0,bus=bus3",
            )


def _disk_device(bus: BootBus, index: int) -> str:
    match bus:
        case BootBus.VIRTIO_BLK:
            return "virtio-blk-pci"
        case BootBus.AHCI | BootBus.SATA:
            return f"ide-hd,bus=ide.{index}"
        case BootBus.VIRTIO_SCSI | BootBus.PVSCSI:
            return f"scsi-hd,bus=scsi0.0,scsi-id={index}"
