"""The files and file systems of an offline guest: guest/protocol.py over an appliance."""

import io
import secrets
import stat
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, BinaryIO

from vmdk2kvm.errors import GuestError, Vmdk2KvmError
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest import appliance_devices, appliance_scripts
from vmdk2kvm.guest.appliance import SYSROOT, Appliance
from vmdk2kvm.guest.offline_luks import LuksVolumes, read_device
from vmdk2kvm.guest.offline_stream import FileStream
from vmdk2kvm.guest.paths import join, parent, resolve
from vmdk2kvm.guest.protocol import (
    TEXT_ENCODING,
    TEXT_ERRORS,
    BlockDevice,
    CommandResult,
    FileStat,
    FileType,
    Room,
    Subvolumes,
)
from vmdk2kvm.model.luks import LuksKey
from vmdk2kvm.model.units import MIB

READ_LIMIT_BYTES = 16 * MIB
STREAM_BUFFER_BYTES = MIB
APPEND_BYTES = 2 * MIB  # a message to the appliance holds 4 MiB at most
SELINUX_LABEL = "security.selinux"  # xattr(7)
MOUNT_TIMEOUT_S = 120.0  # a long journal is replayed meanwhile
_TRIMMABLE = frozenset({"ext3", "ext4", "xfs", "btrfs", "vfat", "f2fs"})
_MAY_PANIC = frozenset({"ext2", "ext3", "ext4"})
_TYPES = {
    stat.S_IFREG: FileType.REGULAR,
    stat.S_IFDIR: FileType.DIRECTORY,
    stat.S_IFLNK: FileType.SYMLINK,
}


class OfflineGuest:
    """A GuestSession; nothing is mounted at first."""

    def __init__(self, appliance: Appliance, *, disk_count: int, scratch: Path) -> None:
        self._appliance = appliance
        self._disk_count = disk_count
        self._scratch = scratch
        self._inner_names: dict[str, str] = {}
        self._contents: dict[str, str | None] = {}
        self._mounted: dict[str, str | None] = {}  # mount point -> file system type
        self._luks = LuksVolumes(appliance)

    # disks and file systems

    def block_devices(self) -> tuple[BlockDevice, ...]:
        text = self._appliance.shell(appliance_devices.SCRIPT).text
        found = appliance_devices.parse(text, self._disk_count)
        self._inner_names = {device.device: inner for inner, device in found.items()}
        self._contents = {device.device: device.content for device in found.values()}
        return tuple(found.values())

    def read_device(self, device: str, offset: int, size_bytes: int) -> bytes:
        if not self._inner_names:
            self.block_devices()
        return read_device(self._appliance, self._inner_names.get(device, device), offset, size_bytes)

    def open_luks(self, device: str, name: str, key: LuksKey) -> bool:
        return self._luks.open(self._inner_names.get(device, device), device, name, key)

    def luks_keys(self, device: str) -> tuple[LuksKey | None, tuple[LuksKey, ...]]:
        return self._luks.keys(device)

    def rename_luks(self, device: str, name: str) -> None:
        self._luks.rename(self._inner_names.get(device, device), name)

    def mount(
        self, device: str, mountpoint: str, *, options: Sequence[str] = (), read_only: bool = False
    ) -> None:
        if not self._inner_names:
            self.block_devices()
        content = self._contents.get(device)
        given = ["ro" if read_only else "rw", *options]
        if content in _TRIMMABLE and not read_only:
            given.append("discard")  # deleted blocks leave the overlay
        if content in _MAY_PANIC:
            given.append("errors=remount-ro")  # the guest's own choice may be to stop the kernel: ours
        place = mountpoint if mountpoint == "/" else self.realpath(mountpoint)
        script = appliance_scripts.mount(self._inner_names.get(device, device), place, given)
        result = self._appliance.shell(script, timeout_s=MOUNT_TIMEOUT_S)
        if result.status != 0:
            said = visible(result.text.strip().partition("\n")[0])
            raise GuestError(
                f'"{device}" cannot be mounted at "{visible(mountpoint)}": {said}',
                hint="check the file system on the source machine, shut it down cleanly, then run again.",
            )
        self._mounted[place] = content

    def unmount_all(self) -> None:
        if self._mounted:
            result = self._appliance.shell(f"umount -R {SYSROOT}")
            if result.status != 0:
                raise GuestError(
                    f"the guest's file systems cannot be unmounted: {visible(result.text.strip())}",
                    hint="run again; the log holds what happened before.",
                )
            self._mounted.clear()

    def replayed(self) -> tuple[str, ...]:
        names = appliance_scripts.replayed_names(self._appliance.shell(appliance_scripts.KERNEL_LOG).text)
        return tuple(sorted(device for device, inner in self._inner_names.items() if inner in names))

    def subvolumes(self) -> Subvolumes:
        listed = self._appliance.shell(
            f"btrfs subvolume get-default {SYSROOT} && btrfs subvolume list -a {SYSROOT}"
        )
        if listed.status != 0:
            raise GuestError(
                f"the subvolumes of a btrfs file system cannot be listed: {visible(listed.text.strip())}",
                hint="check the file system on the source machine.",
            )
        default, *lines = [line.partition(" path ")[2] for line in listed.text.strip().split("\n")]
        paths = (path.removeprefix("<FS_TREE>/") for path in lines)
        return Subvolumes(paths=tuple(paths), default=default.removeprefix("<FS_TREE>/"))

    def room(self, mountpoint: str) -> Room:
        facts = self._appliance.call("statvfs", mountpoint, path=mountpoint)
        # btrfs and FAT make inodes as they need them, and say 0
        inodes = int(facts["favail"]) if facts["files"] else None
        return Room(free_bytes=int(facts["bavail"]) * int(facts["frsize"]), free_inodes=inodes)

    def trim(self) -> tuple[tuple[str, str], ...]:
        places = [place for place, content in self._mounted.items() if content in _TRIMMABLE]
        result = self._appliance.shell(appliance_scripts.trim(places))
        return appliance_scripts.trim_failures(result.text, places)

    # what a planner may ask

    def read_bytes(self, path: str) -> bytes:
        real, size_bytes = self._regular(path)
        if size_bytes > READ_LIMIT_BYTES:
            raise GuestError(
                f'"{visible(path)}" in the guest is larger than 16 MiB.',
                hint="it is not a configuration file; look at it.",
            )
        stream = FileStream(self._appliance, real, size_bytes)
        return b"".join(iter(lambda: stream.read(2 * MIB), b""))

    def read_text(self, path: str) -> str:
        return self.read_bytes(path).decode(TEXT_ENCODING, TEXT_ERRORS)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        real, size_bytes = self._regular(path)
        raw = FileStream(self._appliance, real, size_bytes)
        with io.BufferedReader(raw, buffer_size=STREAM_BUFFER_BYTES) as stream:
            yield stream

    def exists(self, path: str) -> bool:
        try:
            self.realpath(path)
        except (FileNotFoundError, GuestError):  # a circle of links, a name that cannot be used
            return False
        return True

    def stat(self, path: str) -> FileStat:
        facts = self._lstat(self._place(path), path)
        mode = int(facts["st_mode"])
        return FileStat(
            type=_TYPES.get(stat.S_IFMT(mode), FileType.OTHER),
            size_bytes=int(facts["st_size"]),
            mode=stat.S_IMODE(mode),
            uid=int(facts["st_uid"]),
            gid=int(facts["st_gid"]),
            mtime_s=int(facts["st_mtime_sec"]),
        )

    def readlink(self, path: str) -> str:
        place = self._place(path)
        if not stat.S_ISLNK(self._lstat(place, path)["st_mode"]):
            raise GuestError(
                f'"{visible(path)}" in the guest is not a symbolic link.', hint="look at it in the guest."
            )
        return str(self._appliance.call("readlink", place, path=path))

    def realpath(self, path: str) -> str:
        return str(self._appliance.call("realpath", path, path=path))

    def glob(self, pattern: str) -> tuple[str, ...]:
        found = ["/"]
        *folders, last = pattern.strip("/").split("/")
        for part in folders:
            found = [join(folder, name) for folder in found for name in self._names(folder, part)]
        names = (join(folder, name) for folder in found for name in self._names(folder, last))
        return tuple(sorted(path for path in names if _is_pattern(last) or self._is_there(path)))

    def list_tree(self, path: str) -> tuple[str, ...]:
        if not self.exists(path):
            return ()
        listed = self._appliance.shell(appliance_scripts.list_files(self.realpath(path)))
        return tuple(sorted(join(path.rstrip("/") or "/", name) for name in listed.text.split("\0") if name))

    # what the interpreter may do

    def write_bytes(self, path: str, content: bytes, mode: int = 0o644) -> None:
        real = self._resolved(path)
        present = self._lstat_or_none(real)
        if present is not None and not stat.S_ISREG(present["st_mode"]):
            raise _not_a_file(path)
        with self._beside(real, path) as new:
            self._appliance.call("write", new, content, path=path)
            if present is None:
                self._appliance.call("chmod", mode, new, path=path)
            else:
                self._copy_attributes(real, new)
            self._appliance.call("rename", new, real, path=path)

    def append_bytes(self, path: str, content: bytes) -> None:
        real, _ = self._regular(path)
        for start in range(0, len(content), APPEND_BYTES):
            piece = content[start : start + APPEND_BYTES]
            self._appliance.call("write_append", real, piece, path=path)

    def label(self, path: str) -> str | None:
        found = self._appliance.call("lgetxattrs", self._place(path), path=path)
        values = [each["attrval"] for each in found if each["attrname"] == SELINUX_LABEL]
        return bytes(values[0]).rstrip(b"\0").decode(TEXT_ENCODING, TEXT_ERRORS) if values else None

    def set_label(self, path: str, label: str) -> None:
        size_bytes = len(label.encode(TEXT_ENCODING, TEXT_ERRORS))
        self._appliance.call("lsetxattr", SELINUX_LABEL, label, size_bytes, self._place(path), path=path)

    def remove(self, path: str) -> None:
        place = self._place(path)
        if stat.S_ISDIR(self._lstat(place, path)["st_mode"]):
            raise _not_a_file(path)
        self._appliance.call("rm", place, path=path)

    def remove_folder(self, path: str) -> None:
        self._appliance.call("rmdir", self._folder_to_remove(path), path=path)

    def remove_tree(self, path: str) -> None:
        self._appliance.call("rm_rf", self._folder_to_remove(path), path=path)

    def _folder_to_remove(self, path: str) -> str:
        place = self._place(path)
        if place == "/" or not stat.S_ISDIR(self._lstat(place, path)["st_mode"]):
            raise GuestError(
                f'"{visible(path)}" in the guest is not a folder to remove.', hint="look at it in the guest."
            )
        return place

    def make_symlink(self, path: str, target: str) -> None:
        place = self._place(path)
        present = self._lstat_or_none(place)
        if present is not None and not stat.S_ISLNK(present["st_mode"]):
            raise GuestError(
                f'"{visible(path)}" in the guest is in the way of a link.',
                hint="move it away in the guest.",
            )
        with self._beside(place, path) as new:
            self._appliance.call("ln_s", target, new, path=path)
            self._appliance.call("rename", new, place, path=path)

    def make_folder(self, path: str, mode: int = 0o755) -> None:
        real = self._resolved(path)
        present = self._lstat_or_none(real)
        if present is None:
            self.make_folder(parent(real), mode)
            self._appliance.call("mkdir", real, path=path)
            self._appliance.call("chmod", mode, real, path=path)
        elif not stat.S_ISDIR(present["st_mode"]):
            raise GuestError(
                f'"{visible(path)}" in the guest is not a folder.', hint="look at it in the guest."
            )

    def copy_within(self, source: str, target: str) -> None:
        real, _ = self._regular(source)
        place = self._place(target)
        present = self._lstat_or_none(place)
        if present is not None and stat.S_ISDIR(present["st_mode"]):
            raise _not_a_file(target)
        with self._beside(place, target) as new:
            self._appliance.call("cp_a", real, new, path=target)
            self._appliance.call("rename", new, place, path=target)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        """Status 137 when the time is over, 127 when there is no such program, as in a shell."""
        script = appliance_scripts.run(argv, env or {}, timeout_s)
        result = self._appliance.shell(script, timeout_s=timeout_s + 60)
        return CommandResult(status=result.status, output=result.output.decode("utf-8", "replace"))

    def mark(self) -> str:
        token = secrets.token_hex(8)
        self._appliance.shell(appliance_scripts.mark(token, self._fat_mountpoints()))
        return token

    def changed_since(self, mark: str) -> tuple[str, ...]:
        result = self._appliance.shell(appliance_scripts.changed_since(mark, self._fat_mountpoints()))
        return tuple(sorted(f"/{path}" for path in result.text.split("\0") if path))

    # the tree below

    def _fat_mountpoints(self) -> tuple[str, ...]:
        return tuple(place for place, content in self._mounted.items() if content == "vfat")

    def _lstat(self, place: str, asked: str) -> dict[str, Any]:
        facts: dict[str, Any] = self._appliance.call("lstatns", place, path=asked)
        return facts

    def _lstat_or_none(self, place: str) -> dict[str, Any] | None:
        try:
            return self._lstat(place, place)
        except FileNotFoundError:
            return None

    def _is_there(self, path: str) -> bool:
        try:
            return self._lstat_or_none(path) is not None
        except GuestError:  # a circle of links, a name that is not utf-8
            return False

    def _regular(self, path: str) -> tuple[str, int]:
        """The real path and size of a regular file: opening a FIFO would wait for ever."""
        real = self.realpath(path)
        facts = self._lstat(real, path)
        if not stat.S_ISREG(facts["st_mode"]):
            raise _not_a_file(path)
        return real, int(facts["st_size"])

    def _resolved(self, path: str) -> str:
        """Like `realpath`, for a path whose end may not be there yet."""
        try:
            return self.realpath(path)
        except FileNotFoundError:
            return resolve(path, self._target_of)

    def _place(self, path: str) -> str:
        """Where `path` itself stands: a final symbolic link is not followed."""
        folder, _, name = path.rstrip("/").rpartition("/")
        if name in ("", ".", ".."):
            return resolve(path, self._target_of, follow_last=False)
        return join(self._resolved(folder or "/"), name)

    def _target_of(self, path: str) -> str | None:
        facts = self._lstat_or_none(path)
        if facts is None or not stat.S_ISLNK(facts["st_mode"]):
            return None
        return str(self._appliance.call("readlink", path, path=path))

    def _names(self, folder: str, pattern: str) -> Sequence[str]:
        """The names in a folder that fit; a leading dot has to be named, as in a shell."""
        if not _is_pattern(pattern):
            return (pattern,)
        with tempfile.NamedTemporaryFile(dir=self._scratch) as listed:
            try:
                self._appliance.call("ls0", folder, listed.name, path=folder)
            except (FileNotFoundError, GuestError):  # a file, a circle of links, a name that is not utf-8
                return ()
            names = Path(listed.name).read_bytes().decode(TEXT_ENCODING, TEXT_ERRORS).split("\0")
        shown = (name for name in names if name and (pattern.startswith(".") or not name.startswith(".")))
        return [name for name in shown if fnmatchcase(name, pattern)]

    @contextmanager
    def _beside(self, place: str, asked: str) -> Iterator[str]:
        """A temporary name in the same folder, to be renamed to `place`; removed after an error."""
        if not self._is_there(parent(place)):
            raise FileNotFoundError(asked)
        new = join(parent(place), f".vmdk2kvm-{secrets.token_hex(4)}")
        try:
            yield new
        except (Vmdk2KvmError, OSError):  # a cancelled run has no appliance any more
            self._appliance.call("rm_f", new, path=new)
            raise

    def _copy_attributes(self, source: str, target: str) -> None:
        self._appliance.call("copy_attributes", source, target, path=source, all=True)


def _is_pattern(part: str) -> bool:
    return any(character in part for character in "*?[")


def _not_a_file(path: str) -> GuestError:
    return GuestError(
        f'"{visible(path)}" in the guest is not a regular file.', hint="look at it in the guest."
    )
