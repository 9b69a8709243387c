"""What the appliance's shell is asked to do to a guest: pure text, quoted.

Paths given here have no symbolic links left in them, so that "/sysroot" + path stays inside.
"""

import re
import shlex
from collections.abc import Mapping, Sequence

from vmdk2kvm.guest.appliance import SYSROOT
from vmdk2kvm.model.units import MIB

NOTES = "/run/vmdk2kvm"  # a folder in the appliance's memory; appliance_devices.SCRIPT makes it
OUTPUT_LIMIT_BYTES = 2 * MIB
NOT_OF_THE_GUEST = ("/proc", "/sys", "/dev", "/run", "/tmp")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def inside(path: str) -> str:
    """The guest's `path` as the appliance sees it, quoted."""
    return shlex.quote(SYSROOT + path)


def mount(device: str, mountpoint: str, options: Sequence[str]) -> str:
    arguments = ["mount", "-o", ",".join(options), device]
    return f"{shlex.join(arguments)} {inside(mountpoint.rstrip('/'))}"


KERNEL_LOG = "dmesg"
# what ext4, XFS and btrfs say when they mend a file system that was not unmounted cleanly
_REPLAYED = re.compile(
    r"EXT4-fs \(([^)\s]+)\): recovery complete|XFS \(([^)\s]+)\): Ending recovery"
    r"|BTRFS info \(device ([^)\s]+)[^)]*\): start tree-log replay"
)


def replayed_names(log: str) -> frozenset[str]:
    """The devices ("/dev/dm-0") that the kernel's log tells that of."""
    return frozenset(f"/dev/{found[1] or found[2] or found[3]}" for found in _REPLAYED.finditer(log))


def list_files(folder: str) -> str:
    return f"find {inside(folder)} -type f -printf '%P\\0'"


# In namespaces of its own, so that nothing the program starts or mounts outlives it. /tmp and /run
# are memory: what is unpacked there does not grow the overlay.
_CHROOT = f"""
covers() {{ [ -d {SYSROOT}$1 ] && [ ! -L {SYSROOT}$1 ]; }}
covers /proc && mount -t proc proc {SYSROOT}/proc
covers /sys && mount --rbind /sys {SYSROOT}/sys
covers /dev && mount --rbind /dev {SYSROOT}/dev
covers /tmp && mount -t tmpfs -o mode=1777,size=75% tmp {SYSROOT}/tmp
covers /run && mount -t tmpfs -o mode=755 run {SYSROOT}/run && mkdir -m 1777 {SYSROOT}/run/lock
exec env -i "$@"
"""


def run(argv: Sequence[str], env: Mapping[str, str], timeout_s: float) -> str:
    """A guest's program, in the guest's root; status 137 when the time is over."""
    given = {"PATH": PATH, "HOME": "/root", "LC_ALL": "C", "TMPDIR": "/tmp", **env}
    assignments = [f"{name}={value}" for name, value in given.items()]
    command = [
        "unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-c", _CHROOT, "sh",
        *assignments, "chroot", SYSROOT, *argv,
    ]  # fmt: skip
    # unshare does not end on SIGTERM; when it is killed, its whole namespace is
    return f"""timeout -s KILL {timeout_s:g} {shlex.join(command)} >{NOTES}/output 2>&1
status=$?
tail -c {OUTPUT_LIMIT_BYTES} {NOTES}/output
exit $status"""


# FAT keeps times in steps of two seconds and no time of change: its files are listed instead.
_FAT_LIST = r"find {folders} -xdev -type f -printf '%P\t%T@\t%s\t%H\n' | LC_ALL=C sort"


def mark(token: str, fat_mountpoints: Sequence[str]) -> str:
    lines = []
    if fat_mountpoints:
        lines.append(f"{_fat_list(fat_mountpoints)} >{NOTES}/fat.{token}")
    # the clock of file systems moves in steps of up to 10 ms
    lines += ["sleep 0.02", f": >{NOTES}/mark.{token}", "sleep 0.02"]
    return "\n".join(lines)


def changed_since(token: str, fat_mountpoints: Sequence[str]) -> str:
    """Prints paths under the guest's root without the leading "/", each ended by NUL."""
    pruned = " -o ".join(f"-path {SYSROOT}{path}" for path in NOT_OF_THE_GUEST)
    lines = [
        f"[ -e {NOTES}/mark.{token} ] || exit 3",
        f"find {SYSROOT} \\( {pruned} \\) -prune -o ! -type d ! -fstype vfat "
        f"-newercm {NOTES}/mark.{token} -printf '%P\\0'",
    ]
    if fat_mountpoints:
        lines += [
            f"{_fat_list(fat_mountpoints)} | LC_ALL=C comm -13 {NOTES}/fat.{token} - |",
            "while IFS='\t' read -r below time size top; do",
            f"""printf '%s/%s\\0' "${{top#{SYSROOT}/}}" "$below"; done""",
        ]
    return "\n".join(lines)


def _fat_list(mountpoints: Sequence[str]) -> str:
    return _FAT_LIST.format(folders=" ".join(inside(mountpoint) for mountpoint in mountpoints))


def trim(mountpoints: Sequence[str]) -> str:
    """Prints, of each that failed, its place in `mountpoints`, a tab and what fstrim(8) said, then NUL."""
    return "\n".join(
        f"said=$(fstrim {inside(mountpoint)} 2>&1) || printf '%s\\t%s\\0' {index} \"$said\""
        for index, mountpoint in enumerate(mountpoints)
    )


def trim_failures(text: str, mountpoints: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """The mountpoints that `trim` failed on, each with the reason."""
    told = (line.partition("\t") for line in text.split("\0") if line)
    return tuple((mountpoints[int(index)], reason.strip()) for index, _, reason in told)
