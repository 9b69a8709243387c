"""Reading one configuration file of a guest for an edit, within bounds."""

from dataclasses import dataclass

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import TEXT_ENCODING, TEXT_ERRORS, FileType, GuestReader
from vmdk2kvm.model.changes import WriteFile
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.model.units import MIB, format_bytes

LIMIT_BYTES = MIB  # far above any real one; a larger file is not what its name says


@dataclass(frozen=True, slots=True, kw_only=True)
class GuestText:
    path: str
    text: str
    before: bytes


def read_guest_text(
    guest: GuestReader, path: str, *, limit_bytes: int = LIMIT_BYTES
) -> GuestText | Finding | None:
    """None where nothing stands at `path`; a Finding where it is a link, no regular file, or too large."""
    try:
        stat = guest.stat(path)
        if stat.type is not FileType.REGULAR:
            return _unread(path, f"it is a {stat.type.value}, not a regular file")
        if stat.size_bytes > limit_bytes:
            return _unread(
                path, f"it holds {format_bytes(stat.size_bytes)}, over {format_bytes(limit_bytes)}"
            )
        before = guest.read_bytes(path)
    except FileNotFoundError:
        return None
    except GuestError as error:
        return _unread(path, error.message)
    return GuestText(path=path, text=before.decode(TEXT_ENCODING, TEXT_ERRORS), before=before)


def read_linked_text(
    guest: GuestReader, path: str, *, limit_bytes: int = LIMIT_BYTES
) -> GuestText | Finding | None:
    """The same, for files that distributions keep elsewhere behind a link; the path is the real one."""
    try:
        real = guest.realpath(path)
    except FileNotFoundError:
        return None
    except GuestError as error:
        return _unread(path, error.message)
    return read_guest_text(guest, real, limit_bytes=limit_bytes)


def stands(guest: GuestReader, path: str) -> bool:
    """Whether anything is there, a link that leads nowhere included."""
    try:
        guest.stat(path)
    except FileNotFoundError:
        return False
    except GuestError:
        return True
    return True


def with_text(file: GuestText, text: str) -> WriteFile:
    return WriteFile(path=file.path, before=file.before, after=text.encode(TEXT_ENCODING, TEXT_ERRORS))


def unparsed(path: str, error: GuestError, *, prefix: str, level: Level) -> Finding:
    """What a parser could not read stays as it is."""
    return Finding(
        id=f"{prefix}-unparsed",
        level=level,
        message=f'"{visible(path)}" in the guest was left as it is: {error.message}',
        remedy=error.hint,
    )


def _unread(path: str, why: str) -> Finding:
    return Finding(
        id="file-left-unread",
        level=Level.ERROR,
        message=f'"{visible(path)}" in the guest was left as it is: {why.rstrip(".")}.',
        remedy="look at the file in the guest; device names of VMware's in it have to be replaced by hand.",
    )
