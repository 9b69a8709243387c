"""Boot loaders' files on a real FAT: names in any case, copies, entries, the environment block, and undo."""

from pathlib import Path

import pytest

from tests.efi_programs import grub, program
from tests.initramfs_images import image
from tests.offline_guests import fill, shelf
from tests.path_list import path_list
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.catalog import FixOptions, chosen
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.formats.grubenv import with_size
from vmdk2kvm.guest.memory import File, Folder, Link, Node
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.model.guest_os import BootLoaderKind, Firmware
from vmdk2kvm.stages import inspect

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1800)]

VERSION = "6.1.0-13-amd64"
SHIM, GRUB = program({b".text": b"shim"}), grub("", name="GRUB" * 1000)
DISK = """
    printf 'label: gpt\\n,64M,U\\n,,L\\n' | sfdisk -q $A; udevadm settle
    mkfs.vfat ${A}1; mkfs.ext4 -q -U 3f1c2a4e-5b6d-4c7e-8f90-a1b2c3d4e5f6 ${A}2
"""
ROOT: dict[str, bytes | str | Node] = {
    "/etc/os-release": 'ID=sles\nVERSION_ID="15.5"\nPRETTY_NAME="SLES 15"\n',
    "/etc/fstab": "/dev/sda2 / ext4 defaults 0 1\n/dev/sda1 /boot/efi vfat umask=0077\n",
    "/boot/grub2/grub.cfg": "linux /boot/vmlinuz root=/dev/sda2 ro\ninitrd /boot/initrd\n",
    "/boot/grub2/grubenv": with_size("# GRUB Environment Block\nkernelopts=root=/dev/sda2 ro\n", 1024),
    f"/boot/vmlinuz-{VERSION}": b"MZ",
    f"/boot/initrd-{VERSION}": image(["virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod"]),
    f"/lib/modules/{VERSION}/modules.dep": "kernel/virtio_blk.ko:\n",
    "/usr/bin/sh": File(content=b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00", mode=0o755),
    "/bin": Link(target="usr/bin"),
    "/boot/efi": Folder(),
    "/var/lib": Folder(),
}
ESP: dict[str, bytes | str | Node] = {
    "/boot/efi/efi/SLES/shim.efi": SHIM,
    "/boot/efi/efi/SLES/grub.efi": GRUB,
    "/boot/efi/efi/SLES/GRUB.CFG": "configfile $prefix/grub.cfg\n",
    "/boot/efi/Loader/Entries/one.conf": "linux /linux\ninitrd /initrd\noptions root=/dev/sda2 ro\n",
}


def check_repaired(session: OfflineGuest) -> None:
    uuid = b"root=UUID=3f1c2a4e-5b6d-4c7e-8f90-a1b2c3d4e5f6 ro"
    assert session.read_bytes("/boot/efi/EFI/BOOT/BOOTX64.EFI") == SHIM
    assert session.read_bytes("/boot/efi/EFI/BOOT/grub.efi") == GRUB
    assert b"set prefix=($root)/efi/SLES\n" in session.read_bytes("/boot/efi/EFI/BOOT/grub.cfg")
    for path in ("/boot/grub2/grub.cfg", "/boot/grub2/grubenv", "/boot/efi/loader/entries/one.conf"):
        assert uuid in session.read_bytes(path), path
    assert session.stat("/boot/grub2/grubenv").size_bytes == 1024


def test_loaders_and_their_files_on_fat(tmp_path: Path) -> None:
    with shelf((700,), tmp_path) as disks, disks.guest(DISK) as session:
        session.mount("/dev/sda2", "/")
        fill(session, ROOT)
        session.mount("/dev/sda1", "/boot/efi")
        fill(session, ESP)
        os = inspect.run(session).os
        assert os.firmware is Firmware.UEFI
        assert {each.kind for each in os.boot_loaders} == {BootLoaderKind.GRUB2}
        before = path_list(session)
        fixes = chosen(FixOptions(no_regen_initramfs=True))
        engine.apply(engine.plan(fixes, session, os), session, backup=True)
        check_repaired(session)
        assert engine.plan(fixes, session, inspect.run(session).os).changes == ()
        undo(session)
        assert path_list(session) == before
