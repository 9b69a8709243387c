"""LVM's list of devices, as RHEL 9 writes it."""

from vmdk2kvm.formats.lvm_devices import Entry, entries, pv_id

TEXT = """\
# LVM uses devices listed in this file.
# Created by LVM command vgcreate pid 1234 at Tue Nov 21 10:00:00 2023
HASH=1234
PRODUCT_UUID=4c4c4544-0000
VERSION=1.1.2
IDTYPE=sys_wwid IDNAME=naa.6000c29f1a2b DEVNAME=/dev/sda2 PVID=abcdefGHIJ PART=2
IDTYPE=md_uuid IDNAME=8f9a DEVNAME=/dev/md127 PVID=.
IDTYPE=devname IDNAME=/dev/sdb DEVNAME=. PVID=zzz
"""


def test_entries() -> None:
    wwid, array, name = entries(TEXT)
    assert wwid == Entry(
        id_type="sys_wwid", id_name="naa.6000c29f1a2b", device="/dev/sda2", pv_uuid="abcdefGHIJ"
    )
    assert (array.pv_uuid, array.is_of_the_disk) == (None, False)
    assert (name.device, name.is_of_the_disk) == (None, True)


def test_what_is_no_entry() -> None:
    assert list(entries("#IDTYPE=x\n IDTYPE=x\nIDTYPE=\n\nVERSION=1\n")) == []


def test_the_uuid_of_a_volume() -> None:
    assert pv_id("abcdef-GHIJ-KLMN-OPQR-STUV-WXYZ-012345") == "abcdefGHIJKLMNOPQRSTUVWXYZ012345"
