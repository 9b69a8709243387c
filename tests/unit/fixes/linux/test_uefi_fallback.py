"""The fallback loader where a guest is not as it should be."""

from dataclasses import replace

import pytest

from tests.efi_programs import grub, program
from tests.linux_guests import guest_os
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.linux.uefi_fallback import UEFI_FALLBACK_FIX
from vmdk2kvm.guest.memory import File, Folder, Link, MemoryGuest, Node
from vmdk2kvm.model.changes import CopyWithin, WriteFile
from vmdk2kvm.model.guest_os import Firmware, GuestOs, Mount, OsFamily
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.units import MIB

SHIM = program({b".text": b"shim"})
DEBIAN: dict[str, bytes | str | Node] = {
    "/boot/efi/EFI/debian/shimx64.efi": SHIM,
    "/boot/efi/EFI/debian/grubx64.efi": grub("/EFI/debian"),
    "/boot/efi/EFI/debian/grub.cfg": "configfile $prefix/grub.cfg\n",
}


def system(guest: MemoryGuest, *esps: str, arch: str = "x86_64", id: str = "debian") -> GuestOs:
    mounts = [Mount(device="/dev/sda2", mountpoint="/", type="ext4")]
    mounts += [Mount(device=f"/dev/sd{n}1", mountpoint=esp, type="vfat") for n, esp in enumerate(esps)]
    found = guest_os(guest)
    return replace(found, firmware=Firmware.UEFI, mounts=tuple(mounts), arch=arch, id=id, kernels=())


Files = dict[str, bytes | str | Node]


def planned(files: Files, *esps: str, arch: str = "x86_64", id: str = "debian") -> Plan:
    guest = MemoryGuest(files)
    return engine.plan([UEFI_FALLBACK_FIX], guest, system(guest, *(esps or ("/boot/efi",)), arch=arch, id=id))


def paths(plan: Plan) -> list[str]:
    return [item.change.path for item in plan.changes if isinstance(item.change, CopyWithin | WriteFile)]


def ids(plan: Plan) -> list[str]:
    return [finding.id for finding in plan.findings]


def test_a_copy_names_size_and_sum_of_its_source() -> None:
    first = planned(DEBIAN).changes[0].change
    assert isinstance(first, CopyWithin)
    assert (first.source, first.size_bytes) == ("/boot/efi/EFI/debian/shimx64.efi", len(SHIM))


@pytest.mark.parametrize("arch", ["i686", "unknown", "riscv64"])
def test_other_architectures_are_told(arch: str) -> None:
    plan = planned(DEBIAN, arch=arch)
    assert (plan.changes, ids(plan)) == ((), ["uefi-fallback-other-architecture"])


def test_no_esp_is_told() -> None:
    guest = MemoryGuest(DEBIAN)
    plan = engine.plan([UEFI_FALLBACK_FIX], guest, system(guest))
    assert (plan.changes, ids(plan)) == ((), ["uefi-fallback-no-loader"])
    assert planned({"/boot/efi/x": b""}).changes == ()


def test_a_second_esp_without_a_loader_is_no_problem() -> None:
    plan = planned(DEBIAN | {"/boot/efi2/EFI": Folder()}, "/boot/efi", "/boot/efi2")
    assert paths(plan) == ["/boot/efi/EFI/BOOT/BOOTX64.EFI", "/boot/efi/EFI/BOOT/grubx64.efi"]
    assert ids(plan) == []


def test_two_esps_are_both_made_whole() -> None:
    mirrored = {path.replace("/boot/efi", "/boot/efi2"): node for path, node in DEBIAN.items()}
    assert len(paths(planned(DEBIAN | mirrored, "/boot/efi", "/boot/efi2"))) == 4


@pytest.mark.parametrize("name", ["shimx64.efi", "grubx64.efi"])
def test_a_loader_that_cannot_be_read_is_not_copied(name: str) -> None:
    path = f"/boot/efi/EFI/debian/{name}"
    for node in (Folder(), File(content=bytes(17 * MIB))):
        plan = planned(DEBIAN | {path: node})
        assert (plan.changes, ids(plan)) == ((), ["uefi-fallback-unread"])


def test_a_fallback_loader_that_cannot_be_read_is_nobodys() -> None:
    there = {"/boot/efi/EFI/BOOT/BOOTX64.EFI": File(content=bytes(17 * MIB))}
    plan = planned(DEBIAN | {"/boot/efi/EFI/debian/shimx64.efi": Folder()} | there)
    assert (plan.changes, ids(plan)) == ((), ["uefi-fallback-of-another"])


def test_a_shim_without_grub_is_no_loader() -> None:
    plan = planned({"/boot/efi/EFI/debian/shimx64.efi": SHIM})
    assert (plan.changes, ids(plan)) == ((), ["uefi-fallback-no-loader"])


def test_systemd_boot_without_entries_starts_nothing() -> None:
    files: Files = {"/efi/EFI/systemd/systemd-bootx64.efi": b"MZ"}
    assert ids(planned(files, "/efi")) == ["uefi-fallback-no-loader"]
    assert paths(planned(files | {"/efi/EFI/Linux/a.efi": b"MZ"}, "/efi")) == ["/efi/EFI/BOOT/BOOTX64.EFI"]
    assert paths(planned(files | {"/boot/loader/entries/a.conf": ""}, "/efi")) == [
        "/efi/EFI/BOOT/BOOTX64.EFI"
    ]


@pytest.mark.parametrize(
    ("prefix", "leads_home"),
    [
        ("", True),
        (None, True),
        ("/EFI/elsewhere", True),
        ("/EFI/Vendor", False),
        ("(,gpt2)/boot/grub", False),
    ],
)
def test_grub_is_led_home_only_where_it_would_not_find_it(prefix: str | None, leads_home: bool) -> None:
    files: Files = {
        "/efi/EFI/vendor/grubx64.efi": grub(prefix),
        "/efi/EFI/vendor/grub.cfg": "linux /k\n",
    }
    plan = planned(files, "/efi")
    assert paths(plan)[1:] == (["/efi/EFI/BOOT/grub.cfg"] if leads_home else [])
    if leads_home:
        write = plan.changes[-1].change
        assert isinstance(write, WriteFile)
        assert write.after.endswith(b"\nset prefix=($root)/EFI/vendor\nconfigfile $prefix/grub.cfg\n")


def test_a_configuration_that_is_there_stays() -> None:
    files: Files = {
        "/efi/EFI/vendor/grubx64.efi": grub(""),
        "/efi/EFI/vendor/grub.cfg": "linux /k\n",
        "/efi/EFI/Boot/Grub.cfg": "own\n",
    }
    assert paths(planned(files, "/efi")) == ["/efi/EFI/Boot/BOOTX64.EFI"]


def test_a_folder_with_an_odd_name_is_not_written_into_a_script() -> None:
    files: Files = {
        "/efi/EFI/a;reboot/grubx64.efi": grub(""),
        "/efi/EFI/a;reboot/grub.cfg": "linux /k\n",
    }
    assert paths(planned(files, "/efi")) == ["/efi/EFI/BOOT/BOOTX64.EFI"]


def test_names_are_escaped_where_they_are_shown() -> None:
    files = DEBIAN | {"/boot/efi/EFI/\x1b[31m/grubx64.efi": grub("")}
    plan = planned(files, id="arch")
    assert ids(plan) == ["uefi-fallback-ambiguous"]
    assert "\x1b" not in plan.findings[0].message


def test_a_circle_of_links_is_no_loader() -> None:
    files: Files = {"/boot/efi/EFI/debian/grubx64.efi": Link(target="grubx64.efi")}
    assert ids(planned(files)) == ["uefi-fallback-unread"]


def test_it_is_for_every_linux_and_no_windows() -> None:
    assert OsFamily.WINDOWS not in UEFI_FALLBACK_FIX.families
