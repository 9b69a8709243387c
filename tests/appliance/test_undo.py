"""Apply, then undo, on real file systems: every path is what it was, attributes and labels included."""

from collections.abc import Iterator

import pytest

from tests.initramfs_images import image
from tests.offline_guests import Shelf, fill, shelf
from tests.path_list import path_list
from vmdk2kvm.errors import ChangedSinceRepair
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.catalog import FIXES
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.formats.plan_json import plan_of
from vmdk2kvm.guest.memory import File, Folder, Link, Node
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.model.changes import Change, MakeSymlink, PlannedChange, RemoveFile, WriteFile
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.stages import inspect

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(1800)]

VERSION = "6.1.0-13-amd64"
FSTAB = "/dev/sda2 / {type} defaults 0 1\n/dev/sda1 /boot/efi vfat umask=0077 0 1\n"
ACL = "0x0200000001000600ffffffff02000400e803000004000400ffffffff10000400ffffffff20000400ffffffff"
ATTRIBUTES = f"""
cd /sysroot/etc
setfattr -n security.selinux -v system_u:object_r:etc_t:s0 fstab default/grub
setfattr -n user.note -v kept fstab
setfattr -n system.posix_acl_access -v {ACL} fstab
chown 3:6 default/grub; chmod 0640 default/grub
"""
Files = dict[str, bytes | str | Node]


def files(type: str) -> Files:
    return {
        "/etc/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian 12"\n',
        "/etc/fstab": FSTAB.format(type=type),
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX="root=/dev/sda2"\n',
        "/etc/localtime": Link(target="../usr/share/zoneinfo/UTC"),
        "/boot/grub/grub.cfg": f"linux /boot/vmlinuz-{VERSION} root=/dev/sda2 ro\n",
        "/boot/grub/device.map": File(content=b"(hd0) /dev/sda\n", mode=0o600, uid=5, gid=7),
        f"/boot/vmlinuz-{VERSION}": b"MZ",
        f"/boot/initrd.img-{VERSION}": image(["vmw_pvscsi"]),
        f"/lib/modules/{VERSION}/modules.dep": "kernel/virtio_blk.ko:\n",
        "/usr/bin/sh": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00",
        "/bin": Link(target="usr/bin"),
        "/boot/efi": Folder(),
        "/var/lib": Folder(),
    }


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with shelf((900, 900), tmp_path_factory.mktemp("shelf")) as found:
        yield found


def filled(session: OfflineGuest, type: str) -> None:
    session.mount("/dev/sda2", "/")
    fill(session, files(type))
    assert session._appliance.shell(ATTRIBUTES).status == 0
    session.mount("/dev/sda1", "/boot/efi")
    fill(session, {"/boot/efi/EFI/debian/grub.cfg": "linux /vmlinuz root=/dev/sda2\n"})


def with_more(plan: Plan, session: OfflineGuest) -> Plan:
    """What the fixes plan, and a change of every other kind there is."""
    more: tuple[Change, ...] = (
        WriteFile(path="/etc/systemd/network/10-x.link", before=None, after=b"[Match]\n", mode=0o600),
        MakeSymlink(path="/etc/localtime", before="../usr/share/zoneinfo/UTC", target="other"),
        MakeSymlink(path="/etc/made/link", before=None, target="x"),
        RemoveFile(path="/usr/bin/sh", before=session.read_bytes("/usr/bin/sh")),
        WriteFile(
            path="/boot/efi/EFI/debian/grub.cfg", before=b"linux /vmlinuz root=/dev/sda2\n", after=b"x\n"
        ),
    )
    planned = {
        item.change.path: item for item in plan.changes if isinstance(item.change, WriteFile | RemoveFile)
    }
    added = [PlannedChange(fix="test", change=each) for each in more if each.path not in planned]  # type: ignore[union-attr]
    return plan_of([*planned.values(), *added], ())


@pytest.mark.parametrize("type", ["ext4", "xfs"])
def test_every_path_is_as_it_was(disks: Shelf, type: str) -> None:
    script = f"""
        printf 'label: gpt\\n,64M,U\\n,,L\\n' | sfdisk -q $A; udevadm settle
        mkfs.vfat ${{A}}1; mkfs.{type} -q ${{A}}2
    """
    with disks.guest(script) as session:
        filled(session, type)
        os = inspect.run(session).os
        before = path_list(session)
        assert any("security.selinux" in fact for fact in before["etc/fstab"]), before["etc/fstab"]
        assert any("posix_acl_access" in fact for fact in before["etc/fstab"])
        old = session.stat("/etc/fstab")
        plan = with_more(engine.plan(FIXES, session, os), session)
        assert {item.change.path for item in plan.changes if not isinstance(item.change, Change)} == set()
        engine.apply(plan, session, backup=True)
        changed = path_list(session)
        assert changed["etc/fstab"] != before["etc/fstab"]
        assert changed["etc/fstab"][2:] == before["etc/fstab"][2:], "an edit lost attributes"

        session.write_bytes("/etc/default/grub", b"by hand\n")
        with pytest.raises(ChangedSinceRepair) as caught:
            undo(session)
        assert caught.value.paths == ("/etc/default/grub",)
        grub = next(
            item.change for item in plan.changes if getattr(item.change, "path", "") == "/etc/default/grub"
        )
        assert isinstance(grub, WriteFile)
        session.write_bytes("/etc/default/grub", grub.after)
        assert path_list(session) == changed

        done = undo(session)
        assert {"/etc/fstab", "/boot/grub/device.map", "/usr/bin/sh"} <= set(done.restored)
        assert path_list(session) == before
        assert session.stat("/etc/fstab") == old, "its time is another"
        assert undo(session).plans == ()
