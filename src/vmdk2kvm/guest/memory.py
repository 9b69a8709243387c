"""A guest held in a dict: the reference for what guest/protocol.py promises.

Its programs are scripted: a callable receives the guest, the arguments and the environment, and
may change the guest as the real program would.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from typing import BinaryIO

from vmdk2kvm.errors import GuestError
from vmdk2kvm.guest.paths import join, parent, resolve
from vmdk2kvm.guest.protocol import TEXT_ENCODING, TEXT_ERRORS, CommandResult, FileStat, FileType
from vmdk2kvm.model.units import MIB

READ_LIMIT_BYTES = 16 * MIB
LOOK = "look at it in the guest."


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
    content: bytes
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    mtime_s: int = 0
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Link:
    target: str
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Folder:
    mode: int = 0o755
    label: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Special:
    """A FIFO, a socket or a device: there, and never to be opened."""

    mode: int = 0o644


Node = File | Link | Folder | Special


class MemoryGuest:
    """A GuestReader and GuestWriter over `files`; folders on the way to a file need not be named."""

    def __init__(
        self,
        files: Mapping[str, bytes | str | Node],
        *,
        programs: "Programs | None" = None,
    ) -> None:
        self._nodes: dict[str, Node] = {"/": Folder()}
        self._serials: dict[str, int] = {}
        self._serial = 0
        self.programs = programs or _no_program
        self.commands: list[tuple[str, ...]] = []
        for path, node in files.items():
            self.make_folder(parent(path))
            self._put(path, _as_node(node))
        self._serials.clear()

    def snapshot(self) -> dict[str, Node]:
        """Every path and what stands there, to compare before with after."""
        return dict(self._nodes)

    # what a planner may ask

    def read_bytes(self, path: str) -> bytes:
        content = self._file(path).content
        if len(content) > READ_LIMIT_BYTES:
            raise GuestError(
                f'"{path}" in the guest is larger than 16 MiB.',
                hint="it is not a configuration file; look at it.",
            )
        return content

    def read_text(self, path: str) -> str:
        return self.read_bytes(path).decode(TEXT_ENCODING, TEXT_ERRORS)

    @contextmanager
    def open(self, path: str) -> Iterator[BinaryIO]:
        yield io.BytesIO(self._file(path).content)

    def exists(self, path: str) -> bool:
        try:
            return self._real(path) in self._nodes
        except GuestError:  # a circle of links leads nowhere
            return False

    def stat(self, path: str) -> FileStat:
        node = self._node(self._place(path), path)
        match node:
            case File():
                return FileStat(
                    type=FileType.REGULAR,
                    size_bytes=len(node.content),
                    mode=node.mode,
                    uid=node.uid,
                    gid=node.gid,
                    mtime_s=node.mtime_s,
                )
            case Link():
                return _stat(FileType.SYMLINK, 0o777, len(node.target))
            case Folder():
                return _stat(FileType.DIRECTORY, node.mode, 0)
            case Special():
                return _stat(FileType.OTHER, node.mode, 0)

    def readlink(self, path: str) -> str:
        node = self._node(self._place(path), path)
        if not isinstance(node, Link):
            raise GuestError(f'"{path}" in the guest is not a symbolic link.', hint=LOOK)
        return node.target

    def realpath(self, path: str) -> str:
        real = self._real(path)
        self._node(real, path)
        return real

    def glob(self, pattern: str) -> tuple[str, ...]:
        found = ["/"]
        for part in pattern.strip("/").split("/"):
            found = [
                join(folder, name) for folder in found for name in self._names_in(folder) if _fits(name, part)
            ]
        return tuple(sorted(found))

    def list_tree(self, path: str) -> tuple[str, ...]:
        if not self.exists(path):
            return ()
        real = self._real(path)
        below = real.rstrip("/") + "/"
        asked = path.rstrip("/") + "/"
        files = (found for found, node in self._nodes.items() if isinstance(node, File))
        return tuple(sorted(asked + found.removeprefix(below) for found in files if found.startswith(below)))

    # what the interpreter may do

    def write_bytes(self, path: str, content: bytes, mode: int = 0o644) -> None:
        real = self._real(path)
        present = self._nodes.get(real)
        if isinstance(present, Folder | Special):
            raise _not_a_file(path)
        self._folder(parent(real), path)
        node = (
            replace(present, content=content)
            if isinstance(present, File)
            else File(content=content, mode=mode)
        )
        self._put(real, node)

    def append_bytes(self, path: str, content: bytes) -> None:
        file = self._file(path)
        self._put(self._real(path), replace(file, content=file.content + content))

    def label(self, path: str) -> str | None:
        return getattr(self._node(self._place(path), path), "label", None)

    def set_label(self, path: str, label: str) -> None:
        place = self._place(path)
        node = self._node(place, path)
        if not isinstance(node, Special):
            self._nodes[place] = replace(node, label=label)

    def remove(self, path: str) -> None:
        place = self._place(path)
        if isinstance(self._node(place, path), Folder):
            raise _not_a_file(path)
        del self._nodes[place]
        self._serials.pop(place, None)

    def remove_folder(self, path: str) -> None:
        place = self._a_folder(path)
        if any(below.startswith(f"{place}/") for below in self._nodes):
            raise GuestError(f'"{path}" in the guest is not empty.', hint=LOOK)
        del self._nodes[place]

    def remove_tree(self, path: str) -> None:
        place = self._a_folder(path)
        for gone in [each for each in self._nodes if f"{each}/".startswith(f"{place}/")]:
            del self._nodes[gone]
            self._serials.pop(gone, None)

    def _a_folder(self, path: str) -> str:
        place = self._place(path)
        if place == "/" or not isinstance(self._node(place, path), Folder):
            raise GuestError(f'"{path}" in the guest is not a folder to remove.', hint=LOOK)
        return place

    def make_symlink(self, path: str, target: str) -> None:
        place = self._place(path)
        if not isinstance(self._nodes.get(place, Link(target="")), Link):
            raise GuestError(f'"{path}" in the guest is in the way of a link.', hint="move it away.")
        self._folder(parent(place), path)
        self._put(place, Link(target=target))

    def make_folder(self, path: str, mode: int = 0o755) -> None:
        real = self._real(path)
        present = self._nodes.get(real)
        if present is None:
            self.make_folder(parent(real), mode)
            self._nodes[real] = Folder(mode=mode)
        elif not isinstance(present, Folder):
            raise GuestError(f'"{path}" in the guest is not a folder.', hint=LOOK)

    def copy_within(self, source: str, target: str) -> None:
        content = self._file(source)
        place = self._place(target)
        if isinstance(self._nodes.get(place), Folder):
            raise _not_a_file(target)
        self._folder(parent(place), target)
        self._put(place, content)

    def run(
        self, argv: Sequence[str], *, timeout_s: float, env: Mapping[str, str] | None = None
    ) -> CommandResult:
        del timeout_s  # a scripted program ends at once
        self.commands.append(tuple(argv))
        return self.programs(self, tuple(argv), dict(env or {}))

    def mark(self) -> str:
        return str(self._serial)

    def changed_since(self, mark: str) -> tuple[str, ...]:
        return tuple(sorted(path for path, serial in self._serials.items() if serial > int(mark)))

    # the tree below

    def _put(self, path: str, node: Node) -> None:
        self._serial += 1
        self._serials[path] = self._serial
        self._nodes[path] = node

    def _target_of(self, path: str) -> str | None:
        node = self._nodes.get(path)
        return node.target if isinstance(node, Link) else None

    def _real(self, path: str) -> str:
        return resolve(path, self._target_of)

    def _place(self, path: str) -> str:
        return resolve(path, self._target_of, follow_last=False)

    def _node(self, real: str, asked: str) -> Node:
        if real not in self._nodes:
            raise FileNotFoundError(asked)
        return self._nodes[real]

    def _file(self, path: str) -> File:
        node = self._node(self._real(path), path)
        if not isinstance(node, File):
            raise _not_a_file(path)
        return node

    def _folder(self, real: str, asked: str) -> None:
        if not isinstance(self._nodes.get(real), Folder):
            raise FileNotFoundError(asked)

    def _names_in(self, folder: str) -> tuple[str, ...]:
        if not self.exists(folder):
            return ()
        below = self._real(folder).rstrip("/") + "/"
        rest = (path.removeprefix(below) for path in self._nodes if path.startswith(below))
        return tuple(name for name in rest if name and "/" not in name)


Programs = Callable[[MemoryGuest, tuple[str, ...], dict[str, str]], CommandResult]


def _no_program(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
    del guest, env
    return CommandResult(status=127, output=f"{argv[0]}: not found\n")


def _as_node(node: bytes | str | Node) -> Node:
    if isinstance(node, str):
        node = node.encode(TEXT_ENCODING, TEXT_ERRORS)
    return File(content=node) if isinstance(node, bytes) else node


def _stat(kind: FileType, mode: int, size_bytes: int) -> FileStat:
    return FileStat(type=kind, size_bytes=size_bytes, mode=mode, uid=0, gid=0, mtime_s=0)


def _fits(name: str, pattern: str) -> bool:
    """As the shell does it: a leading dot has to be named."""
    return fnmatchcase(name, pattern) and (pattern.startswith(".") or not name.startswith("."))


def _not_a_file(path: str) -> GuestError:
    return GuestError(f'"{path}" in the guest is not a regular file.', hint=LOOK)
