"""Where a Linux machine keeps its files: partitions, LUKS, LVM, RAID 1, /usr and /var apart.

Each is a function of the names the machine uses and of the boot loader's partition.
"""

from tests.guests.catalog import fixed_uuid
from tests.guests.linux_parts import BootPartition, Names, Storage

PASSPHRASE = "Correct horse-42, battery!"
# Features that GRUB of Debian 12 or extlinux does not know.
_EXT4 = "mkfs.ext4 -q -O ^metadata_csum_seed,^orphan_file,^64bit,^metadata_csum"
_LVM_CONF = 'devices {\n\tglobal_filter = [ "a|^/dev/sd[a-z]+[0-9]*$|", "r|.*|" ]\n}\n'
ESP_GUID = "2C3F1A5E-7B1D-4C55-9D0A-5E2B6C7D8E9F"


def plain(names: Names, boot: BootPartition | None) -> Storage:
    """Root and swap on partitions."""
    root, swap = _uuid(names, "root"), _uuid(names, "swap")
    script = [
        _table("A", boot, "size=2048MiB", ""),
        _root("${A}2", root),
        f"mkswap -q -U {swap} ${{A}}3",
    ]
    return Storage(
        disks_mib=(2560 + (boot.mib if boot else 0),),
        script=_script(names, boot, script),
        root=names.of("/dev/sda2", root),
        fstab=(
            f"{names.of('/dev/sda2', root)} / ext4 errors=remount-ro 0 1",
            *_boot_line(names, boot),
            f"{names.of('/dev/sda3', swap)} none swap sw 0 0",
        ),
    )


def usr_and_var(names: Names, boot: BootPartition | None) -> Storage:
    """/usr and /var on partitions of their own; no program is there before /usr is."""
    root, usr, var = (_uuid(names, word) for word in ("root", "usr", "var"))
    script = [
        _table("A", boot, "size=512MiB", "size=1664MiB", ""),
        _root("${A}2", root),
        f"{_EXT4} -U {usr} ${{A}}3; mkdir /sysroot/usr; mount ${{A}}3 /sysroot/usr",
        f"{_EXT4} -U {var} ${{A}}4; mkdir /sysroot/var; mount ${{A}}4 /sysroot/var",
    ]
    return Storage(
        disks_mib=(2816 + (boot.mib if boot else 0),),
        script=_script(names, boot, script),
        root=names.of("/dev/sda2", root),
        fstab=(
            f"{names.of('/dev/sda2', root)} / ext4 errors=remount-ro 0 1",
            *_boot_line(names, boot),
            f"{names.of('/dev/sda3', usr)} /usr ext4 defaults 0 2",
            f"{names.of('/dev/sda4', var)} /var ext4 defaults,nodev 0 2",
        ),
    )


def luks(names: Names, boot: BootPartition | None) -> Storage:
    """Root in LUKS 2, opened by a passphrase. Its key derivation takes 64 MiB."""
    volume, root = _uuid(names, "luks"), _uuid(names, "root")
    derivation = "--pbkdf argon2id --pbkdf-memory 65536 --pbkdf-parallel 1 --pbkdf-force-iterations 4"
    script = [
        _table("A", boot, ""),
        f"say() {{ printf %s '{PASSPHRASE}'; }}",
        f"say | cryptsetup -q luksFormat --type luks2 {derivation} --uuid {volume} --key-file - ${{A}}2",
        "say | cryptsetup open --key-file - ${A}2 sda2_crypt",
        _root("/dev/mapper/sda2_crypt", root),
    ]
    return Storage(
        disks_mib=(2560 + (boot.mib if boot else 0),),
        script=_script(names, boot, script),
        root="/dev/mapper/sda2_crypt",
        fstab=("/dev/mapper/sda2_crypt / ext4 errors=remount-ro 0 1", *_boot_line(names, boot)),
        modules=("dm_crypt", "xts", "atkbd", "i8042"),
        packages=("cryptsetup-initramfs",),
        files={"/etc/crypttab": f"sda2_crypt {names.of('/dev/sda2', volume)} none luks,discard\n"},
        passphrase=PASSPHRASE,
    )


def lvm_over_two_disks(names: Names, boot: BootPartition | None) -> Storage:
    """A volume group over a partition and a whole second disk; root is larger than either."""
    root, swap = _uuid(names, "root"), _uuid(names, "swap")
    script = [
        _table("A", boot, "type=E6D6D379-F507-44C2-A23C-238F2A3DF928" if _is_gpt(boot) else "type=8e"),
        "pvcreate -q ${A}2 $B; vgcreate -q vg0 ${A}2 $B",
        "lvcreate -q -y -Wy -n root -L 2200 vg0; lvcreate -q -y -n swap -L 128 vg0",
        _root("/dev/vg0/root", root),
        f"mkswap -q -U {swap} /dev/vg0/swap",
    ]
    return Storage(
        disks_mib=(1408 + (boot.mib if boot else 0), 1280),
        script=_script(names, boot, script),
        root="/dev/mapper/vg0-root",
        fstab=(
            "/dev/mapper/vg0-root / ext4 errors=remount-ro 0 1",
            *_boot_line(names, boot),
            "/dev/mapper/vg0-swap none swap sw 0 0",
        ),
        modules=("dm_mod",),
        packages=("lvm2",),
        files={"/etc/lvm/lvm.conf": _LVM_CONF} if names.sources else {},
    )


def mirror(names: Names, boot: BootPartition | None) -> Storage:
    """RAID 1 over two disks; without a partition for the loader, /boot lies on the mirror."""
    root, array = _uuid(names, "root"), _uuid(names, "array")
    number = 2 if boot else 1
    members = f"${{A}}{number} ${{B}}{number}"
    looks_at = f"DEVICE /dev/sda{number} /dev/sdb{number}\n" if names.sources else ""
    kind = "type=R" if _is_gpt(boot) else "type=fd, bootable"
    array_uuid = ":".join(array.replace("-", "")[start : start + 8] for start in range(0, 32, 8))
    script = [
        _table("A", boot, kind),
        _table("B", boot, kind),
        "mdadm --quiet --create /dev/md0 --run --level=1 --raid-devices=2 --metadata=1.2"
        f" --homehost={names.guest} --assume-clean --uuid={array_uuid} {members}",
        _root("/dev/md0", root),
    ]
    mib = 2560 + (boot.mib if boot else 0)
    return Storage(
        disks_mib=(mib, mib),
        script=_script(names, boot, script),
        root="/dev/md0",
        fstab=("/dev/md0 / ext4 errors=remount-ro 0 1", *_boot_line(names, boot)),
        modules=("raid1",),
        packages=("mdadm",),
        files={
            "/etc/mdadm/mdadm.conf": f"{looks_at}HOMEHOST <system>\nMAILADDR root\n\n"
            f"ARRAY /dev/md0 metadata=1.2 UUID={array_uuid} name={names.guest}:0\n",
        },
    )


def _uuid(names: Names, word: str) -> str:
    return fixed_uuid(f"{word}.{names.guest}")


def _is_gpt(boot: BootPartition | None) -> bool:
    return boot is not None and boot.is_esp


def _table(disk: str, boot: BootPartition | None, *partitions: str) -> str:
    """Lines of sfdisk(8); the boot partition comes first."""
    lines = [f"label: {boot.label if boot else 'dos'}"]
    if boot:
        kind = f"type=U, uuid={ESP_GUID}" if boot.is_esp and disk == "A" else "bootable"
        lines.append(f"size={boot.mib}MiB" + (f", {kind}" if disk == "A" else ""))
    lines += [partition or ("type=L" if _is_gpt(boot) else "type=83") for partition in partitions]
    text = "\n".join(lines)
    return f"sfdisk -q ${disk} <<END\n{text}\nEND\nudevadm settle"


def _root(device: str, uuid: str) -> str:
    return f"{_EXT4} -U {uuid} {device}; mount {device} /sysroot"


def _script(names: Names, boot: BootPartition | None, lines: list[str]) -> str:
    uuid = _boot_uuid(names, boot)
    if boot:
        make = f"mkfs.vfat -i {uuid.replace('-', '')}" if boot.is_esp else f"{_EXT4} -U {uuid}"
        mount = f"mkdir -p /sysroot{boot.mountpoint}; mount ${{A}}1 /sysroot{boot.mountpoint}"
        lines = [*lines, f"{make} ${{A}}1 >/dev/null; {mount}"]
    return "\n".join(lines)


def _boot_uuid(names: Names, boot: BootPartition | None) -> str:
    """A FAT file system has four bytes for one."""
    whole = _uuid(names, "boot")
    return f"{whole[:4]}-{whole[4:8]}".upper() if _is_gpt(boot) else whole


def _boot_line(names: Names, boot: BootPartition | None) -> tuple[str, ...]:
    if boot is None:
        return ()
    options = "umask=0077 0 1" if boot.is_esp else "defaults 0 2"
    device = names.of("/dev/sda1", _boot_uuid(names, boot))
    return (f"{device} {boot.mountpoint} {boot.type} {options}",)
