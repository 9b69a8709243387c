"""Which guests get virtio, and which are emulated SATA and e1000e."""

from dataclasses import replace

import pytest

from tests.linux_guests import debian, guest_os
from vmdk2kvm.model.guest_os import GuestOs, Initramfs, OsFamily
from vmdk2kvm.model.report import BootBus, Level
from vmdk2kvm.stages.hardware import choose_bus, emulated_hardware

VIRTIO = frozenset({"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod"})
SATA = frozenset({"ahci", "sd_mod"})


def os_of(
    family: OsFamily,
    held: frozenset[str] | None,
    available: frozenset[str] = VIRTIO | SATA,
    builtin: frozenset[str] = frozenset(),
) -> GuestOs:
    found = guest_os(debian())
    image = None if held is None else Initramfs(path="/i", size_bytes=1, compression="gzip", modules=held)
    kernel = replace(found.kernels[0], initramfs=image, available=available, builtin=builtin)
    return replace(found, family=family, name="Plan\x1b[31mt", kernels=(kernel,))


@pytest.mark.parametrize(
    ("os", "bus"),
    [
        (os_of(OsFamily.DEBIAN, frozenset()), BootBus.VIRTIO_BLK),  # FIX puts the drivers in, or fails
        (os_of(OsFamily.DEBIAN, frozenset(), available=SATA), BootBus.SATA),
        (os_of(OsFamily.OTHER_LINUX, VIRTIO), BootBus.VIRTIO_BLK),
        (os_of(OsFamily.OTHER_LINUX, None, builtin=VIRTIO), BootBus.VIRTIO_BLK),
        (os_of(OsFamily.OTHER_LINUX, VIRTIO - {"sd_mod"}, builtin=frozenset({"sd_mod"})), BootBus.VIRTIO_BLK),
        (os_of(OsFamily.OTHER_LINUX, VIRTIO - {"virtio_blk"}), BootBus.SATA),
        (os_of(OsFamily.OTHER_LINUX, None), BootBus.SATA),
        (replace(os_of(OsFamily.OTHER_LINUX, None), kernels=()), BootBus.SATA),
        (replace(os_of(OsFamily.DEBIAN, None), kernels=()), BootBus.VIRTIO_BLK),
    ],
)
def test_the_choice_and_what_is_told_of_it(os: GuestOs, bus: BootBus) -> None:
    assert choose_bus(os) is bus
    told = list(emulated_hardware(os))
    assert [(each.id, each.level) for each in told] == (
        [("emulated-hardware", Level.WARNING)] if bus is BootBus.SATA else []
    )
    assert all("\x1b" not in each.message and "SATA and e1000e" in each.message for each in told)


def test_a_guest_that_may_have_neither() -> None:
    (told,) = emulated_hardware(os_of(OsFamily.OTHER_LINUX, frozenset({"vmw_pvscsi"})))
    assert "no driver for SATA either" in told.message
    (told,) = emulated_hardware(os_of(OsFamily.OTHER_LINUX, SATA))
    assert "either" not in told.message


def test_a_kernel_without_virtio_is_told_as_that() -> None:
    (told,) = emulated_hardware(os_of(OsFamily.REDHAT, SATA, available=SATA))
    assert "has no virtio when it starts" in told.message
