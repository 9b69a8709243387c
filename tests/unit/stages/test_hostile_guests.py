"""Guests that nobody built by accident: INSPECT and the plan end soon, in little memory, with a clear word.

Time is that of the processor, so that a busy machine fails nothing; memory is what Python allocates
beside the guest itself.
"""

import gzip
import io
import time
import tracemalloc
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import pytest

from tests.initramfs_images import image
from tests.memory_session import MemorySession, disk, partition
from vmdk2kvm.cli.inspect import describe, forecast
from vmdk2kvm.errors import Vmdk2KvmError
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.catalog import FIXES
from vmdk2kvm.guest.memory import Folder, Link, Node, Special
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding
from vmdk2kvm.model.units import GIB, MIB
from vmdk2kvm.stages import inspect

KERNEL = "6.1.0-13-amd64"
INITRAMFS = f"/boot/initrd.img-{KERNEL}"
MENU = "/boot/grub/grub.cfg"
MODULES = ("virtio_pci", "virtio_blk", "virtio_scsi", "sd_mod")
CPU_LIMIT_S = 30.0
MEMORY_LIMIT_BYTES = 256 * MIB

Content = bytes | str | Node


def files(**changed: Content | None) -> dict[str, Content]:
    found: dict[str, Content | None] = {
        "/etc/os-release": 'ID=debian\nVERSION_ID="12"\n',
        "/etc/fstab": "UUID=1 / ext4 defaults 0 1\n",
        "/usr/x": b"",
        f"/lib/modules/{KERNEL}/modules.dep": "".join(f"kernel/{name}.ko:\n" for name in MODULES),
        f"/lib/modules/{KERNEL}/modules.builtin": "",
        f"/boot/vmlinuz-{KERNEL}": b"MZ",
        INITRAMFS: image(MODULES),
        MENU: "linux /vmlinuz root=UUID=1 ro\ninitrd /initrd\n",
        **changed,
    }
    return {path: content for path, content in found.items() if content is not None}


class Watched(MemorySession):
    """A guest that must not be written while it is looked at."""

    def write_bytes(self, path: str, content: bytes, mode: int = 0o644) -> None:
        raise AssertionError(f"{path} was written")

    def run(self, *arguments: object, **options: object) -> object:  # type: ignore[override]
        raise AssertionError("a program was run")


@dataclass(frozen=True, kw_only=True)
class Seen:
    os: GuestOs
    plan: Plan
    findings: tuple[Finding, ...]
    ids: set[str] = field(default_factory=set)


def seen(guest: Mapping[str, Content]) -> Seen:
    """INSPECT and plan, within bounds of time."""
    tree = dict(guest)
    session = Watched((disk("/dev/sda", 0), partition("/dev/sda1", "ext4", "1")), {"/dev/sda1": tree})
    return _seen(session)


def seen_in_little_memory(guest: Mapping[str, Content]) -> Seen:
    """The same, within bounds of memory; measuring it makes everything slow."""
    tracemalloc.start()
    try:
        return seen(guest)
    finally:
        peak_bytes = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert peak_bytes < MEMORY_LIMIT_BYTES, f"{peak_bytes / MIB:.0f} MiB"


def _seen(session: MemorySession) -> Seen:
    started = time.process_time()
    inspected = inspect.with_forecast(session, inspect.run(session))
    plan = engine.plan(FIXES, session, inspected.os)
    spent_s = time.process_time() - started
    assert spent_s < CPU_LIMIT_S, f"{spent_s:.1f} s"
    findings = (*inspected.findings, *plan.findings)
    shown = "\n".join((*describe(inspected.os), *forecast(findings)))
    assert not set(shown) & {"\x1b", "\x07", "\x9b", "\u202e"}, "the guest reaches the terminal"
    return Seen(os=inspected.os, plan=plan, findings=findings, ids={each.id for each in findings})


def test_a_plain_guest_has_no_findings() -> None:
    assert seen(files()).ids == {"not-booted-by-us"}


TEN_MEGABYTES = {
    "one entry": "UUID=1 / ext4\n" + "/dev/sda1 /mnt/x ext4 defaults 0 1\n" * 300_000,
    "by-path names": "UUID=1 / ext4\n"
    + "".join(f"/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:{n}:0 /x{n} ext4\n" for n in range(160_000)),
    "one line": "UUID=1 / ext4\n" + "/" * 10_000_000,
    "no line end": "\0" * 10_000_000,
}


@pytest.mark.parametrize("text", TEN_MEGABYTES.values(), ids=TEN_MEGABYTES)
def test_an_fstab_of_ten_megabytes(text: str) -> None:
    found = seen(files(**{"/etc/fstab": text}))
    assert {"fstab-unread", "file-left-unread"} <= found.ids
    assert found.plan.changes == ()


READ = {
    "by-path names": "".join(
        f"/dev/disk/by-path/pci-0000:03:00.0-scsi-0:0:{n}:0 /x{n} ext4\n" for n in range(4_000)
    ),
    "by-id names": "".join(f"/dev/disk/by-id/scsi-3{n:032x} /x{n} ext4\n" for n in range(4_000)),
    "disks": "".join(f"/dev/sd{'abcdefghij'[n % 10] * 2}{n} /x{n} ext4\n" for n in range(8_000)),
    "swap files": "".join(f"/s{n} none swap x\n" for n in range(12_000)),
    "options": "UUID=1 /x ext4 " + "a," * 500_000,
    "a deep folder": "UUID=1 " + "/a" * 500_000 + " ext4\n",
    "up and up": "UUID=1 " + "/.." * 330_000 + " ext4\n",
    "escapes": "UUID=1 /" + "\\040" * 250_000 + " ext4\n",
}


@pytest.mark.parametrize("text", READ.values(), ids=READ)
def test_an_fstab_that_is_read(text: str) -> None:
    found = seen(files(**{"/etc/fstab": "UUID=1 / ext4\n" + text}))
    assert "fstab-unread" not in found.ids
    assert len(found.findings) < 100


ARGUMENTS = {
    "the same": "root=/dev/sda1 " * 100_000,
    "others": "".join(f"a{n}=/dev/sda{n} " for n in range(100_000)),
    "short": "x " * 100_000,
    "one": "root=" + "/dev/sda1" * 100_000,
    "quoted": 'root="' + "\\\\" * 100_000 + '"',
    "unclosed": "'" + "a " * 100_000,
}


MENUS = [MENU, "/etc/default/grub", "/boot/loader/entries/a.conf", "/etc/kernel/cmdline"]


@pytest.mark.parametrize(
    ("path", "text"),
    [*((MENU, text) for text in ARGUMENTS.values()), *((path, ARGUMENTS["the same"]) for path in MENUS[1:])],
    ids=[*ARGUMENTS, *MENUS[1:]],
)
def test_a_hundred_thousand_kernel_arguments(path: str, text: str) -> None:
    line = {
        MENU: f"linux /vmlinuz {text}\ninitrd /i\n",
        "/etc/default/grub": f'GRUB_CMDLINE_LINUX="{text}"\n',
        "/boot/loader/entries/a.conf": f"linux /vmlinuz\noptions {text}\n",
        "/etc/kernel/cmdline": text,
    }
    found = seen(files(**{path: line[path]}))
    assert len(found.findings) < 100


LOOPS: dict[str, dict[str, Content | None]] = {
    "/boot itself": {
        "/boot": Link(target="/boot"),
        f"/boot/vmlinuz-{KERNEL}": None,
        INITRAMFS: None,
        MENU: None,
    },
    "its menu": {MENU: Link(target="grub.cfg")},
    "its folder": {MENU: None, "/boot/grub": Link(target="../boot/grub")},
    "the initramfs": {INITRAMFS: Link(target=f"initrd.img-{KERNEL}")},
    "the kernel": {f"/boot/vmlinuz-{KERNEL}": Link(target=f"vmlinuz-{KERNEL}")},
    "in a ring": {f"/boot/l{n}": Link(target=f"l{(n + 1) % 50}") for n in range(50)}
    | {MENU: Link(target="../l0")},
    "into itself": {f"/boot/d{n}": Link(target=".") for n in range(100)},
}


@pytest.mark.parametrize("name", LOOPS)
def test_links_that_run_in_circles_in_boot(name: str) -> None:
    found = seen(files(**LOOPS[name]))
    if name != "into itself":
        assert found.ids, "nothing was said"


@pytest.mark.parametrize(
    "target", ["../../../../../../etc/shadow", "/../../etc/shadow", "/proc/self/environ", "/dev/sda"]
)
def test_an_fstab_that_leads_out_of_the_root(target: str) -> None:
    found = seen(files(**{"/etc/fstab": Link(target=target), "/etc/shadow": "/dev/sda1 / ext4\n"}))
    assert "file-left-unread" in found.ids
    assert found.plan.changes == (), "a link was followed to a file that is no fstab"


EXPECTED_FILES = (
    "/etc/fstab",
    "/etc/os-release",
    "/etc/default/grub",
    "/etc/crypttab",
    "/etc/initramfs-tools/modules",
    "/etc/netplan/50-cloud-init.yaml",
    "/etc/network/interfaces",
    "/boot/grub/device.map",
    MENU,
    INITRAMFS,
    f"/boot/vmlinuz-{KERNEL}",
    f"/lib/modules/{KERNEL}/modules.dep",
)


@pytest.mark.parametrize("node", [Special(), Folder()], ids=["pipe", "folder"])
@pytest.mark.parametrize("path", EXPECTED_FILES)
def test_a_pipe_where_a_file_is_expected(path: str, node: Node) -> None:
    found = seen(files(**{path: node}))
    assert all(getattr(item.change, "path", "") != path for item in found.plan.changes)


def test_a_release_full_of_terminal_escapes() -> None:
    evil = "\x1b]0;owned\x07\x1b[2J\x9b31m\u202e"
    found = seen(
        files(**{"/etc/os-release": f'ID="{evil}"\nPRETTY_NAME="{evil * 100}"\nVERSION_ID="{evil}"\n'})
    )
    assert "unknown-distribution" in found.ids
    assert found.os.name.startswith("\x1b]0;"), "facts are kept as they are, and escaped where they are shown"


@pytest.mark.parametrize("text", ["ID=" + "a" * 16 * MIB, "A=b\n" * 4 * MIB, "ID='" + "\\" * 60_000])
def test_a_release_that_never_ends(text: str) -> None:
    found = seen(files(**{"/etc/os-release": text}))
    assert len(found.os.name) < 100_000


def bomb(size_bytes: int) -> bytes:
    """A cpio archive whose one file unpacks to `size_bytes` of zeros, in a thousandth of the space."""
    fields = (1, 0o100644, 0, 0, 1, 0, min(size_bytes, 0xFFFFFFFF), 0, 0, 0, 0, 2, 0)
    packed = io.BytesIO()
    with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as archive:
        archive.write(b"070701" + b"".join(b"%08x" % value for value in fields) + b"a\0")
        for _ in range(size_bytes // (8 * MIB)):
            archive.write(bytes(8 * MIB))
    return packed.getvalue()


def test_a_zip_bomb_as_initramfs() -> None:
    packed = bomb(3 * GIB)
    assert len(packed) < 20 * MIB
    found = seen(files(**{INITRAMFS: packed}))
    kernel = found.os.kernels[0]
    assert kernel.initramfs and kernel.initramfs.error
    assert "unpacks to more than any boot image does" in kernel.initramfs.error
    assert "initramfs-without-virtio" in found.ids


LARGE: dict[str, Callable[[], dict[str, Content]]] = {
    "ten megabytes": lambda: {"/etc/fstab": TEN_MEGABYTES["by-path names"]},
    "entries": lambda: {"/etc/fstab": "UUID=1 / ext4\n" + READ["by-path names"]},
    "arguments": lambda: {MENU: f"linux /vmlinuz {ARGUMENTS['the same']}\ninitrd /i\n"},
    "a bomb": lambda: {INITRAMFS: bomb(GIB)},
}


@pytest.mark.parametrize("name", LARGE)
def test_little_memory_is_needed(name: str) -> None:
    seen_in_little_memory(files(**LARGE[name]()))


NESTED: dict[str, Callable[[], bytes]] = {
    "a million members": lambda: image([f"m{n}" for n in range(400_000)]),
    "an endless name": lambda: (
        b"070701" + b"".join(b"%08x" % v for v in (1, 0o100644, *[0] * 9, 0xFFFFFFF0, 0))
    ),
    "cut off": lambda: image(MODULES)[:100],
    "zeros": lambda: bytes(64 * MIB),
}


@pytest.mark.parametrize("name", NESTED)
def test_other_images_that_are_none(name: str) -> None:
    found = seen(files(**{INITRAMFS: NESTED[name]()}))
    kernel = found.os.kernels[0]
    assert kernel.initramfs and kernel.initramfs.error


def test_every_refusal_is_ours() -> None:
    """A root that cannot be told is refused by name, not by a traceback."""
    devices = (disk("/dev/sda", 0), *(partition(f"/dev/sda{n}", "ext4", str(n)) for n in range(1, 40)))
    tree = {"/etc/os-release": "ID=x\n", "/usr/x": b"", "/etc/fstab": Special()}
    session = Watched(devices, {each.device: tree for each in devices[1:]})
    with pytest.raises(Vmdk2KvmError, match="several file systems could be the guest's root"):
        inspect.run(session)
