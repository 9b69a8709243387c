"""The descriptor of a VMware disk: a small text that names the extents and the parent.

Specification: VMware, Virtual Disk Format 5.0, "The Descriptor File". Read strictly, because a
descriptor comes from a stranger and names files: a line ends at \\n or \\r\\n and nowhere else
(readers that also split at \\v, U+0085 or U+2028 see extents that others do not), control
characters are refused, and a key that decides what is read may stand only once.
"""

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import NoReturn

from vmdk2kvm.errors import DescriptorError
from vmdk2kvm.model.disk import ExtentType

MAX_BYTES = 1024 * 1024
NO_PARENT = 0xFFFFFFFF
_MAX_SECTORS = 2**47  # 64 PiB; VMware ends at 62 TiB
_MAX_EXTENTS = 4096

_WHOLE_COPY = "copy the disk's files from VMware again, or repair the descriptor."


class CreateType(Enum):
    MONOLITHIC_SPARSE = "monolithicSparse"
    MONOLITHIC_FLAT = "monolithicFlat"
    TWO_GB_SPARSE = "twoGbMaxExtentSparse"
    TWO_GB_FLAT = "twoGbMaxExtentFlat"
    STREAM_OPTIMIZED = "streamOptimized"
    VMFS = "vmfs"
    VMFS_SPARSE = "vmfsSparse"
    SE_SPARSE = "seSparse"


_CREATE_TYPES = {
    **{kind.value.lower(): kind for kind in CreateType},
    # The first editions of the specification wrote the digit.
    "2gbmaxextentsparse": CreateType.TWO_GB_SPARSE,
    "2gbmaxextentflat": CreateType.TWO_GB_FLAT,
}

_PHYSICAL = frozenset(
    {"fulldevice", "partitioneddevice", "vmfsraw", "vmfsrawdevicemap", "vmfspassthroughrawdevicemap"}
)

_ALLOWED_EXTENTS = {
    CreateType.MONOLITHIC_SPARSE: {ExtentType.SPARSE},
    CreateType.MONOLITHIC_FLAT: {ExtentType.FLAT, ExtentType.ZERO},
    CreateType.TWO_GB_SPARSE: {ExtentType.SPARSE, ExtentType.ZERO},
    CreateType.TWO_GB_FLAT: {ExtentType.FLAT, ExtentType.ZERO},
    CreateType.STREAM_OPTIMIZED: {ExtentType.SPARSE},
    CreateType.VMFS: {ExtentType.VMFS, ExtentType.FLAT, ExtentType.ZERO},
    CreateType.VMFS_SPARSE: {ExtentType.VMFSSPARSE},
    CreateType.SE_SPARSE: {ExtentType.SESPARSE},
}

# Character sets in which every byte below 0x80 that can end a line or quote a name is ASCII.
_ISO = frozenset(f"iso-8859-{part}" for part in (1, 2, 5, 9, 15))
_WINDOWS = frozenset(f"windows-{page}" for page in range(1250, 1259))
_ASIAN = frozenset({"gbk", "gb2312", "gb18030", "big5", "shift_jis", "euc-jp", "euc-kr"})
_ENCODINGS = frozenset({"utf-8", "us-ascii", "koi8-r"}) | _ISO | _WINDOWS | _ASIAN

# What Windows means by these names is the larger set.
_CODECS = {"gbk": "gb18030", "gb2312": "gb18030", "big5": "cp950", "shift_jis": "cp932", "euc-kr": "cp949"}


class Access(Enum):
    RW = "RW"
    RDONLY = "RDONLY"
    NOACCESS = "NOACCESS"


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """One extent line; `filename` is None for ZERO only, and is a stranger's word, not yet a path."""

    access: Access
    size_sectors: int
    type: ExtentType
    filename: str | None = None
    offset_sectors: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Descriptor:
    """A descriptor's content. `settings` are the header keys not named here, `ddb` the disk data base."""

    version: int
    cid: int
    parent_cid: int | None
    create_type: CreateType
    extents: tuple[Extent, ...]
    parent_file_name_hint: str | None = None
    encoding: str | None = None
    settings: tuple[tuple[str, str], ...] = ()
    ddb: tuple[tuple[str, str], ...] = ()

    @property
    def size_sectors(self) -> int:
        return sum(extent.size_sectors for extent in self.extents)


_FIRST_LINE = re.compile(rb"\A(?:\xef\xbb\xbf)?[ \t]*#[ \t]*disk[ \t]*descriptor[ \t]*file", re.IGNORECASE)
_ENCODING_LINE = re.compile(rb'[ \t]*encoding[ \t]*=[ \t]*"?([^"]*?)"?[ \t]*', re.IGNORECASE)
_EXTENT_START = re.compile(r"(?:rw|rdonly|noaccess)[ \t]", re.IGNORECASE)
_EXTENT = re.compile(r'(\w+)[ \t]+([0-9]{1,18})[ \t]+(\w+)(?:[ \t]+"([^"]+)"(?:[ \t]+([0-9]{1,18}))?)?')
_SETTING = re.compile(r"([A-Za-z_][\w.:/-]*)[ \t]*=[ \t]*(.*)")
_HEX = re.compile(r"[0-9A-Fa-f]{1,8}")
_NAMED_KEYS = frozenset({"version", "cid", "parentcid", "createtype", "parentfilenamehint", "encoding"})


def parse(data: bytes, *, path: Path) -> Descriptor:
    """Read a descriptor; `path` is only named in errors. Raises DescriptorError."""
    return _Reader(path).read(data)


def looks_like_descriptor(data: bytes) -> bool:
    """Whether a file that starts with `data` claims to be a descriptor."""
    return _FIRST_LINE.match(data) is not None


def render(descriptor: Descriptor) -> bytes:
    """The descriptor as VMware writes it. Raises ValueError for a name that would break its line."""
    for name in (descriptor.parent_file_name_hint, *(extent.filename for extent in descriptor.extents)):
        if name is not None and any(char in name for char in '"\r\n'):
            raise ValueError(name)
    lines = [
        "# Disk DescriptorFile",
        f"version={descriptor.version}",
        *([f'encoding="{descriptor.encoding}"'] if descriptor.encoding else []),
        f"CID={descriptor.cid:08x}",
        f"parentCID={NO_PARENT if descriptor.parent_cid is None else descriptor.parent_cid:08x}",
        f'createType="{descriptor.create_type.value}"',
    ]
    if descriptor.parent_file_name_hint is not None:
        lines.append(f'parentFileNameHint="{descriptor.parent_file_name_hint}"')
    lines += [f'{key}="{value}"' for key, value in descriptor.settings]
    lines += ["", "# Extent description", *map(_render_extent, descriptor.extents)]
    lines += ["", "# The Disk Data Base", "#DDB", ""]
    lines += [f'{key} = "{value}"' for key, value in descriptor.ddb]
    text = "\n".join(lines) + "\n"
    return (
        text.encode(_codec(descriptor.encoding))
        if descriptor.encoding
        else text.encode("utf-8", "surrogateescape")
    )


def _codec(encoding: str) -> str:
    return _CODECS.get(encoding.lower(), encoding)


def _render_extent(extent: Extent) -> str:
    line = f"{extent.access.value} {extent.size_sectors} {extent.type.value}"
    if extent.filename is not None:
        line += f' "{extent.filename}"'
    has_offset = extent.type is ExtentType.FLAT or extent.offset_sectors
    return f"{line} {extent.offset_sectors}" if has_offset else line


class _Reader:
    """Reads one descriptor; carries the path and the line for the error."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._settings: dict[str, str] = {}  # by lower-case key
        self._others: list[tuple[str, str]] = []
        self._ddb: list[tuple[str, str]] = []
        self._extents: list[tuple[int, str]] = []

    def read(self, data: bytes) -> Descriptor:
        if len(data) > MAX_BYTES:
            self._refuse("is a descriptor of more than 1 MiB", hint=_WHOLE_COPY)
        if not looks_like_descriptor(data):
            self._refuse(
                "is not a VMDK descriptor",
                hint='give the descriptor: the small .vmdk file that starts with "# Disk DescriptorFile".',
            )
        # Writers fill the room kept for a descriptor with NUL bytes; any other NUL is refused below.
        encoding, lines = self._decode(data.removeprefix(b"\xef\xbb\xbf").rstrip(b"\0"))
        for number, line in enumerate(lines, 1):
            self._take(number, line.strip(" \t"))
        if any(key.lower().startswith("encryption") for key, _ in self._others):
            self._refuse("is encrypted", hint="remove the encryption in VMware, then copy the disk again.")
        create_type = self._create_type()
        parent_cid = self._cid("parentCID")
        return Descriptor(
            version=self._version(),
            cid=self._cid("CID"),
            parent_cid=None if parent_cid == NO_PARENT else parent_cid,
            create_type=create_type,
            extents=self._read_extents(create_type),
            parent_file_name_hint=self._settings.get("parentfilenamehint"),
            encoding=encoding,
            settings=tuple(self._others),
            ddb=tuple(self._ddb),
        )

    def _decode(self, data: bytes) -> tuple[str | None, list[str]]:
        raw_lines = [line.removesuffix(b"\r") for line in data.split(b"\n")]
        encoding = self._encoding(raw_lines)
        # Without a declared encoding a name is taken as the bytes the file system knows it by.
        codec, on_error = (_codec(encoding), "strict") if encoding else ("utf-8", "surrogateescape")
        lines = []
        for number, raw in enumerate(raw_lines, 1):
            try:
                line = raw.decode(codec, on_error)
            except UnicodeDecodeError as error:
                self._refuse(f"is not in its declared encoding {codec}", line=number, cause=error)
            self._check_characters(number, line)
            lines.append(line)
        return encoding, lines

    def _encoding(self, raw_lines: list[bytes]) -> str | None:
        found = [match[1] for line in raw_lines if (match := _ENCODING_LINE.fullmatch(line))]
        if not found:
            return None
        name = found[0].decode("ascii", "replace")
        if len(found) > 1 or name.lower() not in _ENCODINGS:
            self._refuse(f'declares the encoding "{name}", which is not known here or stands twice')
        return name

    def _check_characters(self, number: int, line: str) -> None:
        for char in line:
            if unicodedata.category(char) in {"Cc", "Zl", "Zp"} and char != "\t":
                self._refuse(f"holds the control character U+{ord(char):04X}", line=number)

    def _take(self, number: int, line: str) -> None:
        if not line or line.startswith("#"):
            return
        if _EXTENT_START.match(line):
            self._extents.append((number, line))
        elif setting := _SETTING.fullmatch(line):
            self._take_setting(number, setting[1], setting[2])
        else:
            self._refuse("holds a line that is neither a setting nor an extent", line=number)

    def _take_setting(self, number: int, key: str, value: str) -> None:
        if value.startswith('"'):
            if len(value) < 2 or not value.endswith('"'):
                self._refuse(f'leaves the quote of "{key}" open', line=number)
            value = value[1:-1]
        lower = key.lower()
        if lower.startswith("ddb."):
            self._ddb.append((key, value))
        elif lower not in _NAMED_KEYS:
            self._others.append((key, value))
        elif lower in self._settings:
            self._refuse(f'sets "{key}" twice', line=number)
        else:
            self._settings[lower] = value

    def _setting(self, key: str) -> str:
        value = self._settings.get(key.lower())
        if value is None:
            self._refuse(f'has no "{key}"')
        return value

    def _version(self) -> int:
        text = self._setting("version")
        if text not in {"1", "2", "3", "4"}:
            self._refuse(f'has the version "{text}"; versions 1 to 4 are known')
        return int(text)

    def _cid(self, key: str) -> int:
        text = self._setting(key)
        if not _HEX.fullmatch(text):
            self._refuse(f'has the {key} "{text}", which is not a number of at most 8 hexadecimal digits')
        return int(text, 16)

    def _create_type(self) -> CreateType:
        text = self._setting("createType")
        if text.lower() in _PHYSICAL:
            self._refuse(
                f'points to a physical disk (createType "{text}")',
                hint="clone the disk to a virtual one in VMware, then give that one.",
            )
        kind = _CREATE_TYPES.get(text.lower())
        if kind is None:
            self._refuse(
                f'has the createType "{text}", which is not known',
                hint="clone the disk in VMware (`vmkfstools -i`, `vmware-vdiskmanager -r`), then give that.",
            )
        return kind

    def _read_extents(self, create_type: CreateType) -> tuple[Extent, ...]:
        if not self._extents:
            self._refuse("names no extent")
        if len(self._extents) > _MAX_EXTENTS:
            self._refuse(f"names more than {_MAX_EXTENTS} extents")
        extents = tuple(self._read_extent(number, line, create_type) for number, line in self._extents)
        if sum(extent.size_sectors for extent in extents) > _MAX_SECTORS:
            self._refuse("describes a disk of more than 64 PiB")
        return extents

    def _read_extent(self, number: int, line: str, create_type: CreateType) -> Extent:
        match = _EXTENT.fullmatch(line)
        if match is None:
            self._refuse("holds an extent line that cannot be read", line=number)
        access, size, kind, filename, offset = match.groups()
        if kind.upper() not in ExtentType.__members__:
            self._refuse(f'names an extent of the type "{kind}", which is not known', line=number)
        extent = Extent(
            access=Access(access.upper()),
            size_sectors=int(size),
            type=ExtentType(kind.upper()),
            filename=filename,
            offset_sectors=int(offset or 0),
        )
        self._check_extent(number, extent, create_type, has_offset=offset is not None)
        return extent

    def _check_extent(
        self, number: int, extent: Extent, create_type: CreateType, *, has_offset: bool
    ) -> None:
        if extent.type not in _ALLOWED_EXTENTS[create_type]:
            self._refuse(
                f"holds a {extent.type.value} extent in a disk of the type {create_type.value}", line=number
            )
        if extent.access is Access.NOACCESS:
            self._refuse("holds an extent that may not be read (NOACCESS)", line=number)
        if not 0 < extent.size_sectors <= _MAX_SECTORS or extent.offset_sectors > _MAX_SECTORS:
            self._refuse("holds an extent of an impossible size", line=number)
        if (extent.filename is None) != (extent.type is ExtentType.ZERO):
            self._refuse(
                "holds an extent with a file where none belongs, or none where one does", line=number
            )
        if has_offset and extent.type not in {ExtentType.FLAT, ExtentType.VMFS}:
            self._refuse(f"holds a {extent.type.value} extent with an offset", line=number)

    def _refuse(
        self, what: str, *, line: int | None = None, hint: str = _WHOLE_COPY, cause: Exception | None = None
    ) -> NoReturn:
        where = f" (line {line})" if line else ""
        shown = what.encode("utf-8", "backslashreplace").decode()
        raise DescriptorError(
            f'"{self._path}"{where} {shown}.', hint=hint, path=self._path, line=line
        ) from cause
