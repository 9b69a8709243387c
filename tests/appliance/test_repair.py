"""Repairs of guests whose file systems stand in the way: full, without discard, damaged.

The whole pipeline runs, over the real file systems of one appliance (tests/offline_guests.py).
"""

import os
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

from tests.appliance.test_offline_guest import VERSION, Files, system
from tests.initramfs_images import image
from tests.linux_guests import ALL_MODULES, MODULES_DEP, VMWARE_ONLY
from tests.offline_guests import Shelf, fill, shelf
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import GuestError, NoRoomInGuest, RebuildUnproven
from vmdk2kvm.guest.memory import File, Folder
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.model.report import Report, StageName
from vmdk2kvm.model.units import MIB
from vmdk2kvm.pipeline import assemble, migrate

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(600)]

SIZES_MIB = (500,) * 3
IMAGE = f"/boot/initrd.img-{VERSION}"
DESCRIPTOR = """\
# Disk DescriptorFile
version=1
CID=0000000a
parentCID=ffffffff
createType="monolithicFlat"
# Extent description
RW 2048 FLAT "disk-flat.vmdk" 0
"""
WITH_A_SHELL = """
    cd /run/r; mkdir -p bin sbin usr/sbin lib64 lib/x86_64-linux-gnu proc sys dev tmp run
    for program in sh cp head; do
        cp -L /bin/$program bin || cp -L /usr/bin/$program bin
        for each in $(ldd /bin/$program | grep -o '/[^ ]*'); do cp -nL $each .$each; done
    done
    cd /; umount /run/r
"""

Run = Callable[[OfflineGuest], Report]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with shelf(SIZES_MIB, tmp_path_factory.mktemp("shelf")) as found:
        yield found


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The disks are those of the session; the source's only purpose is to be there."""
    (tmp_path / "disk.vmdk").write_text(DESCRIPTOR)
    (tmp_path / "disk-flat.vmdk").write_bytes(bytes(MIB))
    return Settings(
        vmdk=(tmp_path / "disk.vmdk",),
        output_dir=tmp_path / "out",
        trim=True,
        stages=(StageName.FETCH, StageName.FLATTEN, StageName.INSPECT, StageName.FIX),
    )


@pytest.fixture
def use(monkeypatch: pytest.MonkeyPatch) -> Callable[[OfflineGuest], None]:
    def opened(session: OfflineGuest) -> None:
        monkeypatch.setattr(assemble, "opened", lambda run, overlays: nullcontext(session))

    return opened


def ignore(event: object) -> None:
    del event


def debian_with_own_boot() -> tuple[Files, Files]:
    """The root and /boot of a guest whose initramfs has to be rebuilt."""
    root = {
        **system("/dev/sda2 / ext4\n/dev/sda1 /boot ext4\n"),
        f"/lib/modules/{VERSION}/modules.dep": MODULES_DEP,
        "/etc/initramfs-tools/initramfs.conf": "MODULES=most\n",
        "/etc/initramfs-tools/modules": "",
        "/usr/sbin/mkinitramfs": File(content=b"#!/bin/sh\n", mode=0o755),
        "/boot": Folder(),
    }
    del root["/bin"], root["/usr/bin/sh"]  # the shell that runs is there already
    filler = {"filler": os.urandom(8 * MIB)}
    return root, {f"/vmlinuz-{VERSION}": b"MZ", f"/initrd.img-{VERSION}": image(VMWARE_ONLY, filler)}


def update_initramfs(session: OfflineGuest, script: str) -> None:
    fill(
        session,
        {"/usr/sbin/update-initramfs": File(content=f"#!/bin/sh\nset -e\n{script}\n".encode(), mode=0o755)},
    )


def leave_free(session: OfflineGuest, folder: str, size_bytes: int) -> None:
    session._appliance.shell(
        f"cat /dev/zero >/sysroot{folder}/full; truncate -s -{size_bytes} /sysroot{folder}/full"
    )
    assert 0 <= session.room(folder).free_bytes - size_bytes < 64 * 1024


def test_no_room_for_a_rebuild_then_little_room(
    disks: Shelf, settings: Settings, use: Callable[[OfflineGuest], None]
) -> None:
    script = f"""
        printf 'label: dos\\n,60M,L,*\\n,,L\\n' | sfdisk -q $A; udevadm settle
        mkfs.ext4 -q -m0 ${{A}}1; mkfs.ext4 -q ${{A}}2; mkdir -p /run/r; mount ${{A}}2 /run/r
        {WITH_A_SHELL}
    """
    root, boot = debian_with_own_boot()
    new = image(ALL_MODULES, {"filler": os.urandom(20 * MIB)})
    with disks.guest(script) as session:
        use(session)
        session.mount("/dev/sda2", "/")
        fill(session, {**root, "/usr/share/new.img": new})
        session.mount("/dev/sda1", "/boot")
        fill(session, {f"/boot{path}": node for path, node in boot.items()})
        old = session.read_bytes(IMAGE)
        update_initramfs(session, "exit 9")
        leave_free(session, "/boot", 0)

        mark = session.mark()
        for command in (migrate.plan, migrate.migrate):
            refuses_for_want_of_room(command, settings)
        assert session.changed_since(mark) == ()

        leave_free(session, "/boot", 19 * MIB)  # for the new image, if the old one leaves
        update_initramfs(
            session, f'[ "$*" = "-c -k {VERSION}" ]\nhead -c 25000000 /dev/zero >{IMAGE}\nexit 7'
        )
        with pytest.raises(RebuildUnproven, match="status 7; the old image was put back"):
            migrate.migrate(settings, ignore)
        assert session.read_bytes(IMAGE) == old

        update_initramfs(session, f"cp /usr/share/new.img {IMAGE}")
        migrate.migrate(settings, ignore)
        assert session._appliance.shell(f"cmp /sysroot{IMAGE} /sysroot/usr/share/new.img").status == 0
        kept = [path for path in session.list_tree("/var/lib/vmdk2kvm") if path.endswith(IMAGE)]
        assert old in [session.read_bytes(path) for path in kept]


def refuses_for_want_of_room(command: Callable[..., Any], settings: Settings) -> None:
    wanted = r'^"/boot" in the guest has \d KiB free; the repair needs 17 MiB\.$'
    with pytest.raises(NoRoomInGuest, match=wanted) as caught:
        command(settings, ignore)
    assert (caught.value.exit_code, caught.value.mountpoint) == (5, "/boot")
    assert "make room on /boot" in caught.value.hint


def test_what_cannot_be_trimmed_is_a_finding(
    disks: Shelf, settings: Settings, use: Callable[[OfflineGuest], None]
) -> None:
    """A snapshot of LVM's passes no discard on."""
    script = """
        printf 'label: dos\\n,60M,L,*\\n,,8e\\n' | sfdisk -q $A; udevadm settle; mkfs.ext4 -q ${A}1
        pvcreate -q ${A}2; vgcreate -q taken ${A}2; lvcreate -qy -n origin -L 64M taken
        mkfs.ext4 -q /dev/taken/origin; lvcreate -qy -s -n var -L 32M taken/origin
    """
    with disks.guest(script, groups=["taken"]) as session:
        use(session)
        session.mount("/dev/sda1", "/")
        fill(session, system("/dev/sda1 / ext4\n/dev/taken/var /var ext4\n"))
        report = migrate.migrate(settings, ignore)
        told = [finding.message for finding in report.findings if finding.id == "not-trimmed"]
        assert len(told) == 1
        assert told[0].startswith('"/var" in the guest could not be trimmed: ')
        assert "discard operation is not supported" in told[0]


def test_a_damaged_file_system_that_would_stop_its_kernel(
    disks: Shelf, settings: Settings, use: Callable[[OfflineGuest], None]
) -> None:
    """errors=panic is the guest's wish for its own kernel; the appliance's has to live on and tell."""
    with disks.guest("mkfs.ext4 -q -b 4096 $A") as session:
        use(session)
        session.mount("/dev/sda", "/")
        fill(session, system("/dev/sda / ext4\n"))
        inner = session._inner_names["/dev/sda"]
        session.unmount_all()
        damaged = session._appliance.shell(f"""
            tune2fs -e panic {inner}
            for at in $(dumpe2fs {inner} 2>/dev/null | sed -n 's/.*Inode bitmap at \\([0-9]*\\).*/\\1/p'); do
                dd if=/dev/urandom of={inner} bs=4096 seek=$at count=1 conv=notrunc
            done
        """)
        assert damaged.status == 0, damaged.text
        with pytest.raises(GuestError, match=r'"/.*" in the guest cannot be used') as caught:
            migrate.migrate(settings, ignore)
        assert caught.value.exit_code == 5
        assert "check its file system on the source machine" in caught.value.hint
