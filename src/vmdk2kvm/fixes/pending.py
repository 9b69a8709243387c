"""The guest as it will be after the changes planned so far.

Every fix plans against this view, so the order of the catalog is the order of effect. What an
opaque change may write is unknown until it ran: reading it here is a mistake in the catalog's
order and raises UnknownAfter.
"""

import hashlib
import io
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from fnmatch import fnmatchcase
from typing import BinaryIO

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Made
from vmdk2kvm.guest.paths import parent, resolve
from vmdk2kvm.guest.protocol import TEXT_ENCODING, TEXT_ERRORS, FileStat, FileType, GuestReader
from vmdk2kvm.model.changes import (
    AppendInitramfs,
    Change,
    CopyWithin,
    MakeSymlink,
    RemoveFile,
    RemoveLink,
    SetLabel,
    WriteFile,
)
from vmdk2kvm.model.units import MIB


class UnknownAfter(RuntimeError):
    """A fix asked for what an earlier opaque change may have written."""

    def __init__(self, path: str, prefix: str) -> None:
        super().__init__(f'"{path}" is not known: an earlier change may write "{prefix}"')
        self.path = path


class PendingGuest:
    """A GuestReader: `base` with planned changes on top."""

    def __init__(self, base: GuestReader) -> None:
        self._base = base
        self._files: dict[str, tuple[bytes, int]] = {}  # place -> content, mode of a new file
        self._links: dict[str, str] = {}
        self._removed: set[str] = set()
        self._unknown: list[str] = []
        self._runs_programs = False
        self._base_targets: dict[str, str | None] = {}

    def add(self, change: Change, may_write: tuple[str, ...] = ()) -> None:
        """Show `change` from now on; `may_write` are the path prefixes an opaque one touches."""
        match change:
            case WriteFile():
                self._files[self._real(change.path)] = (change.after, change.mode)
                self._removed.discard(self._real(change.path))
            case RemoveFile():
                place = self._place(change.path)
                self._files.pop(place, None)
                self._removed.add(place)
            case MakeSymlink():
                self._links[self._place(change.path)] = change.target
            case RemoveLink():
                self._links.pop(self._place(change.path), None)
                self._removed.add(self._place(change.path))
            case CopyWithin():
                content, mode = self.read_bytes(change.source), self._mode(change.source)
                self._files[self._place(change.path)] = (content, mode)
                self._removed.discard(self._place(change.path))
            case AppendInitramfs():
                self._unknown.append(change.path)  # an image that its planner alone reads
            case SetLabel():
                pass  # no planner asks for labels
            case _:
                self._runs_programs = True
                self._unknown.extend(may_write)

    def matches(self, change: Change) -> bool:
        """Whether an exact change's `before` is what stands here now."""
        try:
            match change:
                case WriteFile() | RemoveFile():
                    return self._content(change.path) == change.before
                case MakeSymlink() | RemoveLink():
                    return self._link(change.path) == change.before
                case CopyWithin():
                    return self._is_free(change.path) and self._sha256(change.source) == change.sha256
                case AppendInitramfs():
                    return self._sum(change.path) == change.before_sha256
                case SetLabel():
                    return change.path in {one.path for one in self.made()}
                case _:
                    return True
        except GuestError:  # something of another kind stands there
            return False

    # PlannedGuest

    def made(self) -> tuple[Made, ...]:
        """Edits come before programs, so this holds whatever is unknown by now."""
        found = [
            Made(path=place, type=FileType.REGULAR, mode=mode)
            for place, (_, mode) in self._files.items()
            if not self._stood(place)
        ]
        found += [Made(path=place, type=FileType.SYMLINK, mode=0o777) for place in self._links]
        folders = {folder for one in found for folder in _above(one.path) if not self._stood(folder)}
        found += [Made(path=folder, type=FileType.DIRECTORY, mode=0o755) for folder in folders]
        return tuple(sorted(found, key=lambda one: one.path))

    def runs_programs(self) -> bool:
        return self._runs_programs

    def _stood(self, place: str) -> bool:
        try:
            self._base.stat(place)
        except FileNotFoundError:
            return False
        return True

    # GuestReader

    def read_bytes(self, path: str) -> bytes:
        real = self._known(path)
        return self._files[real][0] if real in self._files else self._base.read_bytes(self._there(real, path))

    def read_text(self, path: str) -> str:
        return self.read_bytes(path).decode(TEXT_ENCODING, TEXT_ERRORS)

    def open(self, path: str) -> AbstractContextManager[BinaryIO]:
        real = self._known(path)
        if real in self._files:
            return _open_bytes(self._files[real][0])
        return self._base.open(self._there(real, path))

    def exists(self, path: str) -> bool:
        try:
            real = self._known(path)
        except GuestError:  # a circle of links leads nowhere
            return False
        if real in self._removed:
            return False
        return real in self._files or self._holds_planned(real) or self._base.exists(real)

    def stat(self, path: str) -> FileStat:
        place = self._known(path, follow_last=False)
        if place in self._links:
            return _stat(FileType.SYMLINK, len(self._links[place]), 0o777)
        if place not in self._files:
            return self._base.stat(self._there(place, path))
        content, mode = self._files[place]
        if not self._base.exists(place):
            return _stat(FileType.REGULAR, len(content), mode)
        old = self._base.stat(place)
        return FileStat(
            type=old.type,
            size_bytes=len(content),
            mode=old.mode,
            uid=old.uid,
            gid=old.gid,
            mtime_s=old.mtime_s,
        )

    def readlink(self, path: str) -> str:
        place = self._known(path, follow_last=False)
        if place in self._links:
            return self._links[place]
        return self._base.readlink(self._there(place, path))

    def realpath(self, path: str) -> str:
        real = self._known(path)
        if not self.exists(real):
            raise FileNotFoundError(path)
        return real

    def glob(self, pattern: str) -> tuple[str, ...]:
        self._known_pattern(pattern)
        found = {path for path in self._base.glob(pattern) if self._place(path) not in self._removed}
        planned = (path for path in (*self._files, *self._links) if _fits(path, pattern))
        return tuple(sorted(found.union(planned)))

    def list_tree(self, path: str) -> tuple[str, ...]:
        self._known_pattern(path.rstrip("/") + "/*")
        if not self.exists(path):
            return ()
        real = self._real(path).rstrip("/") + "/"
        asked = path.rstrip("/") + "/"
        found = {file for file in self._base.list_tree(path) if self._place(file) not in self._removed}
        planned = (asked + file.removeprefix(real) for file in self._files if file.startswith(real))
        return tuple(sorted(found.union(planned)))

    # resolution

    def _target_of(self, path: str) -> str | None:
        if path in self._links:
            return self._links[path]
        if path in self._files or path in self._removed:
            return None
        if path not in self._base_targets:
            self._base_targets[path] = _base_target(self._base, path)
        return self._base_targets[path]

    def _real(self, path: str) -> str:
        return resolve(path, self._target_of)

    def _place(self, path: str) -> str:
        return resolve(path, self._target_of, follow_last=False)

    def _known(self, path: str, *, follow_last: bool = True) -> str:
        place = resolve(path, self._target_of, follow_last=follow_last)
        for prefix in self._unknown:
            if place.startswith(prefix) or path.startswith(prefix):
                raise UnknownAfter(path, prefix)
        return place

    def _known_pattern(self, pattern: str) -> None:
        fixed = pattern
        for wildcard in "*?[":
            fixed = fixed.partition(wildcard)[0]
        for prefix in self._unknown:
            if fixed.startswith(prefix) or prefix.startswith(fixed):
                raise UnknownAfter(pattern, prefix)

    def _there(self, place: str, asked: str) -> str:
        if place in self._removed:
            raise FileNotFoundError(asked)
        return place

    def _holds_planned(self, folder: str) -> bool:
        return any(path.startswith(folder.rstrip("/") + "/") for path in (*self._files, *self._links))

    def _content(self, path: str) -> bytes | None:
        """What a file holds, None where nothing stands."""
        try:
            return self.read_bytes(path)
        except FileNotFoundError:
            return None

    def _sha256(self, path: str) -> str | None:
        content = self._content(path)
        return None if content is None else hashlib.sha256(content).hexdigest()

    def _sum(self, path: str) -> str | None:
        """The SHA-256 of a file of any size, None where nothing stands."""
        digest = hashlib.sha256()
        try:
            with self.open(path) as stream:
                while piece := stream.read(MIB):
                    digest.update(piece)
        except FileNotFoundError:
            return None
        return digest.hexdigest()

    def _is_free(self, path: str) -> bool:
        try:
            self.stat(path)
        except FileNotFoundError:
            return True
        return False

    def _mode(self, path: str) -> int:
        return self.stat(self.realpath(path)).mode

    def _link(self, path: str) -> str | None:
        try:
            return self.readlink(path)
        except FileNotFoundError:
            return None


def _base_target(base: GuestReader, path: str) -> str | None:
    try:
        return base.readlink(path) if base.stat(path).type is FileType.SYMLINK else None
    except FileNotFoundError:
        return None


def _above(path: str) -> Iterator[str]:
    while (path := parent(path)) != "/":
        yield path


@contextmanager
def _open_bytes(content: bytes) -> Iterator[BinaryIO]:
    yield io.BytesIO(content)


def _stat(kind: FileType, size_bytes: int, mode: int) -> FileStat:
    return FileStat(type=kind, size_bytes=size_bytes, mode=mode, uid=0, gid=0, mtime_s=0)


def _fits(path: str, pattern: str) -> bool:
    names, parts = path.split("/"), pattern.split("/")
    return len(names) == len(parts) and all(map(_name_fits, names, parts))


def _name_fits(name: str, part: str) -> bool:
    return fnmatchcase(name, part) and (part.startswith(".") or not name.startswith("."))
