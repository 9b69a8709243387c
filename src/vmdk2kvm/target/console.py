"""What a guest's console says when a boot goes wrong, and the name of each way it does.

The text comes from the serial log, from VGA text memory or from glyphs read off the screen. The
patterns are what the programs print: SeaBIOS, the classic boot sectors, GRUB, OVMF, Linux,
initramfs-tools, dracut, mkinitcpio, systemd and sulogin.
"""

import re
from enum import Enum


class FailureName(Enum):
    NO_BOOTABLE_DEVICE = "no bootable device"
    GRUB_RESCUE = "GRUB rescue"
    GRUB_PROMPT = "GRUB prompt"
    GRUB_NO_KERNEL = "GRUB cannot load the kernel"
    UEFI_SHELL = "UEFI shell"
    INITRAMFS_SHELL = "initramfs shell"
    INITRAMFS_HANG = "initramfs waits for its root"
    PASSPHRASE_PROMPT = "passphrase prompt"
    KERNEL_PANIC = "kernel panic"
    EMERGENCY_MODE = "emergency mode"
    RESCUE_MODE = "rescue mode"
    REBOOT_LOOP = "reboot loop"
    POWERED_OFF = "powered off"
    WITNESS_SILENT = "the witness did not speak"
    NOT_ON_TARGET_DISK = "root is not on the target's disk"
    FSTAB_NOT_ACTIVE = "fstab entries are not active"
    TIME_OUT = "time-out"


# Once the real root's service manager speaks, only these can still end a boot.
LATE_FAILURES = frozenset({FailureName.KERNEL_PANIC, FailureName.EMERGENCY_MODE, FailureName.RESCUE_MODE})

# Of each name, the more telling patterns first.
_PATTERNS: tuple[tuple[FailureName, str], ...] = (
    (FailureName.NO_BOOTABLE_DEVICE, r"^No bootable device\."),
    (FailureName.NO_BOOTABLE_DEVICE, r"^(Missing operating system|Operating system not found)"),
    (FailureName.NO_BOOTABLE_DEVICE, r"^(Error loading operating system|Invalid partition table)"),
    (FailureName.NO_BOOTABLE_DEVICE, r"BOOTMGR is missing"),
    (FailureName.NO_BOOTABLE_DEVICE, r"BdsDxe: No bootable option or device was found"),
    (FailureName.GRUB_RESCUE, r"^grub rescue>"),
    (FailureName.GRUB_RESCUE, r"^Entering rescue mode\.\.\."),
    (FailureName.GRUB_RESCUE, r"^GRUB (Loading stage1\.5\.*)?.*(Geom|Hard Disk|Read) Error"),
    (FailureName.GRUB_PROMPT, r"^grub>"),
    (FailureName.GRUB_PROMPT, r"Minimal BASH-like line editing is supported"),
    (FailureName.GRUB_NO_KERNEL, r"^error: .*you need to load the kernel first"),
    (FailureName.UEFI_SHELL, r"UEFI Interactive Shell"),
    (FailureName.UEFI_SHELL, r"^Shell>"),
    (FailureName.INITRAMFS_SHELL, r"ALERT!\s+\S+ does not exist\.\s+Dropping to a shell!"),
    (FailureName.INITRAMFS_SHELL, r"Gave up waiting for root"),
    (FailureName.INITRAMFS_SHELL, r"^\(initramfs\)"),
    (FailureName.INITRAMFS_SHELL, r"^dracut:/#"),
    (FailureName.INITRAMFS_SHELL, r"/run/initramfs/rdsosreport\.txt"),
    (FailureName.INITRAMFS_SHELL, r"Entering emergency mode\. Exit the shell to continue"),
    (FailureName.INITRAMFS_SHELL, r"^Dropping to debug shell"),
    (FailureName.INITRAMFS_SHELL, r"You are now being dropped into an emergency shell"),
    (FailureName.INITRAMFS_SHELL, r"^\[rootfs [^\]]*\][#$]"),
    (FailureName.INITRAMFS_SHELL, r"initramfs emergency recovery shell launched"),
    (FailureName.INITRAMFS_SHELL, r"not found -- exiting to /bin/sh"),
    (FailureName.INITRAMFS_HANG, r"dracut-initqueue(\[\d+\])?:?\s+(Warning: dracut-initqueue:? )?timeout"),
    (FailureName.INITRAMFS_HANG, r"dracut-initqueue:? timeout"),
    (FailureName.INITRAMFS_HANG, r"starting timeout scripts"),
    (FailureName.KERNEL_PANIC, r"Kernel panic - not syncing"),
    (FailureName.EMERGENCY_MODE, r"You are in emergency mode"),
    (FailureName.EMERGENCY_MODE, r"Welcome to emergency mode"),
    (FailureName.RESCUE_MODE, r"You are in rescue mode"),
    (FailureName.RESCUE_MODE, r"Welcome to rescue mode"),
)
_COMPILED = tuple((name, re.compile(pattern, re.MULTILINE)) for name, pattern in _PATTERNS)

_CURSOR_MOVE = re.compile(r"\x1b\[[0-9;]*[Hf]")
_ESCAPE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[()][0-9A-B]|[78=>cDEHM])")
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_LOGIN = re.compile(r"^[A-Za-z0-9][A-Za-z0-9._-]* login: *$", re.MULTILINE)


def plain_text(raw: bytes) -> str:
    """A terminal's bytes as lines: a cursor move starts a line, colours and controls vanish."""
    text = raw.decode("utf-8", "replace").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROL.sub("", _ESCAPE.sub("", _CURSOR_MOVE.sub("\n", text)))


def name_failure(text: str) -> FailureName | None:
    """The way of failing that the text shows last, None when it shows none.

    A later message outranks an earlier one: GRUB may complain and boot all the same, and a shell
    of the initramfs that is left turns into a kernel panic.
    """
    last: tuple[int, FailureName] | None = None
    for name, pattern in _COMPILED:
        for match in pattern.finditer(text):
            if last is None or match.start() > last[0]:
                last = (match.start(), name)
    return None if last is None else last[1]


def failure_line(text: str) -> str:
    """The most telling line of the failure that `text` shows last, "" when it shows none."""
    name = name_failure(text)
    for pattern in (pattern for named, pattern in _COMPILED if named is name):
        if (match := pattern.search(text)) is not None:
            start = text.rfind("\n", 0, match.start()) + 1
            return text[start:].split("\n", 1)[0].strip()[:200]
    return ""


def shows_login(text: str) -> bool:
    """Whether the last line with anything on it is a login prompt (getty(8))."""
    lines = [line for line in text.split("\n") if line.strip()]
    return bool(lines) and _LOGIN.match(lines[-1]) is not None
