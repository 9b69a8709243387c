"""Each way a boot fails, by what the programs really print."""

import pytest

from vmdk2kvm.target.console import FailureName, failure_line, name_failure, plain_text, shows_login

TEXTS = [
    (
        FailureName.NO_BOOTABLE_DEVICE,
        "SeaBIOS (version 1.16.2-debian-1.16.2-1)\nBooting from Hard Disk...\n"
        "Boot failed: not a bootable disk\n\nNo bootable device.\n",
    ),
    (FailureName.NO_BOOTABLE_DEVICE, "Booting from Hard Disk...\nMissing operating system"),
    (
        FailureName.NO_BOOTABLE_DEVICE,
        "BdsDxe: failed to load Boot0001 from PciRoot(0x0)/Pci(0x4,0x0): Not Found\n"
        "BdsDxe: No bootable option or device was found.\n"
        "BdsDxe: Press any key to enter the Boot Manager Menu.\n",
    ),
    (
        FailureName.GRUB_RESCUE,
        "GRUB loading.\nWelcome to GRUB!\n\nerror: file `/boot/grub/i386-pc/normal.mod' not found.\n"
        "Entering rescue mode...\ngrub rescue> ",
    ),
    (FailureName.GRUB_RESCUE, "GRUB Hard Disk Error"),
    (FailureName.GRUB_RESCUE, "GRUB Geom Error"),
    (
        FailureName.GRUB_PROMPT,
        "                             GNU GRUB  version 2.06-13+deb12u1\n\n"
        "   Minimal BASH-like line editing is supported. For the first word, TAB\n"
        "   lists possible command completions.\n\ngrub> ",
    ),
    (
        FailureName.GRUB_NO_KERNEL,
        "Loading Linux 6.1.0-56-amd64 ...\nerror: file `/boot/vmlinuz-6.1.0-56-amd64' not found.\n"
        "Loading initial ramdisk ...\nerror: you need to load the kernel first.\n\nPress any key",
    ),
    (FailureName.UEFI_SHELL, "UEFI Interactive Shell v2.2\nEDK II\nUEFI v2.70 (Debian, 0x00010000)\nShell> "),
    (
        FailureName.INITRAMFS_SHELL,
        "Gave up waiting for root file system device.  Common problems:\n"
        " - Boot args (cat /proc/cmdline)\n   - Check rootdelay= (did the system wait long enough?)\n"
        " - Missing modules (cat /proc/modules; ls /dev)\n"
        "ALERT!  /dev/sda1 does not exist.  Dropping to a shell!\n\n\n"
        "BusyBox v1.35.0 (Debian 1:1.35.0-4+b5) built-in shell (ash)\n"
        "Enter 'help' for a list of built-in commands.\n\n(initramfs) ",
    ),
    (
        FailureName.INITRAMFS_SHELL,
        "[  191.2] dracut-initqueue[237]: Warning: dracut-initqueue: starting timeout scripts\n"
        "Warning: /dev/sda1 does not exist\n\n"
        'Generating "/run/initramfs/rdsosreport.txt"\n\n\n'
        "Entering emergency mode. Exit the shell to continue.\n"
        'Type "journalctl" to view system logs.\n\n\ndracut:/# ',
    ),
    (
        FailureName.INITRAMFS_SHELL,
        "ERROR: device 'UUID=abc' not found. Skipping fsck.\nERROR: Failed to mount 'UUID=abc' on real root\n"
        "You are now being dropped into an emergency shell.\nsh: can't access tty; job control turned off\n"
        "[rootfs ]# ",
    ),
    (
        FailureName.INITRAMFS_SHELL,
        "Mounting root: failed.\ninitramfs emergency recovery shell launched.",
    ),
    (
        FailureName.INITRAMFS_HANG,
        "[  136.123] dracut-initqueue[262]: Warning: dracut-initqueue: timeout, still waiting for following "
        "initqueue hooks:\n[  136.2] dracut-initqueue[262]: Warning: /lib/dracut/hooks/initqueue/finished/"
        'devexists-\\x2fdev\\x2fsda1.sh: "[ -e "/dev/sda1" ]"\n'
        "[  136.3] dracut-initqueue[262]: Warning: dracut-initqueue: starting timeout scripts\n",
    ),
    (
        FailureName.INITRAMFS_HANG,
        "dracut-initqueue[220]: Warning: dracut-initqueue timeout - starting",
    ),
    (
        FailureName.KERNEL_PANIC,
        '[    2.1] VFS: Cannot open root device "sda1" or unknown-block(0,0): error -6\n'
        "[    2.2] Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(0,0)\n"
        "[    2.3] CPU: 0 PID: 1 Comm: swapper/0 Not tainted\n",
    ),
    (
        FailureName.KERNEL_PANIC,
        "(initramfs) exit\n[   91.0] Kernel panic - not syncing: Attempted to kill init! exitcode=0x00000100",
    ),
    (
        FailureName.EMERGENCY_MODE,
        "[DEPEND] Dependency failed for local-fs.target - Local File Systems.\n"
        'You are in emergency mode. After logging in, type "journalctl -xb" to view\n'
        'system logs, "systemctl reboot" to reboot, "systemctl default" or "exit"\n'
        "to boot into default mode.\nGive root password for maintenance\n(or press Control-D to continue): ",
    ),
    (FailureName.RESCUE_MODE, 'You are in rescue mode. After logging in, type "journalctl -xb" to view'),
]

HEALTHY = [
    "",
    "Welcome to GRUB!\n\nerror: no such device: 1234.\nLoading Linux 6.1.0 ...\n[    0.0] Linux version",
    "[  OK  ] Reached target emergency.target - Emergency Mode.",
    "[    1.0] Kernel command line: root=/dev/sda1 panic=30",
    "[    3.2] panic_on_oops is set; a note on Kernel panic handling",
    "         Starting dracut-initqueue.service - dracut initqueue hook...",
    "[  OK  ] Finished dracut-initqueue.service - dracut initqueue hook.",
    "Boot failed: not a bootable disk\nBooting from Hard Disk...\nGRUB loading.",
    "testguest login: ",
]


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_a_failure_is_named_by_what_it_prints(name: FailureName, text: str) -> None:
    assert name_failure(text) is name


@pytest.mark.parametrize(("name", "text"), TEXTS)
def test_a_failure_is_named_in_the_middle_of_a_log(name: FailureName, text: str) -> None:
    assert name_failure(f"[    0.0] Linux version\n{text}\nmore\n") is name


@pytest.mark.parametrize("text", HEALTHY)
def test_a_healthy_boot_has_no_name(text: str) -> None:
    assert name_failure(text) is None


def test_every_name_that_text_can_give_has_a_text() -> None:
    not_from_text = {
        FailureName.REBOOT_LOOP,
        FailureName.POWERED_OFF,
        FailureName.WITNESS_SILENT,
        FailureName.NOT_ON_TARGET_DISK,
        FailureName.PASSPHRASE_PROMPT,
        FailureName.FSTAB_NOT_ACTIVE,
        FailureName.TIME_OUT,
    }
    assert {name for name, _ in TEXTS} == set(FailureName) - not_from_text


def test_the_line_that_names_a_failure() -> None:
    text = (
        "Gave up waiting for root file system device.\n"
        "ALERT!  /dev/sda1 does not exist.  Dropping to a shell!\n\n(initramfs) "
    )
    assert failure_line(text) == "ALERT!  /dev/sda1 does not exist.  Dropping to a shell!"
    assert failure_line("all is well") == ""


def test_escapes_vanish_and_cursor_moves_break_lines() -> None:
    raw = b"\x1b[2J\x1b[01;01HUEFI Shell\x1b[=3h\x1b[02;01HEDK II\r\n\x1b[0;32m  OK  \x1b[0m\x07"
    assert plain_text(raw) == "\nUEFI Shell\nEDK II\n  OK  "


def test_bytes_that_are_not_utf8_are_replaced() -> None:
    assert plain_text(b"\xff\xfe ok") == "\ufffd\ufffd ok"


def test_a_login_prompt_must_be_the_last_line() -> None:
    assert shows_login("Debian GNU/Linux 12 testguest ttyS0\n\ntestguest login: \n\n")
    assert not shows_login("testguest login: root\nPassword: ")
    assert not shows_login("testguest login: \n[   60.1] random: crng init done")
    assert not shows_login("")
