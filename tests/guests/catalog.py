"""The guests as data: partitions, file systems, and the files VMware's machines really have."""

import uuid
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    mib: int  # the last one takes what is left
    mbr_id: int | None = None
    gpt_type: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Volume:
    device: str
    type: str
    mountpoint: str | None = None
    uuid: str | None = None
    subvolume: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Guest:
    name: str
    firmware: str  # "bios" or "uefi"
    vmware_bus: str  # the controller that stands for VMware's: "pvscsi", or "ahci" under OVMF
    packages: tuple[str, ...]
    table: str
    disk_mib: int
    partitions: tuple[Partition, ...]
    volumes: tuple[Volume, ...]
    files: dict[str, str]
    make_initramfs: str  # shell, inside the tree; KVER stands for the kernel's version
    install_loader: tuple[str, ...]  # commands; DISK stands for the disk's name in the appliance
    files_after_loader: dict[str, str] = field(default_factory=dict)
    subformat: str
    volume_group: str = ""
    logical_volumes: dict[str, int] = field(default_factory=dict)
    fails_with: str | None = None  # the named failure on virtio; None: it boots there already


def fixed_uuid(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, f"{name}.guests.vmdk2kvm.test"))


_INTERFACES = "auto lo\niface lo inet loopback\n\nallow-hotplug ens192\niface ens192 inet dhcp\n"
_LOADER_BIOS = ("grub-install --target=i386-pc DISK", "grub-mkconfig -o /boot/grub/grub.cfg")
_UPDATE_INITRAMFS = "update-initramfs -c -k KVER"
_VMWARE_MODULES = "# of VMware only\nvmw_pvscsi\nmptspi\nmptsas\nsd_mod\nvmxnet3\n"
_INITRAMFS_CONF = "MODULES={modules}\nBUSYBOX=auto\nKEYMAP=n\nCOMPRESS=zstd\nDEVICE=\nNFSROOT=auto\n"
_SERIAL = "console=tty0 console=ttyS0,115200"
_MBR_SIZES = (Partition(mib=2304), Partition(mib=254, mbr_id=0x82))
_EXT4_AND_SWAP = (
    Volume(device="/dev/sda1", type="ext4", mountpoint="/"),
    Volume(device="/dev/sda2", type="swap"),
)
_DEVICE_MAP = {"/boot/grub/device.map": "(hd0)\t/dev/sda\n"}
_ESP = "C12A7328-F81F-11D2-BA4B-00A0C93EC93B"
_LVM = "E6D6D379-F507-44C2-A23C-238F2A3DF928"


def _default_grub(cmdline: str, quiet: str = "", names: bool = True) -> str:
    return (
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=1\nGRUB_DISTRIBUTOR=Debian\n"
        f'GRUB_CMDLINE_LINUX_DEFAULT="{quiet}"\nGRUB_CMDLINE_LINUX="{cmdline}"\n'
        "GRUB_TERMINAL=console\n" + ("GRUB_DISABLE_LINUX_UUID=true\n" if names else "")
    )


def _fstab(*lines: str) -> str:
    head = "# /etc/fstab: static file system information.\n#\n# <file system> <mount point>\t<type>\n"
    return head + "\n".join(lines) + "\n"


_SDA_FSTAB = _fstab(
    "# / was on /dev/sda1 during installation",
    "/dev/sda1\t/\text4\terrors=remount-ro 0\t1",
    "/dev/sda2       none            swap    sw              0       0",
    "/dev/sr0        /media/cdrom0   udf,iso9660 user,noauto     0       0",
)

_bios_ext4 = Guest(
    name="bios-ext4",
    firmware="bios",
    vmware_bus="pvscsi",
    packages=("initramfs-tools", "grub-pc", "btrfs-progs", "zstd"),
    table="mbr",
    disk_mib=2560,
    partitions=_MBR_SIZES,
    volumes=_EXT4_AND_SWAP,
    files={
        "/etc/fstab": _SDA_FSTAB,
        "/etc/default/grub": _default_grub("root=/dev/sda1 console=tty0", quiet="quiet"),  # no serial console
        "/etc/initramfs-tools/initramfs.conf": _INITRAMFS_CONF.format(modules="list"),
        "/etc/initramfs-tools/modules": _VMWARE_MODULES + "ext4\ncrc32c_generic\n",
        "/etc/initramfs-tools/conf.d/resume": "RESUME=/dev/sda2\n",
        "/etc/network/interfaces": _INTERFACES,
    },
    make_initramfs=_UPDATE_INITRAMFS,
    install_loader=_LOADER_BIOS,
    files_after_loader=_DEVICE_MAP,
    subformat="monolithicSparse",
    fails_with="initramfs shell",
)

_DRACUT_DRIVERS = "vmw_pvscsi mptspi mptsas sd_mod vmxnet3 ext4 crc32c_generic"
_DRACUT_WITHOUT = "qemu qemu-net virtiofs"

_bios_dracut = Guest(
    name="bios-dracut",
    firmware="bios",
    vmware_bus="pvscsi",
    packages=("dracut", "grub-pc"),
    table="mbr",
    disk_mib=2560,
    partitions=_MBR_SIZES,
    volumes=_EXT4_AND_SWAP,
    files={
        "/etc/fstab": _SDA_FSTAB,
        # rd.retry: how long dracut waits for the root device, 180 s unless told
        "/etc/default/grub": _default_grub(f"root=/dev/sda1 resume=/dev/sda2 rd.retry=15 {_SERIAL}"),
        "/etc/dracut.conf.d/10-hostonly.conf": 'hostonly="yes"\nhostonly_cmdline="no"\n',
        "/etc/network/interfaces": _INTERFACES,
    },
    # What hostonly gives on VMware; a build here would look at the machine that builds.
    make_initramfs=f"dracut -q -f --no-hostonly --omit '{_DRACUT_WITHOUT}' --drivers '{_DRACUT_DRIVERS}'"
    " --kver KVER /boot/initrd.img-KVER",
    install_loader=_LOADER_BIOS,
    files_after_loader=_DEVICE_MAP,
    subformat="monolithicFlat",
    fails_with="initramfs shell",
)

_BY_PATH = "/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:0:0"
_BTRFS_UUID = fixed_uuid("bios-btrfs")

_bios_btrfs = Guest(
    name="bios-btrfs",
    firmware="bios",
    vmware_bus="pvscsi",
    packages=("initramfs-tools", "grub-pc", "btrfs-progs", "zstd"),
    table="mbr",
    disk_mib=2560,
    partitions=_MBR_SIZES,
    volumes=(
        Volume(device="/dev/sda1", type="btrfs", mountpoint="/", uuid=_BTRFS_UUID, subvolume="@"),
        Volume(device="/dev/sda1", type="btrfs", mountpoint="/home", subvolume="@home"),
        Volume(device="/dev/sda1", type="btrfs", mountpoint="/var/log", subvolume="@log"),
        Volume(device="/dev/sda2", type="swap"),
    ),
    files={
        "/etc/fstab": _fstab(
            f"{_BY_PATH}-part1  /         btrfs  subvol=@,noatime,compress=zstd:1  0 0",
            f"{_BY_PATH}-part1  /home     btrfs  noatime,subvol=/@home  0 0",
            f"{_BY_PATH}-part1  /var/log  btrfs  subvol=@log  0 0",
            f"{_BY_PATH}-part2  none      swap   sw  0 0",
            "tmpfs\t/tmp\ttmpfs\tnosuid,nodev,size=25%\t0\t0",
        ),
        "/etc/default/grub": _default_grub(_SERIAL, names=False),
        "/etc/initramfs-tools/initramfs.conf": _INITRAMFS_CONF.format(modules="most"),
        "/etc/initramfs-tools/conf.d/resume": "RESUME=none\n",  # so this initramfs is right as it is
        "/etc/network/interfaces": _INTERFACES,
    },
    make_initramfs=_UPDATE_INITRAMFS,
    install_loader=_LOADER_BIOS,
    subformat="twoGbMaxExtentSparse",
    fails_with="emergency mode",
)

_uefi_lvm_xfs = Guest(
    name="uefi-lvm-xfs",
    firmware="uefi",
    vmware_bus="ahci",
    packages=("initramfs-tools", "grub-efi-amd64", "lvm2", "xfsprogs", "dosfstools", "zstd"),
    table="gpt",
    disk_mib=3072,
    partitions=(Partition(mib=64, gpt_type=_ESP), Partition(mib=384), Partition(mib=0, gpt_type=_LVM)),
    volume_group="vg0",
    logical_volumes={"root": 2000, "swap": 192, "home": 320},
    volumes=(
        Volume(device="/dev/vg0/root", type="xfs", mountpoint="/"),
        Volume(device="/dev/sda2", type="ext4", mountpoint="/boot"),
        Volume(device="/dev/sda1", type="vfat", mountpoint="/boot/efi"),
        Volume(device="/dev/vg0/home", type="xfs", mountpoint="/home"),
        Volume(device="/dev/vg0/swap", type="swap"),
    ),
    files={
        "/etc/fstab": _fstab(
            "/dev/mapper/vg0-root /         xfs  defaults   0 0",
            "/dev/sda2            /boot     ext4 defaults   0 2",
            "/dev/sda1            /boot/efi vfat umask=0077 0 1",
            "/dev/vg0/home        /home     xfs  nodev      0 0",
            "/dev/mapper/vg0-swap none      swap sw         0 0",
        ),
        "/etc/default/grub": _default_grub(_SERIAL),
        "/etc/initramfs-tools/initramfs.conf": _INITRAMFS_CONF.format(modules="list"),
        "/etc/initramfs-tools/modules": _VMWARE_MODULES + "ahci\nxfs\n",
        "/etc/initramfs-tools/conf.d/resume": "RESUME=/dev/mapper/vg0-swap\n",
        "/etc/network/interfaces": _INTERFACES,
    },
    make_initramfs=_UPDATE_INITRAMFS,
    install_loader=(
        "grub-install --target=x86_64-efi --efi-directory=/boot/efi --removable --no-nvram",
        "grub-mkconfig -o /boot/grub/grub.cfg",
    ),
    subformat="streamOptimized",
    fails_with="initramfs shell",
)

_VIRTIO_UUID = fixed_uuid("bios-ext4-virtio")
_VIRTIO_SWAP = fixed_uuid("bios-ext4-virtio-swap")

_bios_ext4_virtio = Guest(
    name="bios-ext4-virtio",
    firmware="bios",
    vmware_bus="pvscsi",
    packages=_bios_ext4.packages,
    table="mbr",
    disk_mib=2560,
    partitions=_MBR_SIZES,
    volumes=(
        Volume(device="/dev/sda1", type="ext4", mountpoint="/", uuid=_VIRTIO_UUID),
        Volume(device="/dev/sda2", type="swap", uuid=_VIRTIO_SWAP),
    ),
    files={
        "/etc/fstab": _fstab(
            f"UUID={_VIRTIO_UUID} /    ext4 errors=remount-ro 0 1",
            f"UUID={_VIRTIO_SWAP} none swap sw                0 0",
        ),
        "/etc/default/grub": _default_grub(_SERIAL, names=False),
        "/etc/initramfs-tools/initramfs.conf": _INITRAMFS_CONF.format(modules="most"),
        "/etc/initramfs-tools/conf.d/resume": f"RESUME=UUID={_VIRTIO_SWAP}\n",
        "/etc/network/interfaces": _INTERFACES,
    },
    make_initramfs=_UPDATE_INITRAMFS,
    install_loader=_LOADER_BIOS,
    subformat="monolithicSparse",
)

FOUR = (_bios_ext4, _bios_dracut, _bios_btrfs, _uefi_lvm_xfs)
GUESTS = {guest.name: guest for guest in (*FOUR, _bios_ext4_virtio)}
