from dataclasses import replace

import pytest

from vmdk2kvm.fixes.interface_naming import Namer, find_naming, lacks_link_files
from vmdk2kvm.guest.memory import Link, MemoryGuest
from vmdk2kvm.model.guest_os import Initramfs

RULES = "/usr/lib/udev/rules.d/80-net-setup-link.rules"
LINK = "/etc/systemd/network/10-vmdk2kvm-ens192.link"
HOOK = "/usr/share/initramfs-tools/hooks/udev"
COPIES = "find -L /etc/systemd/network -name '*.link'\n"


def library(version: int) -> str:
    return f"/usr/lib/x86_64-linux-gnu/systemd/libsystemd-shared-{version}.so"


@pytest.mark.parametrize(
    ("path", "version"),
    [
        (library(252), 252),
        ("/usr/lib/systemd/libsystemd-shared-239.so", 239),
        ("/usr/lib/systemd/libsystemd-shared-252-14.el9.so", 252),
        ("/usr/lib64/systemd/libsystemd-shared-254.9-1.fc39.so", 254),
        ("/usr/lib/systemd/libsystemd-shared-x.so", 0),
    ],
)
def test_the_version_of_systemd(path: str, version: int) -> None:
    found = find_naming(MemoryGuest({RULES: "", path: ""}))
    assert (found.namer, found.systemd) == (Namer.LINK_FILES, version)


def test_what_each_version_knows() -> None:
    told = {
        version: (found.drivers, found.by_permanent_mac, found.keeps_first_name)
        for version in (219, 239, 244, 252)
        if (found := find_naming(MemoryGuest({RULES: "", library(version): ""})))
    }
    drivers = "virtio_net e1000 e1000e vmxnet3"
    assert told[239] == (drivers, False, True)
    assert told[244] == (drivers, False, False)
    assert told[252] == (drivers, True, False)
    assert find_naming(MemoryGuest({RULES: ""})).drivers == "virtio_net"


def test_who_names_the_cards() -> None:
    masked = "/etc/udev/rules.d/80-net-setup-link.rules"
    udevd = {"/usr/lib/systemd/systemd-udevd": ""}
    assert (
        find_naming(MemoryGuest({RULES: "", **udevd, masked: Link(target="/dev/null")})).namer is Namer.RULES
    )
    assert find_naming(MemoryGuest({RULES: "", **udevd, masked: ""})).namer is Namer.RULES
    assert find_naming(MemoryGuest({RULES: "", **udevd, masked: "own"})).namer is Namer.LINK_FILES
    assert find_naming(MemoryGuest({"/sbin/udevd": ""})).namer is Namer.RULES
    assert find_naming(MemoryGuest({"/sbin/mdev": ""})).namer is Namer.NONE


def image(*modules: str) -> Initramfs:
    return Initramfs(
        path="/boot/initrd",
        size_bytes=1,
        compression="zstd",
        modules=frozenset(modules),
        files=(("usr/lib/udev/rules.d/80-net-setup-link.rules", b""),),
    )


def holding(held: Initramfs, path: str, content: bytes) -> Initramfs:
    return replace(held, files=(*held.files, (path.lstrip("/"), content)))


def test_an_old_systemd_keeps_the_name_that_the_initramfs_gave() -> None:
    guest = MemoryGuest({RULES: "", library(234): "", LINK: "wanted"})
    assert lacks_link_files(guest, image("virtio_net"))
    assert not lacks_link_files(guest, holding(image("virtio_net"), LINK, b"wanted"))
    assert lacks_link_files(guest, holding(image("virtio_net"), LINK, b"stale"))


def test_images_that_name_no_card() -> None:
    guest = MemoryGuest({RULES: "", library(234): "", LINK: "wanted"})
    assert not lacks_link_files(guest, image("virtio_blk"))
    without = Initramfs(path="/boot/initrd", size_bytes=1, compression="", modules=frozenset({"virtio_net"}))
    assert not lacks_link_files(guest, without)


def test_a_newer_systemd_names_it_again() -> None:
    guest = MemoryGuest({RULES: "", library(241): "", LINK: "wanted"})
    assert not lacks_link_files(guest, image("virtio_net"))


def test_an_initramfs_tools_that_copies_no_link_files_cannot_help() -> None:
    files = {RULES: "", library(234): "", LINK: "wanted"}
    held = holding(image("virtio_net"), "conf/initramfs.conf", b"")
    assert not lacks_link_files(MemoryGuest(files), held)
    assert not lacks_link_files(MemoryGuest({**files, HOOK: "copy_exec udevadm\n"}), held)
    assert lacks_link_files(MemoryGuest({**files, HOOK: COPIES}), held)
