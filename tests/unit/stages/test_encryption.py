"""What is said about encrypted volumes, before and after the repair."""

from dataclasses import replace

from tests.linux_guests import debian, guest_os
from tests.luks_headers import UUID
from vmdk2kvm.formats.guest_json import guest_fields
from vmdk2kvm.model.luks import Keyslot, LuksHeader, LuksVolume
from vmdk2kvm.model.report import Finding
from vmdk2kvm.stages.encryption import encrypted_volumes

HEADER = LuksHeader(version=2, uuid=UUID, keyslots=(Keyslot(number=0, kdf="argon2id", memory_kib=65536),))


def told(*volumes: LuksVolume, crypttab: str = "") -> list[Finding]:
    guest = debian({"/etc/crypttab": crypttab} if crypttab else {})
    return list(encrypted_volumes(guest, replace(guest_os(guest), luks=volumes)))


def test_an_open_volume_is_no_finding() -> None:
    assert told(LuksVolume(device="/dev/sda5", header=HEADER, mapping="/dev/mapper/x")) == []


def test_a_locked_volume_says_why() -> None:
    (plain,) = told(LuksVolume(device="/dev/sdb1", header=HEADER))
    assert plain.id == "luks-volume-locked"
    assert UUID in plain.message and '"/dev/sdb1"' in plain.message and "no key" in plain.message
    (refused,) = told(LuksVolume(device="/dev/sdb1", header=HEADER, refused=("luks_keyfile", "luks_keys")))
    assert "the key of luks_keyfile and of luks_keys does not open it" in refused.message
    (damaged,) = told(LuksVolume(device="/dev/sdb1", header=None, error="the header's checksum is wrong"))
    assert "checksum is wrong" in damaged.message


def test_what_opens_by_hardware_is_told_even_when_it_is_open() -> None:
    header = replace(HEADER, tokens=("systemd-recovery", "systemd-tpm2", "clevis", "clevis", "luks2-keyring"))
    (found,) = told(LuksVolume(device="/dev/sda5", header=header, mapping="/dev/mapper/x"))
    assert found.id == "luks-opens-by-hardware"
    assert "systemd-tpm2, clevis," in found.message and "recovery," not in found.message


def test_names_of_vmware_in_crypttab() -> None:
    lines = "".join(f"d{n} /dev/sd{chr(97 + n)}1 none\n" for n in range(10))
    (found,) = told(crypttab=f"a UUID={UUID} none\n{lines}")
    assert found.id == "crypttab-vmware-names"
    assert '"/dev/sdh1" and 2 more' in found.message
    assert told(crypttab=f"a UUID={UUID} none\n") == []


def test_the_facts_for_programs() -> None:
    guest = debian()
    volume = LuksVolume(device="/dev/sda5", header=HEADER, mapping="/dev/mapper/x")
    broken = LuksVolume(device="/dev/sdb1", header=None, error="no header")
    fields = guest_fields(replace(guest_os(guest), luks=(volume, broken)))["luks"]
    assert fields[0] == {
        "device": "/dev/sda5", "uuid": UUID, "version": 2, "label": None, "memory_kib": 65536, "tokens": [],
        "mapping": "/dev/mapper/x", "error": None,
    }  # fmt: skip
    assert (fields[1]["uuid"], fields[1]["error"]) == (None, "no header")
