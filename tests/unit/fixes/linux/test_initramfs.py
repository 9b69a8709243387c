from collections.abc import Mapping
from dataclasses import replace

import pytest

from tests.initramfs_images import image
from tests.linux_guests import (
    ALL_MODULES,
    CRITICAL,
    CRYPTROOT_HOOK,
    MODULES_DEP,
    VERSION,
    VMWARE_ONLY,
    debian,
    guest_os,
    image_path,
    inspected_again,
)
from vmdk2kvm.errors import RebuildUnproven
from vmdk2kvm.fixes.engine import apply, plan
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.changes import Change, Rebuild, RebuildKind, WriteFile
from vmdk2kvm.model.guest_os import GuestOs, InitramfsTool
from vmdk2kvm.model.luks import LuksVolume
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Level

EVERYTHING = tuple(ALL_MODULES)
DROP_IN = "/etc/dracut.conf.d/90-vmdk2kvm.conf"
ADD_DRIVERS = 'add_drivers+=" virtio virtio_ring virtio_pci virtio_blk virtio_scsi virtio_net ahci nvme "\n'


def planned(guest: MemoryGuest, os: GuestOs | None = None) -> Plan:
    return plan([INITRAMFS_VIRTIO_FIX], guest, os or guest_os(guest))


def changes(guest: MemoryGuest, os: GuestOs | None = None) -> list[Change]:
    return [item.change for item in planned(guest, os).changes]


def texts(guest: MemoryGuest, os: GuestOs | None = None) -> Mapping[str, str]:
    """What each written file will hold."""
    return {item.path: item.after.decode() for item in changes(guest, os) if isinstance(item, WriteFile)}


def rebuilds(guest: MemoryGuest, os: GuestOs | None = None) -> list[Rebuild]:
    return [item for item in changes(guest, os) if isinstance(item, Rebuild)]


def test_an_image_that_holds_virtio_is_left_alone() -> None:
    assert planned(debian(held=EVERYTHING)).changes == ()
    assert planned(debian(held=tuple(CRITICAL))).changes == ()  # no network driver: not needed to boot


def test_an_image_of_vmwares_drivers_is_rebuilt() -> None:
    guest = debian()
    (rebuild,) = rebuilds(guest)
    size_bytes = guest.stat(image_path()).size_bytes
    assert (rebuild.what, rebuild.tool, rebuild.kernel, rebuild.path) == (
        RebuildKind.INITRAMFS,
        InitramfsTool.INITRAMFS_TOOLS,
        VERSION,
        image_path(),
    )
    assert rebuild.must_hold == CRITICAL
    assert rebuild.estimated_bytes > size_bytes
    assert planned(guest).findings == ()


def test_the_missing_modules_are_listed_for_later_updates_too() -> None:
    assert texts(debian()) == {
        "/etc/initramfs-tools/modules": "# List of modules\n# drivers of KVM's disks and network\n"
        "virtio\nvirtio_ring\nvirtio_pci\nvirtio_blk\nvirtio_scsi\nvirtio_net\nahci\nnvme\n"
    }


def test_modules_that_are_listed_already_are_not_listed_twice() -> None:
    listed = "virtio-pci\nvirtio_blk option=1\nvirtio\nvirtio_ring\nvirtio_scsi\nvirtio_net\nahci"
    guest = debian({"/etc/initramfs-tools/modules": listed})
    assert texts(guest) == {
        "/etc/initramfs-tools/modules": f"{listed}\n# drivers of KVM's disks and network\nnvme\n"
    }


def test_a_modules_file_that_names_all_is_not_touched() -> None:
    guest = debian({"/etc/initramfs-tools/modules": "\n".join(EVERYTHING)})
    assert [change.kind for change in changes(guest)] == ["rebuild"]


def test_a_missing_modules_file_is_created() -> None:
    guest = debian()
    guest.remove("/etc/initramfs-tools/modules")
    assert texts(guest)["/etc/initramfs-tools/modules"].startswith("# drivers of KVM")


def test_one_driver_lacking_is_enough() -> None:
    for lacking in CRITICAL:
        guest = debian(held=tuple(set(EVERYTHING) - {lacking}))
        assert len(rebuilds(guest)) == 1, lacking


def test_only_modules_of_the_kernel_count() -> None:
    guest = debian()
    builtin = frozenset({"virtio", "virtio_ring", "virtio_pci", "virtio_pci_modern_dev", "virtio_blk"})
    (rebuild,) = rebuilds(guest, guest_os(guest, available=ALL_MODULES - builtin, builtin=builtin))
    assert rebuild.must_hold == {"virtio_scsi", "sd_mod", "scsi_mod"}
    assert rebuilds(guest, guest_os(guest, available=frozenset(), builtin=ALL_MODULES)) == []


def test_what_a_driver_softly_depends_on_is_required_too() -> None:
    soft = "# x\nsoftdep virtio-blk pre: nvme no-such-module post: ahci\n"
    guest = debian({f"/lib/modules/{VERSION}/modules.softdep": soft})
    assert rebuilds(guest)[0].must_hold == CRITICAL | {"nvme"}


def test_without_modules_dep_the_drivers_themselves_are_required() -> None:
    guest = debian()
    guest.remove(f"/lib/modules/{VERSION}/modules.dep")
    assert rebuilds(guest)[0].must_hold == {"virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod"}


@pytest.mark.parametrize(
    ("files", "written"),
    [
        ({"/etc/initramfs-tools/initramfs.conf": "MODULES=dep\n"}, True),
        ({"/etc/initramfs-tools/initramfs.conf": 'MODULES="dep"\n'}, True),
        ({"/etc/initramfs-tools/conf.d/driver-policy": "# x\nMODULES=dep\n"}, True),
        ({"/etc/initramfs-tools/conf.d/driver-policy": "#MODULES=dep\n"}, False),
        ({"/etc/initramfs-tools/conf.d/driver-policy": "MODULES=list\n"}, False),
        ({"/etc/initramfs-tools/conf.d/driver-policy": "MODULES=most\n"}, False),
        (
            {
                "/etc/initramfs-tools/initramfs.conf": "MODULES=dep\n",
                "/etc/initramfs-tools/conf.d/x": "MODULES=list\n",
            },
            False,
        ),
        (
            {
                "/usr/share/initramfs-tools/conf.d/a": "MODULES=dep\n",
                "/etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
            },
            True,
        ),
    ],
)
def test_a_policy_that_looks_at_the_machine_is_overridden(files: dict[str, str], written: bool) -> None:
    policy = texts(debian(files)).get("/etc/initramfs-tools/conf.d/vmdk2kvm")
    assert policy == ("MODULES=most\n" if written else None)


def test_an_image_for_all_machines_needs_more_room() -> None:
    dep = debian({"/etc/initramfs-tools/initramfs.conf": "MODULES=dep\n"})
    assert rebuilds(dep)[0].estimated_bytes > rebuilds(debian())[0].estimated_bytes


def dracut_os(guest: MemoryGuest) -> GuestOs:
    return guest_os(guest, tool=InitramfsTool.DRACUT)


def test_dracut_is_told_in_a_file_of_its_own() -> None:
    guest = debian()
    assert texts(guest, dracut_os(guest)) == {DROP_IN: ADD_DRIVERS}
    assert rebuilds(guest, dracut_os(guest))[0].tool is InitramfsTool.DRACUT


def test_a_drop_in_that_is_right_is_not_written_again() -> None:
    guest = debian({DROP_IN: ADD_DRIVERS})
    assert [change.kind for change in changes(guest, dracut_os(guest))] == ["rebuild"]


def test_an_image_that_cannot_be_read_is_rebuilt() -> None:
    guest = debian({image_path(): b"garbage"})
    assert rebuilds(guest)[0].must_hold == CRITICAL


RESUME = "/etc/initramfs-tools/conf.d/resume"


@pytest.mark.parametrize(
    ("baked", "configured", "rebuilt"),
    [
        ("RESUME=/dev/sda5\n", "RESUME=UUID=1-2\n", True),
        ("RESUME=UUID=1-2\n", "RESUME=UUID=1-2\n", False),
        ("RESUME=/dev/sda5\n", "RESUME=/dev/sda5\n", False),  # a rebuild would bake the same again
        ("RESUME=/dev/sda5\n", None, True),
        ("RESUME=none\n", None, False),
    ],
)
def test_a_stale_resume_inside_the_image(baked: str, configured: str | None, rebuilt: bool) -> None:
    files: dict[str, bytes | str] = {image_path(): image(EVERYTHING, {"conf/conf.d/resume": baked.encode()})}
    if configured is not None:
        files[RESUME] = configured
    assert [change.kind for change in changes(debian(files))] == (["rebuild"] if rebuilt else [])


@pytest.mark.parametrize(
    ("baked", "fstab", "rebuilt"),
    [
        (b" root=/dev/sda1 rootfstype=ext4\n", "UUID=1 / ext4\n", True),
        (b" root=/dev/sda1 rootfstype=ext4\n", "/dev/sda1 / ext4\n", False),
        (b" root=/dev/disk/by-path/pci-0000:03:00.0-part1\n", "UUID=1 / ext4\n", True),
        (b" root=UUID=1 rd.lvm.lv=vg/root\n", "UUID=1 / ext4\n", False),
    ],
)
def test_stale_names_inside_a_dracut_image(baked: bytes, fstab: str, rebuilt: bool) -> None:
    held = image(EVERYTHING, {"etc/cmdline.d/95root-dev.conf": baked})
    guest = debian({image_path(): held, "/etc/fstab": fstab})
    assert [change.kind for change in changes(guest, dracut_os(guest))] == (["rebuild"] if rebuilt else [])


def test_names_that_a_new_image_would_hold_again_are_no_reason() -> None:
    devices = b"IDTYPE=devname IDNAME=/dev/sda2 DEVNAME=/dev/sda2 PVID=x\n"
    held = image(EVERYTHING, {"etc/lvm/devices/system.devices": devices})
    guest = debian({image_path(): held, "/etc/lvm/devices/system.devices": devices})
    assert changes(guest, dracut_os(guest)) == []
    guest.remove("/etc/lvm/devices/system.devices")
    assert [change.kind for change in changes(guest, dracut_os(guest))] == ["rebuild"]


def test_every_kernel_is_judged_and_special_ones_are_not() -> None:
    old, rescue, kdump = "5.10.0-9-amd64", "0-rescue-0f1e2d", "6.1.0-13-amd64kdump"
    guest = debian({image_path(version): image(VMWARE_ONLY) for version in (old, rescue, kdump)})
    os = guest_os(guest, VERSION, old, rescue, kdump)
    assert [each.kernel for each in rebuilds(guest, os)] == [VERSION, old]
    assert planned(guest, os).findings == ()


def test_a_kernel_without_virtio_is_reported() -> None:
    guest = debian()
    for available in (frozenset({"sd_mod"}), frozenset({"virtio_pci"}), frozenset({"virtio_blk"})):
        found = planned(guest, guest_os(guest, available=available))
        assert found.changes == ()
        assert [(each.id, each.level) for each in found.findings] == [("initramfs-lacks-virtio", Level.ERROR)]
        assert VERSION in found.findings[0].message


@pytest.mark.parametrize("tool", [None, InitramfsTool.MKINITRD, InitramfsTool.BOOSTER])
def test_a_tool_nobody_knows_is_reported(tool: InitramfsTool | None) -> None:
    guest = debian()
    found = planned(guest, guest_os(guest, tool=tool))
    assert found.changes == ()
    assert [(each.id, each.level) for each in found.findings] == [("initramfs-lacks-virtio", Level.ERROR)]
    assert "virtio_blk" in found.findings[0].message
    assert planned(debian(held=EVERYTHING), guest_os(debian(held=EVERYTHING), tool=tool)).findings == ()


def test_a_kernel_without_an_image_is_reported() -> None:
    guest = debian()
    os = guest_os(guest)
    bare = replace(os.kernels[0], version="5.10.0-9-amd64", initramfs=None)
    found = planned(guest, replace(os, kernels=(bare,)))
    assert [(each.id, each.level) for each in found.findings] == [("initramfs-lacks-virtio", Level.ERROR)]
    beside = planned(guest, replace(os, kernels=(*os.kernels, bare)))
    assert [each.level for each in beside.findings] == [Level.WARNING]
    all_builtin = replace(bare, builtin=ALL_MODULES)
    assert planned(guest, replace(os, kernels=(all_builtin,))).findings == ()


def test_hostile_settings_are_findings_not_crashes() -> None:
    guest = debian({"/etc/initramfs-tools/modules": b"x" * (2 << 20)})
    found = planned(guest)
    assert [each.id for each in found.findings] == ["file-left-unread"]
    assert [item.change.kind for item in found.changes] == ["rebuild"]


# encrypted volumes

BAKED = {"cryptroot/crypttab": b"sda5_crypt /dev/sda5 none luks\n"}
STABLE = "sda5_crypt UUID=1 none luks\n"
ENCRYPTED = (*VMWARE_ONLY, "dm_crypt")
WITH_CRYPT = frozenset({*ALL_MODULES, "dm_crypt"})


def encrypted(crypttab: str = STABLE, held: tuple[str, ...] = ENCRYPTED, **files: str) -> MemoryGuest:
    dependencies = f"{MODULES_DEP}kernel/drivers/md/dm-crypt.ko:\n"
    return debian(
        {
            image_path(): image(held, BAKED),
            "/etc/crypttab": crypttab,
            f"/lib/modules/{VERSION}/modules.dep": dependencies,
            **files,
        }
    )


def test_an_image_that_holds_an_old_crypttab_is_rebuilt() -> None:
    guest = encrypted(held=(*EVERYTHING, "dm_crypt"))
    (rebuild,) = rebuilds(guest, guest_os(guest, available=WITH_CRYPT))
    assert rebuild.stale_names
    assert rebuild.must_keep == ("cryptroot/crypttab",)
    assert rebuild.must_hold == CRITICAL | {"dm_crypt"}
    guest = encrypted("sda5_crypt /dev/sda5 none luks\n", held=(*EVERYTHING, "dm_crypt"))
    assert rebuilds(guest, guest_os(guest, available=WITH_CRYPT)) == []


def test_what_opens_volumes_is_needed_in_a_guest_that_has_some() -> None:
    guest = debian({image_path(): image(ENCRYPTED)})
    os = guest_os(guest, available=WITH_CRYPT)
    assert [each.must_hold for each in rebuilds(guest, os)] == [CRITICAL]
    os = replace(os, luks=(LuksVolume(device="/dev/sda5", header=None),))
    assert [each.must_hold for each in rebuilds(guest, os)] == [CRITICAL | {"dm_crypt"}]


@pytest.mark.parametrize("hook", [True, False])
def test_a_new_image_that_opens_no_volume_is_not_believed(hook: bool) -> None:
    guest = encrypted(**({CRYPTROOT_HOOK: ""} if hook else {}))
    os = guest_os(guest, available=WITH_CRYPT)
    before = guest.read_bytes(image_path())
    if hook:
        apply(planned(guest, os), guest, backup=False)
        assert planned(guest, inspected_again(guest, os)).changes == ()
        return
    with pytest.raises(RebuildUnproven, match="cryptroot/crypttab"):
        apply(planned(guest, os), guest, backup=False)
    assert guest.read_bytes(image_path()) == before
