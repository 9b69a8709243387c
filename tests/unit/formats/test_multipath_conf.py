"""multipath.conf(5): which disks are named, and whether VMware gave them their WWID."""

import pytest

from vmdk2kvm.formats.multipath_conf import Wwid, wwids

TEXT = """\
defaults { user_friendly_names yes }
blacklist {
    wwid "36000c29f1a2b"   # the system disk
    devnode "^sd[a]$"
}
multipaths {
    multipath {
        wwid 36000c29aaaa
        alias data
    }
    multipath {
        alias lun
        wwid "3600144f0"
    }
}
! wwid 36000c29ffff
"""


def test_wwids_where_they_stand() -> None:
    assert list(wwids(TEXT)) == [
        Wwid(section="blacklist", value="36000c29f1a2b", alias=None),
        Wwid(section="multipath", value="36000c29aaaa", alias="data"),
        Wwid(section="multipath", value="3600144f0", alias="lun"),
    ]


@pytest.mark.parametrize(
    ("value", "is_vmwares"),
    [
        ("36000c29f1a2b", True),
        ("36000C29F1A2B", True),
        ("VMware_Virtual_SATA_Hard_Drive_0", True),
        ("nvme.15ad-VMware_Virtual_NVMe_Disk", True),
        ("3600144f0", False),
        (".*", False),
        ("", False),
    ],
)
def test_whose_they_are(value: str, is_vmwares: bool) -> None:
    assert Wwid(section="", value=value, alias=None).is_of_vmware is is_vmwares


def test_broken_files() -> None:
    assert list(wwids("} wwid a }\n{ wwid\n")) == [Wwid(section="", value="a", alias=None)]
