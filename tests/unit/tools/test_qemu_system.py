"""The command line of a machine: an isolated, headless one with the disks it was given."""

import itertools
import json
from pathlib import Path

import pytest

from vmdk2kvm.errors import OutputNotWritable
from vmdk2kvm.model.guest_os import Firmware
from vmdk2kvm.model.report import BootBus
from vmdk2kvm.tools import qemu_system
from vmdk2kvm.tools.accelerator import Accelerator
from vmdk2kvm.tools.qemu_system import Machine, render_argv


def argv_of(**changes: object) -> list[str]:
    fields: dict[str, object] = {
        "images": (Path("/s/a,b.qcow2"), Path("/s/c.qcow2")),
        "firmware": Firmware.BIOS,
        "bus": BootBus.VIRTIO_BLK,
        "accelerator": Accelerator.TCG,
        "memory_mib": 512,
        "cpus": 2,
        "port_name": "org.example.port",
    }
    return render_argv(Machine(**{**fields, **changes}), 20, 21, 22)  # type: ignore[arg-type]


def values(argv: list[str], flag: str) -> list[str]:
    return [value for name, value in itertools.pairwise(argv) if name == flag]


def devices(argv: list[str], driver: str) -> list[str]:
    return [device for device in values(argv, "-device") if device.split(",")[0] == driver]


def test_the_machine_is_headless_and_its_network_reaches_nothing() -> None:
    argv = argv_of()
    assert values(argv, "-display") == ["none"]
    assert values(argv, "-netdev") == ["user,id=net0,restrict=on"]
    assert {"-nodefaults", "-no-user-config"} <= set(argv)


def test_each_card_has_its_mac_and_a_network_of_its_own() -> None:
    argv = argv_of(macs=("00:50:56:00:00:01", "00:50:56:00:00:02"))
    assert values(argv, "-netdev") == ["user,id=net0,restrict=on", "user,id=net1,restrict=on"]
    assert devices(argv, "virtio-net-pci") == [
        "virtio-net-pci,romfile=,netdev=net0,mac=00:50:56:00:00:01",
        "virtio-net-pci,romfile=,netdev=net1,mac=00:50:56:00:00:02",
    ]


@pytest.mark.parametrize("bus", [BootBus.PVSCSI, BootBus.AHCI])
def test_cards_sit_in_the_slots_that_vmware_gives_them(bus: BootBus) -> None:
    argv = argv_of(bus=bus, macs=("00:50:56:00:00:01", "00:50:56:00:00:02"))
    ports = [port.split(",") for port in devices(argv, "pcie-root-port") if ",id=port" in port]
    assert [(port[1], port[3]) for port in ports] == [("id=port0", "slot=192"), ("id=port1", "slot=224")]
    assert [card.split(",")[3] for card in devices(argv, "vmxnet3")] == ["bus=port0", "bus=port1"]
    assert "ICH9-LPC.acpi-pci-hotplug-with-bridge-support=off" in values(argv, "-global")


@pytest.mark.parametrize("bus", [BootBus.VIRTIO_BLK, BootBus.VIRTIO_SCSI, BootBus.SATA])
def test_a_machine_on_kvm_has_none_of_vmwares_slots(bus: BootBus) -> None:
    argv = argv_of(bus=bus)
    assert devices(argv, "pcie-root-port") == [] and values(argv, "-global") == []


def test_a_guest_that_ends_keeps_its_screen() -> None:
    assert values(argv_of(), "-action") == ["panic=pause,shutdown=pause"]


@pytest.mark.parametrize(
    ("bus", "driver", "card"),
    [
        (BootBus.VIRTIO_BLK, "virtio-blk-pci", "virtio-net-pci"),
        (BootBus.VIRTIO_SCSI, "scsi-hd", "virtio-net-pci"),
        (BootBus.PVSCSI, "scsi-hd", "vmxnet3"),
        (BootBus.AHCI, "ide-hd", "vmxnet3"),
        (BootBus.SATA, "ide-hd", "e1000e"),
    ],
)
def test_every_disk_hangs_on_the_bus_in_order(bus: BootBus, driver: str, card: str) -> None:
    argv = argv_of(bus=bus)
    disks = devices(argv, driver)
    assert [disk.split(",")[-2:] for disk in disks] == [
        ["drive=disk0", "bootindex=1"],
        ["drive=disk1", "bootindex=2"],
    ]
    assert len(devices(argv, card)) == 1


def test_pvscsi_is_on_bus_3_as_on_vmware() -> None:
    argv = argv_of(bus=BootBus.PVSCSI)
    ports = [port.split(",")[1] for port in devices(argv, "pcie-root-port") if ",id=bus" in port]
    assert ports == ["id=bus1", "id=bus2", "id=bus3"]
    assert devices(argv, "pvscsi") == ["pvscsi,id=scsi0,bus=bus3"]


def test_images_are_opened_as_qcow2_by_their_exact_name() -> None:
    nodes = [json.loads(text) for text in values(argv_of(), "-blockdev")]
    assert [(node["driver"], node["file"]["filename"]) for node in nodes] == [
        ("qcow2", "/s/a,b.qcow2"),
        ("qcow2", "/s/c.qcow2"),
    ]


def test_sockets_are_descriptors() -> None:
    argv = argv_of()
    assert values(argv, "-chardev") == [
        "socket,id=qmp,fd=20", "socket,id=console,fd=21", "socket,id=port,fd=22",
    ]  # fmt: skip
    assert devices(argv, "virtserialport") == ["virtserialport,chardev=port,name=org.example.port"]


def test_uefi_has_read_only_code_and_variables_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code, variables = tmp_path / "CODE.fd", tmp_path / "VARS.fd"
    code.write_bytes(b"code")
    variables.write_bytes(b"variables")
    monkeypatch.setattr(qemu_system, "_OVMF", ((code, variables),))
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    copy = qemu_system.copy_variables(scratch)
    argv = argv_of(firmware=Firmware.UEFI, variables=copy)
    nodes = {node["node-name"]: node for node in map(json.loads, values(argv, "-blockdev"))}
    assert (nodes["uefi"]["file"]["filename"], nodes["uefi"]["read-only"]) == (str(code), True)
    assert (nodes["variables"]["file"]["filename"], nodes["variables"]["read-only"]) == (str(copy), False)
    assert copy != variables and copy.read_bytes() == b"variables"
    assert values(argv, "-machine") == ["q35,pflash0=uefi,pflash1=variables"]


def test_a_scratch_folder_that_cannot_be_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    firmware = tmp_path / "x.fd"
    firmware.write_bytes(b"")
    monkeypatch.setattr(qemu_system, "_OVMF", ((firmware, firmware),))
    with pytest.raises(OutputNotWritable) as refused:
        qemu_system.copy_variables(tmp_path / "absent")
    assert refused.value.path == tmp_path / "absent/uefi-variables.fd"


def test_kvm_shows_the_host_and_emulation_everything_it_can() -> None:
    assert values(argv_of(accelerator=Accelerator.KVM), "-cpu") == ["host"]
    assert values(argv_of(accelerator=Accelerator.KVM), "-accel") == ["kvm"]
    assert values(argv_of(), "-cpu") == ["max,la57=off"]
    assert values(argv_of(), "-accel") == ["tcg,thread=multi"]
