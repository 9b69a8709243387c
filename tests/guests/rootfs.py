"""The files of a Debian system: mmdebstrap's tar, then a tree with one guest's own settings.

Everything that can run natively runs here, in a chroot with its own mounts; only what needs a disk
(partitions, file systems, the boot loader) is left to the slower appliance.
"""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.guests import cache
from tests.guests.catalog import Guest

SUITE = "bookworm"
PACKAGES = (
    "systemd-sysv", "udev", "dbus", "ifupdown", "iproute2", "procps", "kmod", "linux-image-amd64",
    "e2fsprogs", "open-vm-tools",
)  # fmt: skip
_WITHOUT = ("/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*")

# A chroot with /proc, /sys and /dev of its own mount namespace: nothing stays mounted behind it.
_CHROOT = """
mount -t proc proc "$0/proc"
mount -t sysfs sysfs "$0/sys"
mount --rbind /dev "$0/dev"
exec chroot "$0" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
    DEBIAN_FRONTEND=noninteractive /bin/sh -euc "$1"
"""


def base_tar(packages: tuple[str, ...]) -> Path:
    """The tar of a fresh system with these packages, no recommended ones."""
    wanted = sorted({*PACKAGES, *packages})
    name = f"base-{cache.key(SUITE, *wanted, *_WITHOUT)}"
    return cache.entry(name, lambda folder: _bootstrap(folder, wanted)) / "rootfs.tar"


def _bootstrap(folder: Path, packages: list[str]) -> None:
    excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in _WITHOUT]
    subprocess.run(
        [
            "mmdebstrap", "--variant=minbase", "--format=tar", "--quiet", *excludes,
            '--aptopt=Acquire::Languages "none"', "--aptopt=Acquire::Retries 3",
            f"--include={','.join(packages)}", SUITE, str(folder / "rootfs.tar"),
        ],
        check=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "INITRD": "No"},  # each guest makes its own
    )  # fmt: skip


@contextmanager
def tree(guest: Guest, scratch: Path) -> Iterator[Path]:
    """The guest's whole file tree below a temporary folder, initramfs included."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        root = Path(folder)
        subprocess.run(["tar", "-C", folder, "--numeric-owner", "-xpf", base_tar(guest.packages)], check=True)
        for path, text in guest.files.items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        machine_id = cache.key(guest.name) * 3
        (root / "etc/machine-id").write_text(machine_id[:32] + "\n")
        (root / "etc/hostname").write_text(guest.name + "\n")
        (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {guest.name}\n")
        chroot(root, guest.make_initramfs.replace("KVER", kernel_version(root)))
        yield root


def kernel_version(root: Path) -> str:
    versions = [re.sub("^vmlinuz-", "", path.name) for path in (root / "boot").glob("vmlinuz-*")]
    (version,) = versions
    return version


def chroot(root: Path, script: str) -> None:
    subprocess.run(
        ["unshare", "--mount", "--pid", "--fork", "--kill-child", "sh", "-euc", _CHROOT, str(root), script],
        check=True, stdin=subprocess.DEVNULL,
    )  # fmt: skip
