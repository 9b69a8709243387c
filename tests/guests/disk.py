"""A guest's tree on a partitioned disk with its boot loader, as a VMDK.

All of it happens inside one libguestfs appliance: no loop device, no mount on the host.
"""

import os
import subprocess
from dataclasses import replace
from pathlib import Path

import guestfs

from tests.guests import cache, rootfs
from tests.guests.catalog import Guest, Volume

MIB = 1 << 20
SECTORS_PER_MIB = 2048


def build(guest: Guest) -> Path:
    """The guest's VMDK, from the cache or made now."""
    return cache.entry(entry_name(guest), lambda folder: _build(guest, folder)) / f"{guest.name}.vmdk"


def entry_name(guest: Guest) -> str:
    """By the guest's own data and the builders' code: another guest's data does not rebuild it."""
    made_of = repr(replace(guest, fails_with=None))
    return f"{guest.name}-{cache.key(cache.source_text(__file__, rootfs.__file__), made_of)}"


def _build(guest: Guest, folder: Path) -> None:
    raw, tar = folder / "disk.raw", folder / "tree.tar"
    with rootfs.tree(guest, folder) as tree:
        subprocess.run(["tar", "-C", tree, "--numeric-owner", "-cf", tar, "."], check=True)
    with raw.open("wb") as file:
        file.truncate(guest.disk_mib * MIB)
    _fill(guest, raw, tar)
    tar.unlink()
    subprocess.run(
        ["qemu-img", "convert", "-q", "-f", "raw", "-O", "vmdk", "-o", f"subformat={guest.subformat}",
         raw, folder / f"{guest.name}.vmdk"],
        check=True,
    )  # fmt: skip
    raw.unlink()


def _fill(guest: Guest, raw: Path, tar: Path) -> None:
    os.environ.setdefault("LIBGUESTFS_BACKEND", "direct")
    os.environ.setdefault("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
    g = guestfs.GuestFS(python_return_dict=True)
    g.add_drive_opts(str(raw), format="raw", cachemode="unsafe", discard="besteffort", label="guest")
    g.set_memsize(1024)
    g.launch()
    _partition(g, guest)
    for volume in guest.volumes:
        _format(g, volume)
    for volume in sorted(guest.volumes, key=lambda volume: volume.mountpoint or ""):
        _mount(g, volume)
    g.tar_in(str(tar), "/", xattrs=True)
    _install_loader(g, guest)
    g.umount_all()
    g.shutdown()
    g.close()


def _install_loader(g: guestfs.GuestFS, guest: Guest) -> None:
    """Programs see the appliance's kernel names, and there the guest's disk may be /dev/sdb."""
    disk = g.command(["readlink", "-f", "/dev/disk/guestfs/guest"]).strip()
    for command in guest.install_loader:
        g.command(command.replace("DISK", disk).split())
    config = "/boot/grub/grub.cfg"
    g.write(config, g.read_file(config).replace(disk.encode(), b"/dev/sda"))
    for path, text in guest.files_after_loader.items():
        g.write(path, text)


def _partition(g: guestfs.GuestFS, guest: Guest) -> None:
    g.part_init("/dev/sda", guest.table)
    start = SECTORS_PER_MIB
    for number, partition in enumerate(guest.partitions, 1):
        last = number == len(guest.partitions)
        # GPT keeps its second table at the end of the disk
        end = (guest.disk_mib - 1 if last else start // SECTORS_PER_MIB + partition.mib) * SECTORS_PER_MIB - 1
        g.part_add("/dev/sda", "p", start, end)
        if partition.mbr_id:
            g.part_set_mbr_id("/dev/sda", number, partition.mbr_id)
        if partition.gpt_type:
            g.part_set_gpt_type("/dev/sda", number, partition.gpt_type)
        start = end + 1
    if guest.table == "mbr":
        g.part_set_bootable("/dev/sda", 1, True)
    if guest.logical_volumes:
        physical = f"/dev/sda{len(guest.partitions)}"
        g.pvcreate(physical)
        g.vgcreate(guest.volume_group, [physical])
    for name, mib in guest.logical_volumes.items():
        g.lvcreate(name, guest.volume_group, mib)


def _format(g: guestfs.GuestFS, volume: Volume) -> None:
    if volume.type == "swap":
        g.mkswap(volume.device, uuid=volume.uuid)
    elif volume.subvolume is None or not g.vfs_type(volume.device):
        # features of newer e2fsprogs that Debian 12's GRUB does not know
        old = {"features": "^metadata_csum_seed,^orphan_file"} if volume.type == "ext4" else {}
        g.mkfs(volume.type, volume.device, **old)
        if volume.uuid:
            g.set_uuid(volume.device, volume.uuid)
    if volume.subvolume:
        g.mount(volume.device, "/")
        g.btrfs_subvolume_create(f"/{volume.subvolume}")
        g.umount("/")


def _mount(g: guestfs.GuestFS, volume: Volume) -> None:
    if volume.mountpoint is None:
        return
    if volume.mountpoint != "/":
        g.mkdir_p(volume.mountpoint)
    options = f"subvol={volume.subvolume}" if volume.subvolume else ""
    g.mount_options(options, volume.device, volume.mountpoint)
