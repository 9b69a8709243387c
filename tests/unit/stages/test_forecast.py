from dataclasses import replace

import pytest

from tests.initramfs_images import image
from tests.memory_session import ESP, MemorySession, disk, partition
from vmdk2kvm.guest.memory import File, Folder
from vmdk2kvm.model.report import Level
from vmdk2kvm.stages import inspect
from vmdk2kvm.stages.forecast import forecast

ALL = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod")
KERNEL = "6.1.0-13-amd64"
PROGRAM = File(content=b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00", mode=0o755)
FILES = {
    "/etc/os-release": "ID=debian\nVERSION_ID=12\n",
    "/bin/sh": PROGRAM,
    "/usr/sbin/update-initramfs": PROGRAM,
    "/usr/sbin/mkinitramfs": PROGRAM,
    "/etc/fstab": "UUID=u1 / ext4 defaults 0 1\n",
    "/boot/grub/grub.cfg": "linux /vmlinuz root=UUID=u1 ro\n",
    f"/boot/vmlinuz-{KERNEL}": b"MZ",
    f"/boot/initrd.img-{KERNEL}": image(ALL),
    f"/lib/modules/{KERNEL}/modules.dep": "".join(f"kernel/{name}.ko:\n" for name in ALL),
    f"/lib/modules/{KERNEL}/modules.builtin": "",
}


def findings(*without: str, **changed: bytes | str) -> dict[str, str]:
    """Ids with their messages; `changed` overrides FILES by path."""
    files = {path: node for path, node in FILES.items() if path not in without} | changed
    session = MemorySession([disk("/dev/sda", 0), partition("/dev/sda1", "ext4", "u1")], {"/dev/sda1": files})
    found = inspect.with_forecast(session, inspect.run(session)).findings
    assert all(each.remedy.endswith(".") and each.message.endswith(".") for each in found)
    return {each.id: each.message for each in found}


def test_a_guest_that_is_ready() -> None:
    assert findings() == {}


def test_vmware_names() -> None:
    found = findings(
        **{
            "/etc/fstab": "/dev/sda1 / ext4\n/dev/sdb1 /data ext4 nofail\n/dev/sr0 /cd iso9660 noauto\n",
            "/boot/grub/grub.cfg": "set root='hd0,msdos1'\nlinux /vmlinuz root=/dev/sda1 ro\n",
            "/boot/grub/device.map": "(hd0) /dev/sda\n",
        }
    )
    assert set(found) == {
        "fstab-vmware-names",
        "disk-left-behind",
        "kernel-cmdline-vmware-names",
        "stale-device-map",
    }
    assert '"/dev/sda1", "/dev/sdb1"' in found["fstab-vmware-names"]
    assert '"/dev/sdb1"' in found["disk-left-behind"]
    assert '"/boot/grub/grub.cfg"' in found["kernel-cmdline-vmware-names"]


def test_stable_names_are_no_finding() -> None:
    files = {
        "/boot/grub/grub.cfg": "linux /vmlinuz root=UUID=u1 resume=/dev/mapper/vg-swap\n",
        "/boot/grub/device.map": "(hd0) /dev/disk/by-uuid/u1\n",
    }
    assert findings(**files) == {}


@pytest.mark.parametrize(
    ("changed", "id", "said"),
    [
        ({f"/boot/initrd.img-{KERNEL}": image(["sd_mod"])}, "initramfs-without-virtio", '"virtio_blk"'),
        ({f"/boot/initrd.img-{KERNEL}": b"garbage"}, "initramfs-without-virtio", "cannot be read"),
        ({f"/lib/modules/{KERNEL}/modules.dep": ""}, "kernel-without-virtio", '"virtio_blk"'),
        ({"/etc/os-release": "ID=photon\n"}, "unknown-distribution", '"photon"'),
        ({"/etc/os-release": "ID=arch\nNAME=Arch\n"}, "not-booted-by-us", '"Arch"'),
    ],
)
def test_what_would_not_boot(changed: dict[str, bytes | str], id: str, said: str) -> None:
    found = findings(**changed)
    chosen = ["emulated-hardware"] if id == "kernel-without-virtio" else []
    assert list(found) == [*chosen, id]
    assert said in found[id]


def test_an_initramfs_that_is_missing() -> None:
    missing = f"/boot/initrd.img-{KERNEL}"
    assert "no initramfs" in findings(missing)["initramfs-without-virtio"]
    builtin = {f"/lib/modules/{KERNEL}/modules.builtin": "".join(f"kernel/{name}.ko\n" for name in ALL)}
    assert findings(missing, **builtin) == {}


def test_no_kernel() -> None:
    assert list(findings(f"/boot/vmlinuz-{KERNEL}")) == ["no-kernel"]


@pytest.mark.parametrize(
    ("loader", "expected"),
    [("BOOT/BOOTX64.EFI", 0), ("Boot/bootx64.efi", 0), ("debian/shimx64.efi", 1)],
)
def test_the_fallback_loader(loader: str, expected: int) -> None:
    devices = [
        disk("/dev/sda", 0, boot_code=bytes(440)),
        partition("/dev/sda1", "ext4", "u1"),
        partition("/dev/sda2", "vfat", part_type=ESP),
    ]
    trees = {"/dev/sda1": {**FILES, "/boot/efi": Folder()}, "/dev/sda2": {f"/EFI/{loader}": b""}}
    session = MemorySession(devices, trees)
    found = [each.id for each in forecast(session, inspect.run(session).os)]
    assert found.count("uefi-without-fallback-loader") == expected


def test_guest_text_is_escaped() -> None:
    session = MemorySession([disk("/dev/sda", 0), partition("/dev/sda1", "ext4", "u1")], {"/dev/sda1": FILES})
    os = replace(inspect.run(session).os, fstab="/dev/disk/by-path/\x1b[2J / ext4\n")
    shown = [each for each in forecast(session, os) if each.level is Level.ERROR]
    assert shown and "\x1b" not in shown[0].message
