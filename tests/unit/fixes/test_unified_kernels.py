from dataclasses import replace

import pytest

from tests.efi_programs import program
from tests.initramfs_images import image
from tests.linux_guests import guest_os
from vmdk2kvm.fixes.unified_kernels import unified_kernels
from vmdk2kvm.guest.memory import File, Link, MemoryGuest, Node
from vmdk2kvm.model.guest_os import Mount
from vmdk2kvm.model.report import Level
from vmdk2kvm.model.units import MIB

PATH = "/efi/EFI/Linux/arch.efi"
VIRTIO = image(["virtio_pci", "virtio_blk", "sd_mod"])


def told(*nodes: Node | bytes, builtin: frozenset[str] = frozenset()) -> list[tuple[str, Level, str]]:
    files = {PATH.replace("arch", f"arch{n}"): node for n, node in enumerate(nodes)}
    guest = MemoryGuest(files)
    os = guest_os(guest, "6.6.8", builtin=builtin)
    os = replace(os, mounts=(Mount(device="/dev/sda1", mountpoint="/efi", type="vfat"),))
    return [(each.id, each.level, each.message) for each in unified_kernels(guest, os)]


def unified(initrd: bytes = VIRTIO, *, cmdline: str = "root=UUID=1 ro") -> bytes:
    return program({b".cmdline": cmdline.encode(), b".uname": b"6.6.8\0", b".initrd": initrd})


@pytest.mark.parametrize(
    ("node", "level", "said"),
    [
        (unified(), Level.INFO, "holds virtio"),
        (unified(image(["vmw_pvscsi"])), Level.ERROR, "no driver"),
        (unified(image(["virtio_blk"])), Level.ERROR, "no driver"),
        (unified(image(["virtio_pci"])), Level.ERROR, "no driver"),
        (unified(image(["virtio_pci", "virtio_scsi"])), Level.INFO, "holds virtio"),
        (unified(b"garbage"), Level.WARNING, "no initramfs that can be read"),
        (program({b".cmdline": b"ro"}), Level.WARNING, "no initramfs that can be read"),
        (b"MZ", Level.WARNING, "no initramfs that can be read"),
        (File(content=bytes(20 * MIB)), Level.WARNING, "no initramfs that can be read"),
    ],
)
def test_what_is_told_of_an_image(node: bytes | Node, level: Level, said: str) -> None:
    ((id_, found, message),) = told(node)
    assert (id_, found) == ("unified-kernel-image", level)
    assert said in message and PATH.replace("arch", "arch0") in message


def test_drivers_of_the_kernel_itself_count() -> None:
    ((_, level, _),) = told(unified(image(["sd_mod"])), builtin=frozenset({"virtio_pci", "virtio_blk"}))
    assert level is Level.INFO


def test_names_of_vmware_are_sealed_in() -> None:
    found = told(unified(cmdline="root=/dev/sda2 resume=/dev/sda3 x=/dev/sda2 ro"))
    assert [(id_, level) for id_, level, _ in found] == [
        ("unified-kernel-sealed", Level.ERROR),
        ("unified-kernel-sealed", Level.ERROR),
        ("unified-kernel-image", Level.INFO),
    ]


def test_links_are_followed_once_and_to_nothing_never() -> None:
    found = told(unified(), Link(target="arch0.efi"), Link(target="gone"), Link(target="arch3.efi"))
    assert len(found) == 1


def test_many_images_do_not_drown_the_report() -> None:
    found = told(*[b"MZ"] * 50)
    assert len(found) == 21 and found[-1][0] == "findings-cut-off"
