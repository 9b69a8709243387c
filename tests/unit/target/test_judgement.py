"""The judgement on what a witness reports. The report is a real one, of a Debian 12 guest, shortened."""

import pytest

from vmdk2kvm.model.report import BootBus
from vmdk2kvm.target.console import FailureName
from vmdk2kvm.target.judgement import Judgement, judge

REPORT = {
    "states": "active inactive inactive ",
    "/proc/sys/kernel/osrelease": "6.1.0-56-amd64",
    "/etc/os-release": 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian',
    "/proc/cmdline": "BOOT_IMAGE=/boot/vmlinuz root=UUID=1111 ro quiet",
    "/proc/self/mountinfo": (
        "21 26 0:19 / /sys rw,nosuid - sysfs sysfs rw\n"
        "26 1 254:4 / / rw,relatime shared:1 - ext4 /dev/vda4 rw,errors=remount-ro\n"
        "90 26 254:2 / /boot/efi rw,relatime shared:45 - vfat /dev/vda2 rw\n"
        "93 26 0:44 / /my\\040data rw - tmpfs tmpfs rw"
    ),
    "/proc/swaps": "Filename\t\t\t\tType\t\tSize\tUsed\tPriority\n/dev/vda3  partition\t132916\t\t0\t\t-2",
    "/etc/fstab": (
        "# comment\nUUID=1111 / ext4 errors=remount-ro 0 1\nUUID=22 /boot/efi vfat umask=0077 0 1\n"
        "UUID=33 none swap sw 0 0\ntmpfs /my\\040data tmpfs defaults 0 0\n"
        "/dev/sr0 /media/cdrom0 iso9660 noauto 0 0"
    ),
    "fstab-resolved": (
        "2\t/dev/vda4\t/\n3\t/dev/vda2\t/boot/efi\n4\t/dev/vda3\t/none\n5\t/tmpfs\t/my data\n"
        "6\t/dev/sr0\t/media/cdrom0"
    ),
    "root-device": "/dev/vda4",
    "block-devices": (
        "vda 254:0 vda - virtio_blk,virtio-pci,\nvda2 254:2 vda - virtio_blk,virtio-pci,\n"
        "vda3 254:3 vda - virtio_blk,virtio-pci,\nvda4 254:4 vda - virtio_blk,virtio-pci,"
    ),
    "failed-units": "",
    "interfaces": "ens3 52:54:00:12:34:56 virtio_net 10.0.2.15/24,fe80::5054:ff:fe12:3456/64,",
    "uptime": "23",
}

NAMES = {"fstab": "/etc/fstab", "mountinfo": "/proc/self/mountinfo", "swaps": "/proc/swaps"}


def judged(bus: BootBus = BootBus.VIRTIO_BLK, **changes: str) -> Judgement:
    changed = {NAMES.get(name, name.replace("_", "-")): value for name, value in changes.items()}
    return judge({**REPORT, **changed}, bus)


def test_a_whole_boot_is_a_boot() -> None:
    judgement = judged()
    assert judgement.failure is None
    assert judgement.findings == ()
    assert dict(judgement.facts) == {
        "kernel": "6.1.0-56-amd64",
        "os": "Debian GNU/Linux 12 (bookworm)",
        "cmdline": REPORT["/proc/cmdline"],
        "root": "/dev/vda4 ext4",
        "disks": "vda (virtio_blk,virtio-pci)",
        "interface ens3": "52:54:00:12:34:56 virtio_net 10.0.2.15/24,fe80::5054:ff:fe12:3456/64",
        "uptime_s": "23",
    }


@pytest.mark.parametrize(
    ("states", "failure"),
    [
        ("inactive active inactive", FailureName.EMERGENCY_MODE),
        ("inactive inactive active", FailureName.RESCUE_MODE),
        ("activating inactive inactive", FailureName.TIME_OUT),
        ("", FailureName.TIME_OUT),
    ],
)
def test_without_its_default_target_a_guest_has_not_booted(states: str, failure: FailureName) -> None:
    judgement = judged(states=states, failed_units="data.mount loaded failed failed /data")
    assert judgement.failure is failure
    assert "data.mount failed" in judgement.detail


def test_a_fall_into_emergency_mode_names_what_is_not_mounted() -> None:
    fstab = REPORT["/etc/fstab"] + "\nUUID=9 /data ext4 defaults 0 2"
    judgement = judged(states="inactive active inactive", fstab=fstab)
    assert judgement.detail == "default.target is inactive; /data not active"


@pytest.mark.parametrize("bus", [BootBus.VIRTIO_SCSI, BootBus.PVSCSI, BootBus.AHCI])
def test_root_must_be_on_the_disk_that_was_given(bus: BootBus) -> None:
    judgement = judged(bus)
    assert judgement.failure is FailureName.NOT_ON_TARGET_DISK
    assert "vda" in judgement.detail


def test_a_root_in_memory_is_not_on_the_disk() -> None:
    live = "26 1 0:22 / / rw - overlay overlay rw,lowerdir=/x"
    assert judged(mountinfo=live, root_device="/overlay").failure is FailureName.NOT_ON_TARGET_DISK


SCSI = "sda 8:0 sda - sd,virtio_scsi,virtio-pci,\nsda3 8:3 sda - sd,virtio_scsi,virtio-pci,"


def test_root_on_lvm_is_followed_to_its_disks() -> None:
    judgement = judged(
        BootBus.VIRTIO_SCSI,
        block_devices=f"{SCSI}\ndm-0 254:4 dm-0 sda3, -",
        swaps=REPORT["/proc/swaps"].replace("vda3", "dm-1"),
        fstab_resolved=REPORT["fstab-resolved"].replace("/dev/vda3", "/dev/dm-1"),
    )
    assert judgement.failure is None


def test_one_disk_of_a_volume_group_elsewhere_is_enough_to_refuse() -> None:
    devices = f"{SCSI}\nvdb 254:16 vdb - virtio_blk,virtio-pci,\ndm-0 254:4 dm-0 sda3,vdb, -"
    judgement = judged(BootBus.VIRTIO_SCSI, block_devices=devices)
    assert judgement.failure is FailureName.NOT_ON_TARGET_DISK
    assert "vdb" in judgement.detail


def test_a_partition_of_an_md_array_is_followed_through_the_array() -> None:
    devices = f"{SCSI}\nmd127 9:127 md127 sda3, -\nmd127p1 254:4 md127 - -"
    assert judged(BootBus.VIRTIO_SCSI, block_devices=devices).failure is None


def test_devices_that_stand_on_each_other_end() -> None:
    devices = "dm-0 254:4 dm-0 dm-1, -\ndm-1 254:5 dm-1 dm-0, -"
    assert judged(block_devices=devices).failure is FailureName.NOT_ON_TARGET_DISK


def test_btrfs_has_a_number_of_its_own() -> None:
    mounts = REPORT["/proc/self/mountinfo"].replace("254:4 / / rw", "0:22 /@ / rw").replace("ext4", "btrfs")
    assert judged(mountinfo=mounts).failure is None


@pytest.mark.parametrize(
    ("line", "resolved", "missing"),
    [
        ("UUID=9 /data ext4 defaults 0 2", "/dev/vdb1\t/data", "/data"),
        ("UUID=9 /data ext4", "/dev/vdb1\t/data", "/data"),
        ("UUID=9 none swap sw 0 0", "/dev/vdb1\t/none", "none"),
    ],
)
def test_a_local_entry_that_is_not_active_is_a_failure(line: str, resolved: str, missing: str) -> None:
    judgement = judged(
        fstab=f"{REPORT['/etc/fstab']}\n{line}", fstab_resolved=f"{REPORT['fstab-resolved']}\n7\t{resolved}"
    )
    assert judgement.failure is FailureName.FSTAB_NOT_ACTIVE
    assert judgement.detail == missing


@pytest.mark.parametrize("options", ["noauto", "defaults,nofail,x-systemd.device-timeout=5", "user,noauto"])
def test_entries_that_need_not_be_active_do_not_count(options: str) -> None:
    assert judged(fstab=f"{REPORT['/etc/fstab']}\nUUID=9 /data ext4 {options} 0 2").failure is None


@pytest.mark.parametrize(
    "line", ["10.0.0.1:/x /net nfs rw 0 0", "//srv/x /net cifs rw 0 0", "UUID=9 /net ext4 _netdev 0 0"]
)
def test_a_network_mount_is_a_finding(line: str) -> None:
    judgement = judged(fstab=f"{REPORT['/etc/fstab']}\n{line}")
    assert judgement.failure is None
    assert [finding.id for finding in judgement.findings] == ["boot-network-mount"]
    assert '"/net"' in judgement.findings[0].message


def test_a_mount_point_behind_a_link_counts() -> None:
    judgement = judged(
        fstab=f"{REPORT['/etc/fstab']}\nUUID=9 /link ext4 defaults 0 2",
        fstab_resolved=f"{REPORT['fstab-resolved']}\n7\t/dev/vda9\t/boot/efi",
    )
    assert judgement.failure is None


def test_failed_units_are_findings_with_their_names_made_safe() -> None:
    units = "ssh.service loaded failed failed OpenBSD\n\x1b[31mevil.service loaded failed failed x"
    judgement = judged(failed_units=units)
    assert judgement.failure is None
    assert [finding.id for finding in judgement.findings] == ["boot-failed-unit"] * 2
    assert "\x1b" not in "".join(finding.message + finding.remedy for finding in judgement.findings)
    assert dict(judgement.facts)["failed-units"] == "ssh.service, \\x1b[31mevil.service"


@pytest.mark.parametrize("name", sorted(REPORT))
def test_nonsense_is_judged_too(name: str) -> None:
    judge({**REPORT, name: "\x00\n \t - \n\udcff nonsense"}, BootBus.VIRTIO_BLK)
