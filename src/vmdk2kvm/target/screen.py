"""What stands on a guest's screen, as text.

Two cases. In VGA text mode the characters lie in memory at 0xb8000, one byte of code page 437
and one of colour each. With a frame buffer they are drawn in cells of 8x16. The VGA BIOS draws with
the font it holds; Linux's console draws with one that differs in a few letters, and QEMU draws its
own consoles with that. So both fonts are on every host that runs QEMU, and each cell is compared
with their glyphs, bit for bit. A cell that matches none reads as "?".
"""

import functools
import mmap
import re
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.tools import run
from vmdk2kvm.tools.qemu_system import PROGRAM

GLYPH_HEIGHT = 16
GLYPH_WIDTH = 8
FONT_BYTES = 256 * GLYPH_HEIGHT

VGA_TEXT_ADDRESS = 0xB8000
VGA_TEXT_BYTES = 32768  # the console scrolls by moving its start within this window
VGA_TEXT_COLUMNS = 80

# Glyphs 0 (blank) and 1 (a smiling face) of the VGA's font: where they stand, the font starts.
_FONT_START = bytes(GLYPH_HEIGHT) + bytes.fromhex("00007e81a58181bd9981817e00000000")
_VGA_BIOSES = (
    Path("/usr/share/seabios/vgabios-stdvga.bin"),  # Debian, Ubuntu
    Path("/usr/share/seavgabios/vgabios-stdvga.bin"),  # Fedora, RHEL
    Path("/usr/share/qemu/vgabios-stdvga.bin"),  # SUSE, Arch, QEMU's own build
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """Pixels row by row, three bytes each (R, G, B)."""

    width: int
    height: int
    pixels: bytes

    @property
    def is_text_mode(self) -> bool:
        """QEMU draws VGA text mode with cells nine pixels wide: 80x25 is 720x400."""
        return (self.width, self.height) == (9 * VGA_TEXT_COLUMNS, 25 * GLYPH_HEIGHT)


class BadPicture(ValueError):
    pass


def parse_ppm(content: bytes) -> Picture:
    """A binary PPM (P6, depth 255) as QEMU's screendump writes it. Raises BadPicture."""
    header = re.match(rb"P6\s+(\d{1,5})\s+(\d{1,5})\s+255\s", content)
    if header is None:
        raise BadPicture("not a binary PPM of depth 255")
    width, height = int(header[1]), int(header[2])
    pixels = content[header.end() :]
    if len(pixels) != width * height * 3:
        raise BadPicture(f"{len(pixels)} bytes of pixels for {width}x{height}")
    return Picture(width=width, height=height, pixels=pixels)


def render_png(picture: Picture) -> bytes:
    """The picture as PNG (ISO/IEC 15948): true colour, no filter."""
    stride = picture.width * 3
    rows = (b"\0" + picture.pixels[at : at + stride] for at in range(0, len(picture.pixels), stride))
    header = struct.pack(">IIBBBBB", picture.width, picture.height, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 6)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(kind, body) for kind, body in chunks)


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def find_font(program: bytes | mmap.mmap) -> bytes | None:
    """The 8x16 font inside a program: 256 glyphs of 16 rows; None when it holds none."""
    start = program.find(_FONT_START)
    font = program[start : start + FONT_BYTES] if start >= 0 else b""
    return font if len(font) == FONT_BYTES else None


@functools.cache
def read_fonts() -> tuple[bytes, ...]:
    """The fonts of this host's VGA BIOS and of its QEMU, as far as they are there."""
    qemu = run.find(PROGRAM)
    bios = next((path for path in _VGA_BIOSES if path.is_file()), None)
    fonts = (_read_font(path) for path in (qemu, bios) if path is not None)
    return tuple(font for font in fonts if font is not None)


def _read_font(path: Path) -> bytes | None:
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as program:
        return find_font(program)


def read_text_memory(memory: bytes) -> str:
    """VGA text memory as lines, blank ones at the end dropped."""
    characters = memory[::2].replace(b"\0", b" ").decode("cp437")
    rows = range(0, len(characters), VGA_TEXT_COLUMNS)
    return _join(characters[at : at + VGA_TEXT_COLUMNS] for at in rows)


class GlyphReader:
    """Reads 8x16 cells. It remembers cells it has seen: nearly all of a screen is the same few."""

    def __init__(self, fonts: Sequence[bytes]) -> None:
        # Three glyphs are blank (0, 32 and 255): that is a space. Else the first one wins.
        self._glyphs: dict[bytes, str] = {bytes(GLYPH_HEIGHT): " "}
        for font in fonts:
            for code in range(256):
                glyph = font[code * GLYPH_HEIGHT : (code + 1) * GLYPH_HEIGHT]
                self._glyphs.setdefault(glyph, bytes([code]).decode("cp437"))
        self._seen: dict[bytes, str] = {}

    def read(self, picture: Picture) -> str:
        """The text on a frame buffer console; "" when the picture shows something else."""
        rows = range(0, picture.height - GLYPH_HEIGHT + 1, GLYPH_HEIGHT)
        return _join(self._read_row(picture, top) for top in rows)

    def _read_row(self, picture: Picture, top: int) -> str:
        stride = picture.width * 3
        lines = [picture.pixels[(top + y) * stride : (top + y + 1) * stride] for y in range(GLYPH_HEIGHT)]
        width = GLYPH_WIDTH * 3
        starts = range(0, stride - width + 1, width)
        return "".join(self._read_cell(b"".join(line[at : at + width] for line in lines)) for at in starts)

    def _read_cell(self, cell: bytes) -> str:
        if (known := self._seen.get(cell)) is None:
            known = self._seen[cell] = self._match(cell)
            if len(self._seen) > 20000:  # a picture, not text: do not grow with it
                self._seen.clear()
        return known

    def _match(self, cell: bytes) -> str:
        pixels = [cell[at : at + 3] for at in range(0, len(cell), 3)]
        if len(set(pixels)) > 2:
            return "?"
        for background in sorted(set(pixels), key=lambda colour: colour != pixels[0]):
            if (glyph := _bits(pixels, background)) in self._glyphs:
                return self._glyphs[glyph]
        return "?"


def _bits(pixels: list[bytes], background: bytes) -> bytes:
    rows = (pixels[at : at + GLYPH_WIDTH] for at in range(0, len(pixels), GLYPH_WIDTH))
    return bytes(int("".join("0" if pixel == background else "1" for pixel in row), 2) for row in rows)


def _join(rows: Iterable[str]) -> str:
    return "\n".join(row.rstrip() for row in rows).rstrip("\n")
