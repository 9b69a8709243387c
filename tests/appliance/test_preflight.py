"""What stops a migration before the long work, on real file systems."""

from collections.abc import Iterator

import pytest

from tests.initramfs_images import image
from tests.offline_guests import Shelf, fill, shelf
from vmdk2kvm.errors import GuestRefused
from vmdk2kvm.guest.memory import Folder, Node
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.stages import inspect

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(600)]

VERSION = "6.1.0-13-amd64"


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with shelf((900,) * 6, tmp_path_factory.mktemp("shelf")) as found:
        yield found


def files(fstab: str) -> dict[str, bytes | str | Node]:
    return {
        "/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "/etc/fstab": fstab,
        "/usr/bin/x": b"",
        "/data": Folder(),
        f"/lib/modules/{VERSION}/modules.dep": "kernel/virtio_blk.ko:\n",
        f"/boot/vmlinuz-{VERSION}": b"MZ",
        f"/boot/initrd.img-{VERSION}": image(["vmw_pvscsi"]),
    }


def switched_off(session: OfflineGuest) -> None:
    """As after a power cut: the file system on the first partition is copied while it is in use."""
    used, free = (session._inner_names[f"/dev/sda{number}"] for number in (1, 2))
    done = session._appliance.shell(
        f"set -e; echo late >/sysroot/etc/late; sync; dd if={used} of={free} bs=1M count=400 status=none; "
        f"umount /sysroot; dd if={free} of={used} bs=1M count=400 status=none; wipefs -qa {free}; sync"
    )
    assert done.status == 0, done.text
    session._mounted.clear()


@pytest.mark.parametrize("type", ["ext4", "xfs"])
def test_a_journal_that_had_to_be_replayed_is_told(disks: Shelf, type: str) -> None:
    script = f"printf ',400M,L\\n,,L\\n' | sfdisk -q $A; udevadm settle; mkfs.{type} -q ${{A}}1"
    with disks.guest(script) as session:
        session.mount("/dev/sda1", "/")
        fill(session, files(f"/dev/sda1 / {type}\n"))
        session.unmount_all()
        session.mount("/dev/sda1", "/")
        clean = inspect.run(session)
        assert "journal-replayed" not in {each.id for each in clean.findings}
        switched_off(session)
        found = inspect.run(session)
        (told,) = [each for each in found.findings if each.id == "journal-replayed"]
        assert '"/dev/sda1"' in told.message
        assert session.read_bytes("/etc/late") == b"late\n"


def test_a_damaged_file_system_is_refused_or_told(disks: Shelf) -> None:
    script = """
        printf ',400M,L\\n,,L\\n' | sfdisk -q $A; udevadm settle
        mkfs.ext4 -q ${A}1; mkfs.ext4 -q ${A}2
    """
    with disks.guest(script) as session:
        session.mount("/dev/sda1", "/")
        fill(session, files("/dev/sda1 / ext4\n/dev/sda2 /data ext4 nofail\n"))
        session.unmount_all()
        session._appliance.shell(f"debugfs -w -R 'ssv state 2' {session._inner_names['/dev/sda2']}")
        found = inspect.run(session)
        assert [each.message for each in found.findings if each.id == "file-system-damaged"]
        session.unmount_all()
        session._appliance.shell(f"debugfs -w -R 'ssv state 2' {session._inner_names['/dev/sda1']}")
        with pytest.raises(GuestRefused, match="damaged") as caught:
            inspect.run(session)
        assert "e2fsck -f /dev/sda1" in caught.value.hint
        session.unmount_all()
        session._appliance.shell(f"e2fsck -fy {session._inner_names['/dev/sda1']}")
        inspect.run(session)


def test_an_xfs_that_needs_repair_is_refused(disks: Shelf) -> None:
    script = "printf ',400M,L\\n,,L\\n' | sfdisk -q $A; udevadm settle; mkfs.xfs -q ${A}1; mkfs.xfs -q ${A}2"
    with disks.guest(script) as session:
        session.mount("/dev/sda1", "/")
        fill(session, files("/dev/sda1 / xfs\n/dev/sda2 /data xfs\n"))
        session.unmount_all()
        inner = session._inner_names["/dev/sda2"]
        # sb_features_incompat, with the checksum of the superblock made right again
        broken = session._appliance.shell(f"xfs_db -x -c 'sb 0' -c 'write -d features_incompat 0x1b' {inner}")
        assert broken.status == 0, broken.text
        with pytest.raises(GuestRefused) as caught:
            inspect.run(session)
        assert '"/dev/sda2"' in caught.value.message
        assert "xfs_repair" in caught.value.hint


@pytest.mark.parametrize("where", ["partition", "file"])
def test_a_hibernated_guest_is_refused(disks: Shelf, where: str) -> None:
    script = """
        printf ',400M,L\\n,64M,S\\n' | sfdisk -q $A; udevadm settle; mkfs.ext4 -q ${A}1; mkswap -q ${A}2
    """
    with disks.guest(script) as session:
        session.mount("/dev/sda1", "/")
        swap = "/swap file" if where == "file" else "/dev/sda2"
        fill(session, files(f"/dev/sda1 / ext4\n{swap.replace(' ', chr(92) + '040')} none swap sw\n"))
        session._appliance.shell("cd /sysroot; truncate -s 8M 'swap file'; mkswap 'swap file'")
        inspect.run(session)
        place = "/sysroot/swap file" if where == "file" else session._inner_names["/dev/sda2"]
        session._appliance.shell(f"printf 'S1SUSPEND\\0' | dd of='{place}' bs=1 seek=4086 conv=notrunc; sync")
        session.unmount_all()
        with pytest.raises(GuestRefused, match="hibernated") as caught:
            inspect.run(session)
        assert f'"{swap}"' in caught.value.message
