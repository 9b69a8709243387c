"""Guests on real file systems in an appliance: what a dict cannot show.

One appliance holds the disks of all of them (tests/offline_guests.py).
"""

from collections.abc import Iterator

import pytest

from tests.initramfs_images import image
from tests.offline_guests import Shelf, fill, shelf
from vmdk2kvm.errors import GuestError, GuestRefused, NoOperatingSystem, NoRoomInGuest
from vmdk2kvm.guest.memory import File, Folder, Link, Node
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.model.guest_os import BootLoaderKind, Firmware, Mount
from vmdk2kvm.stages import inspect
from vmdk2kvm.stages.forecast import forecast
from vmdk2kvm.tools.accelerator import Accelerator, probe

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(600)]

SIZES_MIB = (900,) * 11  # sparse; tests take them in any order
VERSION = "6.1.0-13-amd64"
BY_PATH = "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0"

Files = dict[str, bytes | str | Node]


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with shelf(SIZES_MIB, tmp_path_factory.mktemp("shelf")) as found:
        yield found


def system(fstab: str | Node) -> Files:
    return {
        "/etc/os-release": Link(target="../usr/lib/os-release"),
        "/usr/lib/os-release": 'ID=debian\nVERSION_ID="12"\nPRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\n',
        "/etc/fstab": fstab,
        "/usr/bin/sh": b"\x7fELF\x02\x01\x01" + bytes(9) + b"\x02\x00\x3e\x00",
        "/bin": Link(target="usr/bin"),
        "/var": Folder(),
        "/home": Folder(),
        f"/lib/modules/{VERSION}/modules.dep": "kernel/virtio_blk.ko:\n",
        f"/lib/modules/{VERSION}/modules.builtin": "kernel/virtio_pci.ko\n",
    }


def boot(folder: str = "/boot") -> Files:
    return {
        f"{folder}/vmlinuz-{VERSION}": b"MZ",
        f"{folder}/initrd.img-{VERSION}": image(["vmw_pvscsi", "sd_mod"]),
    }


def test_mbr_ext4_with_a_journal_to_replay(disks: Shelf) -> None:
    script = """
        printf 'label: dos\\n,150M,L,*\\n,,S\\n' | sfdisk -q $A; udevadm settle
        mkfs.ext4 -q -L 'the root' ${A}1; mkswap -q ${A}2
        printf GRUB | dd of=$A bs=1 seek=384 conv=notrunc status=none
    """
    with disks.guest(script) as session:
        session.mount("/dev/sda1", "/")
        fill(session, {**system("/dev/sda1 / ext4\n/dev/sda2 none swap sw\n"), **boot()})
        grub = {"/boot/grub/grub.cfg": "linux /x root=/dev/sda1\n", "/boot/grub/i386-pc/core.img": b"\x52"}
        fill(session, {**grub, "/boot/grub/device.map": "(hd0) /dev/sda\n"})
        # as after a power cut: the file system is copied while it is in use
        inner = session._inner_names["/dev/sda1"]
        copied = session._appliance.shell(
            f"echo late >/sysroot/etc/late; sync; dd if={inner} of=/run/copy bs=1M status=none; "
            f"umount /sysroot; dd if=/run/copy of={inner} bs=1M status=none; rm /run/copy; "
            f"dumpe2fs -h {inner} 2>/dev/null | grep -c needs_recovery"
        )
        assert copied.text.strip() == "1"
        session._mounted.clear()

        os = inspect.run(session).os
        assert os.mounts == (Mount(device="/dev/sda1", mountpoint="/", type="ext4"),)
        assert session.read_bytes("/etc/late") == b"late\n"
        assert (os.arch, os.firmware, os.fstab) == (
            "x86_64",
            Firmware.BIOS,
            "/dev/sda1 / ext4\n/dev/sda2 none swap sw\n",
        )
        root = os.names.resolve("/dev/sda1")
        assert root and root.label == "the root" and root.uuid and root.partuuid
        kernel = os.kernels[0]
        assert kernel.initramfs and kernel.initramfs.modules == {"vmw_pvscsi", "sd_mod"}
        assert {each.id for each in forecast(session, os)} >= {
            "fstab-vmware-names",
            "kernel-cmdline-vmware-names",
            "stale-device-map",
        }
        assert inspect.run_again(session, os) == os
        assert inspect.run(session).os == os


def test_uefi_with_boot_esp_lvm_and_xfs(disks: Shelf) -> None:
    script = """
        printf 'label: gpt\\n,64M,U\\n,128M,L\\n,,V\\n' | sfdisk -q $A; udevadm settle
        mkfs.vfat -n ESP ${A}1; mkfs.ext4 -q ${A}2; pvcreate -q ${A}3
        vgcreate -q sys-vg ${A}3; lvcreate -qy -n root -L 350M sys-vg; lvcreate -qy -n var -L 310M sys-vg
        mkfs.xfs -q /dev/sys-vg/root; mkfs.xfs -q /dev/sys-vg/var
    """
    fstab = (
        "/dev/mapper/sys--vg-root / xfs defaults 0 0\n/dev/sda2 /boot ext4 defaults 0 2\n"
        "/dev/sda1 /boot/efi vfat umask=0077 0 1\n/dev/sys-vg/var /var xfs defaults 0 0\n"
    )
    with disks.guest(script, groups=["sys--vg"]) as session:
        session.mount("/dev/sys-vg/root", "/")
        fill(session, {**system(fstab), "/boot": Folder()})
        session.mount("/dev/sda2", "/boot")
        fill(session, {**boot(), "/boot/grub/grub.cfg": "", "/boot/efi": Folder()})
        session.mount("/dev/sda1", "/boot/efi")
        fill(session, {"/boot/efi/EFI/debian/grubx64.efi": b"MZ", "/boot/efi/EFI/debian/grub.cfg": ""})
        os = inspect.run(session).os
        assert [(each.device, each.mountpoint, each.type) for each in os.mounts] == [
            ("/dev/sys-vg/root", "/", "xfs"),
            ("/dev/sda2", "/boot", "ext4"),
            ("/dev/sys-vg/var", "/var", "xfs"),
            ("/dev/sda1", "/boot/efi", "vfat"),
        ]
        assert (os.firmware, os.lvm, os.boot_loaders[0].kind) == (Firmware.UEFI, True, BootLoaderKind.GRUB2)
        assert os.boot_loaders[0].files == ("/boot/grub/grub.cfg", "/boot/efi/EFI/debian/grub.cfg")
        assert "uefi-without-fallback-loader" in {each.id for each in forecast(session, os)}
        rooms = {each.mountpoint: each for each in os.space}
        assert rooms["/boot/efi"].free_inodes is None and rooms["/boot"].free_inodes
        assert 0 < rooms["/boot/efi"].free_bytes < 64 << 20

        _edit_across_file_systems(session)


def _edit_across_file_systems(session: OfflineGuest) -> None:
    """ext4, XFS and FAT keep times, attributes and names each in their own way."""
    places = ("/boot/efi/EFI/debian/grub.cfg", "/boot/grub/grub.cfg", "/var/new", "/etc/fstab")
    mark = session.mark()
    for path in places:
        session.write_bytes(path, b"changed")
    session.copy_within("/etc/fstab", "/boot/efi/fstab copy")
    assert session.changed_since(mark) == tuple(sorted((*places, "/boot/efi/fstab copy")))
    assert session.changed_since(session.mark()) == ()
    assert session.trim() == ()


def test_btrfs_subvolumes_by_path(disks: Shelf) -> None:
    script = """
        printf 'label: dos\\n,,L,*\\n' | sfdisk -q $A; udevadm settle; mkfs.btrfs -q ${A}1
        mkdir -p /run/top; mount ${A}1 /run/top
        btrfs -q subvolume create /run/top/@; btrfs -q subvolume create /run/top/@home; umount /run/top
    """
    fstab = (
        f"{BY_PATH}-part1 / btrfs rw,subvol=@ 0 0\nbtrfsvol:{BY_PATH}-part1/@home /home btrfs defaults 0 0\n"
    )
    with disks.guest(script) as session:
        session.mount("/dev/sda1", "/", options=["subvol=@"])
        fill(session, {**system(fstab), **boot()})
        snapshot = "mkdir /run/t; mount -o subvolid=5 $(findmnt -no SOURCE /sysroot | cut -d[ -f1) /run/t &&"
        taken = session._appliance.shell(
            f"{snapshot} btrfs subvolume snapshot /run/t/@ /run/t/before-upgrade; umount /run/t"
        )
        assert taken.status == 0, taken.text
        session.unmount_all()
        os = inspect.run(session).os
        assert os.mounts == (
            Mount(device="/dev/sda1", mountpoint="/", type="btrfs", options=("subvol=/@",)),
            Mount(device="/dev/sda1", mountpoint="/home", type="btrfs", options=("subvol=/@home",)),
        )
        named = os.names.resolve(f"{BY_PATH}-part1")
        assert named and named.type == "btrfs"


def test_a_blank_disk(disks: Shelf) -> None:
    with disks.guest("true") as session, pytest.raises(NoOperatingSystem):
        inspect.run(session)


def test_data_only(disks: Shelf) -> None:
    with disks.guest("mkfs.ext4 -q $A") as session:
        session.mount("/dev/sda", "/")
        fill(session, {"/photos/a.jpg": b"x", "/etc/photo.conf": b""})
        with pytest.raises(NoOperatingSystem, match='"/dev/sda"'):
            inspect.run(session)


def test_one_volume_group_on_two_disks(disks: Shelf) -> None:
    script = """
        printf 'label: gpt\\n,64M,L\\n,,V\\n' | sfdisk -q $A; udevadm settle; mkfs.ext4 -q ${A}1
        pvcreate -q ${A}2 $B; vgcreate -q both ${A}2 $B; lvcreate -qy -n root -l 100%FREE both
        mkfs.ext4 -q /dev/both/root
    """
    with disks.guest(script, disks=2, groups=["both"]) as session:
        session.mount("/dev/both/root", "/")
        fill(session, {**system("/dev/both/root / ext4\n/dev/sda1 /boot ext4\n"), "/boot": Folder()})
        session.mount("/dev/sda1", "/boot")
        fill(session, boot())
        os = inspect.run(session).os
        assert [each.mountpoint for each in os.mounts] == ["/", "/boot"]
        assert os.lvm and os.kernels[0].version == VERSION
        members = [each for each in os.names.filesystems if each.type == "LVM2_member"]
        assert [(each.disk, each.partition) for each in members] == [(0, 2), (1, None)]


def test_two_systems_and_a_broken_file_system(disks: Shelf) -> None:
    script = """
        printf 'label: gpt\\n,60M,L\\n,60M,L\\n,,L\\n' | sfdisk -q $A; udevadm settle
        mkfs.ext4 -q -L first ${A}1; mkfs.ext4 -q -L second ${A}2
        mkfs.ext4 -q -L broken ${A}3; debugfs -w -R 'feature FEATURE_I30' ${A}3 2>/dev/null
    """
    with disks.guest(script) as session:
        for device, label in (("/dev/sda1", "first"), ("/dev/sda2", "second")):
            session.mount(device, "/")
            fill(session, system(f"LABEL={label} / ext4 defaults 0 1\nLABEL=broken /var ext4 defaults 0 2\n"))
            session.unmount_all()
        with pytest.raises(GuestRefused, match='"/dev/sda1", "/dev/sda2"'):
            inspect.run(session)
        session.mount("/dev/sda2", "/")
        session.write_bytes("/etc/fstab", b"LABEL=first / ext4\n")
        with pytest.raises(GuestRefused, match='"/dev/sda3" cannot be mounted at "/var"'):
            inspect.run(session)


def test_a_hostile_guest_ends_in_bounded_time(disks: Shelf) -> None:
    with disks.guest("mkfs.ext4 -q $A") as session:
        session.mount("/dev/sda", "/")
        files = {**system(Link(target="/../../../../etc/passwd")), **boot()}
        fill(session, {**files, "/etc/default/grub": Link(target="grub"), "/etc/crypttab": Folder()})
        made = session._appliance.shell(
            "cd /sysroot; mkfifo fifo boot/vmlinuz-0-fifo boot/grub; ln -sf /fifo boot/initrd.img-"
            + VERSION
            + "; "
            "mknod device b 8 0; ln -s /dev/zero zero; truncate -s 30M huge; ln -s / everything; "
            "touch \"$(printf 'boot/latin\\351')\" 'boot/new\nline'; rm usr/bin/sh; mkfifo usr/bin/sh"
        )
        assert made.status == 0, made.text
        for path in ("/fifo", "/device", "/zero", "/huge", "/", "/etc/default/grub"):
            with pytest.raises((GuestError, FileNotFoundError)):
                session.read_bytes(path)
        with pytest.raises(FileNotFoundError):
            session.read_bytes("/etc/fstab")  # the link ends at the guest's root, where no passwd is
        assert session.glob("/boot/latin*") == ("/boot/latin\udce9",)
        assert {"/boot/latin\udce9", "/boot/new\nline"} <= set(session.list_tree("/boot"))
        with pytest.raises(GuestError, match="cannot be used"):
            session.read_bytes("/boot/latin\udce9")
        os = inspect.run(session).os
        assert (os.fstab, os.arch, os.boot_loaders) == (None, "unknown", ())
        image_of = os.kernels[0].initramfs
        assert image_of and image_of.error


def test_writing_into_a_full_guest_changes_nothing(disks: Shelf) -> None:
    with disks.guest("mkfs.ext4 -q -m0 $A") as session:
        session.mount("/dev/sda", "/")
        fill(session, {"/etc/fstab": File(content=b"old", mode=0o600, uid=7, gid=8)})
        session._appliance.shell("cat /dev/zero >/sysroot/full; setfattr -n user.a -v b /sysroot/etc/fstab")
        with pytest.raises(NoRoomInGuest):
            session.write_bytes("/etc/fstab", b"x" * 100_000)
        assert session.read_bytes("/etc/fstab") == b"old"
        assert session.glob("/etc/.*") == ()
        session.remove("/full")
        session.write_bytes("/etc/fstab", b"new")
        kept = session._appliance.shell(
            "getfattr -n user.a --only-values /sysroot/etc/fstab; ls -ln /sysroot/etc/fstab"
        )
        assert "\nb-rw------- 1 7 8 3 " in kept.text  # the value, then what `ls` says


def test_programs_of_the_guest(disks: Shelf) -> None:
    script = """
        mkfs.ext4 -q $A; mkdir -p /run/r; mount $A /run/r; cd /run/r
        mkdir -p bin lib64 lib/x86_64-linux-gnu proc sys dev tmp run
        for program in sh sleep df ls; do
            cp -L /bin/$program bin
            for each in $(ldd /bin/$program | grep -o '/[^ ]*'); do cp -nL $each .$each; done
        done
        cd /; umount /run/r
    """
    with disks.guest(script) as session:
        session.mount("/dev/sda", "/")
        seen = "ls /proc/self/fd /sys/block /dev/null >/dev/null && echo out"
        shown = f"echo $TMPDIR $X; df /tmp; {seen}; echo err >&2; exit 7"
        result = session.run(["/bin/sh", "-c", shown], timeout_s=60, env={"X": "a 'b' é"})
        assert result.status == 7
        assert result.output.startswith("/tmp a 'b' é\n") and result.output.endswith("out\nerr\n")
        assert "tmp" in result.output.split("\n")[2].split()[0]  # memory, not the disk
        assert session.run(["none"], timeout_s=60).status == 127
        spread = session.run(
            ["sh", "-c", "read x </proc/sys/kernel/randomize_va_space; echo $x"], timeout_s=60
        )
        assert spread.output == ("0\n" if probe() is Accelerator.TCG else "2\n")  # emulated: fixed addresses
        left = session.run(["sh", "-c", ": >/tmp/left; sleep 1000 &"], timeout_s=60)
        assert left.status == 0 and not session.exists("/tmp/left")
        assert session.run(["sleep", "1000"], timeout_s=1).status == 137
        assert "sleep 1000" not in session._appliance.shell("ps axo args").text
        session.unmount_all()
