"""How a Linux machine is started: GRUB by BIOS, GRUB by a boot entry alone, systemd-boot, extlinux."""

from tests.guests.linux_parts import BootPartition, Loader

_EXT4_BOOT = BootPartition(mib=320, mountpoint="/boot", type="ext4", is_esp=False)
_SMALL_ESP = BootPartition(mib=64, mountpoint="/boot/efi", type="vfat", is_esp=True)
_ESP_WITH_KERNELS = BootPartition(mib=512, mountpoint="/boot/efi", type="vfat", is_esp=True)
# The appliance's names of the disks become those of the machine.
_MKCONFIG = """
grub-mkconfig -o /boot/grub/grub.cfg
sed -i -e s,$A,@A@,g -e s,${B:-@none@},@B@,g -e s,@A@,/dev/sda,g -e s,@B@,/dev/sdb,g /boot/grub/grub.cfg
"""
_EFI_INSTALL = "grub-install --target=x86_64-efi --efi-directory=/boot/efi --bootloader-id=debian --no-nvram"


def grub(arguments: str, root: str, *, names: bool, partition: bool = True) -> Loader:
    """In the boot sectors of every disk. What generated grub.cfg named the root by its kernel name."""
    return Loader(
        firmware="bios",
        packages=("grub-pc",),
        partition=_EXT4_BOOT if partition else None,
        install=f"for disk in $A $B; do grub-install --target=i386-pc $disk; done{_MKCONFIG}",
        files=_defaults(arguments, root, names),
    )


def grub_without_fallback(arguments: str, root: str, *, names: bool) -> Loader:
    """Only the firmware's boot entry says where GRUB is, and that stays with VMware."""
    return Loader(
        firmware="uefi",
        packages=("grub-efi-amd64",),
        partition=_SMALL_ESP,
        install=_EFI_INSTALL + _MKCONFIG,
        files=_defaults(arguments, root, names),
        efi_program="\\EFI\\debian\\grubx64.efi",
    )


def systemd_boot(arguments: str, root: str, *, machine_id: str) -> Loader:
    """Boot entries of type 1 beside their kernels on the ESP, as kernel-install writes them."""
    entry = (
        "title      Debian GNU/Linux\nversion    KVER\n"
        f"machine-id {machine_id}\nsort-key   debian\noptions    root={root} ro {arguments}\n"
        f"linux      /{machine_id}/KVER/linux\ninitrd     /{machine_id}/KVER/initrd.img-KVER\n"
    )
    script = f"""
loader=/usr/lib/systemd/boot/efi/systemd-bootx64.efi
mkdir -p /boot/efi/EFI/systemd /boot/efi/EFI/BOOT /boot/efi/loader/entries /boot/efi/{machine_id}/KVER
cp $loader /boot/efi/EFI/systemd/
cp $loader /boot/efi/EFI/BOOT/BOOTX64.EFI
printf 'timeout 1\\n#console-mode keep\\n' >/boot/efi/loader/loader.conf
printf type1 >/boot/efi/loader/entries.srel
cp /boot/vmlinuz-KVER /boot/efi/{machine_id}/KVER/linux
cp /boot/initrd.img-KVER /boot/efi/{machine_id}/KVER/
cat >/boot/efi/loader/entries/{machine_id}-KVER.conf <<END
{entry}END
"""
    return Loader(
        firmware="uefi",
        packages=("systemd-boot",),
        partition=_ESP_WITH_KERNELS,
        install=script,
        files={"/etc/kernel/cmdline": f"root={root} ro {arguments}\n"},
    )


def extlinux(arguments: str, root: str) -> Loader:
    config = (
        "SERIAL 0 115200\nDEFAULT linux\nPROMPT 0\nTIMEOUT 10\n\nLABEL linux\n\tMENU LABEL Debian GNU/Linux\n"
        f"\tLINUX ../vmlinuz-KVER\n\tINITRD ../initrd.img-KVER\n\tAPPEND root={root} ro {arguments}\n"
    )
    script = f"""
mkdir -p /boot/extlinux
extlinux --install /boot/extlinux >/dev/null
dd if=/usr/lib/EXTLINUX/mbr.bin of=$A bs=440 count=1 conv=notrunc status=none
cat >/boot/extlinux/extlinux.conf <<END
{config}END
"""
    return Loader(
        firmware="bios", packages=("extlinux", "syslinux-common"), partition=_EXT4_BOOT, install=script
    )


def _defaults(arguments: str, root: str, names: bool) -> dict[str, str]:
    given = f"root={root} {arguments}" if names else arguments
    text = (
        "GRUB_DEFAULT=0\nGRUB_TIMEOUT=1\nGRUB_DISTRIBUTOR=Debian\n"
        f'GRUB_CMDLINE_LINUX_DEFAULT=""\nGRUB_CMDLINE_LINUX="{given}"\nGRUB_TERMINAL=console\n'
    )
    return {"/etc/default/grub": text + ("GRUB_DISABLE_LINUX_UUID=true\n" if names else "")}
