"""A Linux machine's tree on its disks, as VMDKs: a tar of mmdebstrap's, and one appliance for the rest."""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import guestfs

from tests.guests import cache, disk, rootfs
from tests.guests.catalog import Guest
from tests.guests.linux_catalog import LinuxGuest

PACKAGES = (
    "systemd-sysv", "udev", "dbus", "iproute2", "procps", "kmod", "linux-image-amd64", "e2fsprogs",
    "initramfs-tools", "zstd", "open-vm-tools",
)  # fmt: skip
_WITHOUT = (
    "/usr/share/doc/*", "/usr/share/man/*", "/usr/share/info/*", "/usr/share/locale/*",
    # drivers of what no virtual machine has: half of a kernel's size
    *(f"{lib}/modules/*/kernel/{part}/*" for lib in ("/lib", "/usr/lib")
      for part in ("sound", "drivers/media", "drivers/net/wireless", "drivers/infiniband", "drivers/isdn",
                   *(f"drivers/gpu/drm/{card}" for card in ("amd", "nouveau", "i915", "xe")))),
)  # fmt: skip
_SECRET_FILES = ("/etc/NetworkManager/system-connections/", "/etc/netplan/", "/etc/crypttab")

# What the appliance runs: the storage's own script, the tree, the loader inside it, and a clean end.
_SCRIPT = """set -e
A=$(readlink -f /dev/disk/guestfs/diska)
B=$(readlink -f /dev/disk/guestfs/diskb || true)
[ -b "$B" ] || B=
modprobe -a dm_crypt raid1 vfat 2>/dev/null || true
{storage}
tar -C /sysroot --numeric-owner --xattrs --xattrs-include='*' -xpf /dev/disk/guestfs/tree
for place in dev proc sys; do mount --bind /$place /sysroot/$place; done
mount -t tmpfs tmpfs /sysroot/run
chroot /sysroot /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 A=$A B=$B \
    /bin/sh -euc {inside} >/tmp/out 2>&1 || {{ tail -n 40 /tmp/out >&2; exit 1; }}
for place in run sys proc dev; do umount /sysroot/$place; done
umount -R /sysroot
vgchange -q -an >/dev/null 2>&1 || true
for name in /dev/mapper/*_crypt; do if [ -b "$name" ]; then cryptsetup close "$name"; fi; done
mdadm --quiet --stop /dev/md0 2>/dev/null || true
sync
"""


def disks(guest: Guest | LinuxGuest) -> tuple[Path, ...]:
    """The machine's VMDKs, the boot disk first, from the cache or made now."""
    if isinstance(guest, Guest):
        return (disk.build(guest),)
    folder = cache.entry(entry_name(guest), lambda folder: _build(guest, folder))
    return tuple(folder / _vmdk(guest, index) for index in range(len(guest.disks)))


def entry_name(guest: Guest | LinuxGuest) -> str:
    if isinstance(guest, Guest):
        return disk.entry_name(guest)
    return f"{guest.name}-{cache.key(cache.source_text(__file__, rootfs.__file__), guest.made_of)}"


def _vmdk(guest: LinuxGuest, index: int) -> str:
    return f"{guest.name}{f'_{index}' if index else ''}.vmdk"


def _build(guest: LinuxGuest, folder: Path) -> None:
    images = [folder / f"{index}.raw" for index in range(len(guest.disks))]
    for image, virtual in zip(images, guest.disks, strict=True):
        with image.open("wb") as file:
            file.truncate(virtual.mib << 20)
    tar = folder / "tree.tar"
    with _tree(guest, folder) as (tree, kernel):
        subprocess.run(["tar", "-C", tree, "--numeric-owner", "-cf", tar, "."], check=True)
    _run_appliance(images, tar, render_script(guest, kernel))
    tar.unlink()
    for index, (image, virtual) in enumerate(zip(images, guest.disks, strict=True)):
        subprocess.run(
            ["qemu-img", "convert", "-q", "-f", "raw", "-O", "vmdk", "-o", f"subformat={virtual.subformat}",
             image, folder / _vmdk(guest, index)],
            check=True,
        )  # fmt: skip
        image.unlink()


def render_script(guest: LinuxGuest, kernel: str) -> str:
    inside = guest.loader
    if guest.initramfs_in_appliance:
        inside = f"{_make_initramfs(kernel)}\n{inside}"
    return _SCRIPT.format(storage=guest.storage, inside=shlex.quote(inside.replace("KVER", kernel)))


def _run_appliance(images: list[Path], tar: Path, script: str) -> None:
    os.environ.setdefault("LIBGUESTFS_BACKEND", "direct")
    os.environ.setdefault("LIBGUESTFS_BACKEND_SETTINGS", "force_tcg")
    g = guestfs.GuestFS(python_return_dict=True)
    try:
        for index, image in enumerate(images):
            g.add_drive_opts(str(image), format="raw", cachemode="unsafe", label=f"disk{'ab'[index]}")
        g.add_drive_opts(str(tar), format="raw", cachemode="unsafe", label="tree")
        g.set_memsize(1280)
        g.launch()
        g.debug("sh", [script])
        g.shutdown()
    finally:
        g.close()


def _base_tar(guest: LinuxGuest) -> Path:
    wanted = sorted({*PACKAGES, *guest.packages})
    name = f"base-{cache.key(guest.suite, *wanted, *_WITHOUT)}"
    return cache.entry(name, lambda folder: _bootstrap(guest.suite, folder, wanted)) / "rootfs.tar"


def _bootstrap(suite: str, folder: Path, packages: list[str]) -> None:
    excludes = [f"--dpkgopt=path-exclude={pattern}" for pattern in _WITHOUT]
    subprocess.run(
        [
            "mmdebstrap", "--variant=minbase", "--format=tar", "--quiet", *excludes,
            '--aptopt=Acquire::Languages "none"', "--aptopt=Acquire::Retries 3",
            f"--include={','.join(packages)}", suite, str(folder / "rootfs.tar"),
        ],
        check=True, stdin=subprocess.DEVNULL,
        env={**os.environ, "INITRD": "No"},
    )  # fmt: skip


@contextmanager
def _tree(guest: LinuxGuest, scratch: Path) -> Iterator[tuple[Path, str]]:
    """The file tree below a temporary folder, and its kernel's version."""
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        root = Path(folder)
        subprocess.run(["tar", "-C", folder, "--numeric-owner", "-xpf", _base_tar(guest)], check=True)
        named = {
            "/etc/machine-id": f"{guest.machine_id}\n",
            "/etc/hostname": f"{guest.name}\n",
            "/etc/hosts": f"127.0.0.1 localhost\n127.0.1.1 {guest.name}\n",
        }
        for path, text in {**guest.files, **named}.items():
            target = root / path.lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
            target.chmod(0o600 if path.startswith(_SECRET_FILES) else 0o644)
        kernel = rootfs.kernel_version(root)
        make = "" if guest.initramfs_in_appliance else _make_initramfs(kernel)
        rootfs.chroot(root, f"{guest.enable}\n{make}")
        yield root, kernel


def _make_initramfs(kernel: str) -> str:
    return f"update-initramfs -c -k {kernel}"
