"""Hostile guests on a real file system: nothing outside is read or written, nothing waits for ever."""

import hashlib
import resource
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.initramfs_images import image
from tests.offline_guests import Shelf, fill, shelf
from tests.path_list import path_list
from tests.unit.stages.test_hostile_guests import bomb
from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.catalog import FIXES
from vmdk2kvm.fixes.undo import undo
from vmdk2kvm.guest.memory import Folder, Link, Node
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.model.units import GIB, MIB
from vmdk2kvm.stages import inspect

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(900)]

VERSION = "6.1.0-13-amd64"
MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod")
MENU = "/boot/grub/grub.cfg"
LIMIT_S = 240.0  # of an emulated appliance on a busy machine
MEMORY_LIMIT_BYTES = 256 * MIB

Files = dict[str, bytes | str | Node]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with shelf((900,) * 5, tmp_path_factory.mktemp("shelf")) as found:
        yield found


def files() -> Files:
    return {
        "/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "/etc/fstab": "/dev/sda1 / ext4\n",
        "/etc/default/grub": 'GRUB_CMDLINE_LINUX="root=/dev/sda1"\n',
        "/usr/x": b"",
        "/var/lib": Folder(),
        f"/lib/modules/{VERSION}/modules.dep": "".join(f"kernel/{name}.ko:\n" for name in MODULES),
        f"/boot/vmlinuz-{VERSION}": b"MZ",
        f"/boot/initrd.img-{VERSION}": image(MODULES),
        MENU: "linux /vmlinuz root=/dev/sda1 ro\ninitrd /initrd\n",
    }


def of_the_appliance(session: OfflineGuest) -> str:
    """What the guest's links could reach outside it."""
    script = "cat /etc/passwd /etc/fstab 2>/dev/null; ls -A / /etc"
    return hashlib.sha256(session._appliance.shell(script).output).hexdigest()


def looked_into(session: OfflineGuest) -> set[str]:
    """INSPECT, plan and apply, in bounded time, with the appliance's own files as they were."""
    session.unmount_all()
    outside, started, before_bytes = of_the_appliance(session), time.monotonic(), _peak_bytes()
    inspected = inspect.with_forecast(session, inspect.run(session))
    plan = engine.plan(FIXES, session, inspected.os)
    before = path_list(session)
    engine.apply(plan, session, backup=True)
    undo(session)
    assert path_list(session) == before
    assert time.monotonic() - started < LIMIT_S
    assert _peak_bytes() - before_bytes < MEMORY_LIMIT_BYTES
    assert of_the_appliance(session) == outside
    return {each.id for each in (*inspected.findings, *plan.findings)}


def _peak_bytes() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def made(session: OfflineGuest, more: Files, script: str = "true") -> None:
    session.mount("/dev/sda1", "/")
    fill(session, {**files(), **more})
    done = session._appliance.shell(f"set -e; cd /sysroot\n{script}")
    assert done.status == 0, done.text


ONE_PARTITION = "printf ',,L\\n' | sfdisk -q $A; udevadm settle; mkfs.ext4 -q ${A}1"


def test_pipes_and_devices_where_files_are_expected(disks: Shelf) -> None:
    script = f"""
        rm etc/fstab etc/default/grub boot/initrd.img-{VERSION} lib/modules/{VERSION}/modules.dep
        mkfifo etc/fstab boot/initrd.img-{VERSION} lib/modules/{VERSION}/modules.dep etc/crypttab
        mkdir -p etc/network etc/netplan
        mkfifo etc/network/interfaces etc/netplan/a.yaml boot/grub/device.map
        mknod etc/default/grub b 8 0; mknod etc/machine-id c 1 8; mknod boot/config c 1 5
    """
    with disks.guest(ONE_PARTITION) as session:
        made(session, {}, script)
        ids = looked_into(session)
        assert {"fstab-unread", "file-left-unread"} <= ids
        for path in ("/etc/fstab", "/etc/default/grub"):
            with pytest.raises(GuestError):
                session.read_bytes(path)
            with pytest.raises(GuestError):
                session.write_bytes(path, b"x")
        assert session._appliance.shell("cd /sysroot/etc; test -p fstab && test -b default/grub").status == 0


def test_links_that_lead_out_of_the_root(disks: Shelf) -> None:
    links: Files = {
        "/etc/fstab": Link(target="../../../../../../etc/passwd"),
        "/etc/default/grub": Link(target="/etc/passwd"),
        MENU: Link(target="../../../../../etc/fstab"),
        "/boot/grub/device.map": Link(target="/proc/self/environ"),
        "/etc/initramfs-tools": Link(target="../../../etc"),
        "/var/lib/vmdk2kvm": Link(target="../../../../../tmp"),
        "/tmp": Folder(),
    }
    with disks.guest(ONE_PARTITION) as session:
        made(session, links)
        ids = looked_into(session)
        assert "file-left-unread" in ids
        assert not session.exists("/etc/passwd")


def test_links_in_circles_in_boot(disks: Shelf) -> None:
    with disks.guest(ONE_PARTITION) as session:
        made(session, {}, "rm -r boot; ln -s boot boot; ln -s . usr/itself")
        ids = looked_into(session)
        assert {"no-kernel", "no-boot-loader-found"} <= ids


def test_a_bomb_and_ten_megabytes(disks: Shelf) -> None:
    """The fstab and the initramfs are read from the file system, not handed over by a test."""
    with disks.guest(ONE_PARTITION) as session:
        packed = bomb(3 * GIB)
        made(
            session,
            {
                "/etc/fstab": "/dev/sda1 / ext4\n" + "/dev/sdb1 /x ext4\n" * 600_000,
                f"/boot/initrd.img-{VERSION}": packed,
                "/etc/os-release": 'ID=debian\nPRETTY_NAME="\x1b]0;owned\x07\x1b[2J"\n',
            },
        )
        ids = looked_into(session)
        assert {"fstab-unread", "initramfs-without-virtio"} <= ids


def test_nothing_of_the_host_is_written(disks: Shelf, tmp_path: Path) -> None:
    """A path of the guest that exists on the host, too, is the guest's."""
    inside = {
        str(tmp_path / "here"): "of the guest\n",
        "/etc/default/grub.d/x.cfg": Link(target=str(tmp_path)),
    }
    (tmp_path / "here").write_text("of the host\n")
    with disks.guest(ONE_PARTITION) as session:
        made(session, inside)
        session.write_bytes(str(tmp_path / "here"), b"changed\n")
        looked_into(session)
        assert (tmp_path / "here").read_text() == "of the host\n"
        assert session.read_text(str(tmp_path / "here")) == "changed\n"
