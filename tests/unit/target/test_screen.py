"""Text is read off a picture bit for bit: the pictures here are drawn with a font of our own."""

import struct
import zlib

import pytest

from vmdk2kvm.target.screen import (
    BadPicture,
    GlyphReader,
    Picture,
    find_font,
    parse_ppm,
    read_text_memory,
    render_png,
)

SMILE = bytes.fromhex("00007e81a58181bd9981817e00000000")
GREY, BLACK, RED = b"\xaa\xaa\xaa", b"\0\0\0", b"\xff\0\0"


def make_font() -> bytes:
    """256 different glyphs; blank, space and no-break space look alike, as in the VGA's font."""
    glyphs = [bytes([code, code ^ 0x5A, 0x3C]) + bytes(13) for code in range(256)]
    glyphs[0] = glyphs[32] = glyphs[255] = bytes(16)
    glyphs[1] = SMILE
    return b"".join(glyphs)


FONT = make_font()


def draw(lines: list[str], columns: int, ink: bytes = GREY, paper: bytes = BLACK) -> Picture:
    rows = []
    for line in lines:
        codes = line.ljust(columns).encode("cp437")
        for y in range(16):
            bits = "".join(f"{FONT[code * 16 + y]:08b}" for code in codes)
            rows.append(b"".join(ink if bit == "1" else paper for bit in bits))
    return Picture(width=columns * 8, height=len(lines) * 16, pixels=b"".join(rows))


def test_drawn_text_is_read_back() -> None:
    lines = ["(initramfs) ", "ALERT!  /dev/sda1 does not exist.", "", "grub rescue> ~|\u2588"]
    text = GlyphReader([FONT]).read(draw(lines, 40))
    assert text == "\n".join(line.rstrip() for line in lines)


@pytest.mark.parametrize(("ink", "paper"), [(RED, BLACK), (BLACK, GREY), (RED, GREY)])
def test_any_two_colours_will_do(ink: bytes, paper: bytes) -> None:
    assert GlyphReader([FONT]).read(draw(["dracut:/#"], 12, ink, paper)) == "dracut:/#"


def test_one_wrong_pixel_is_not_guessed_at() -> None:
    picture = draw(["ok"], 2)
    at = (15 * picture.width + 7) * 3  # the last row of "o"
    pixels = picture.pixels[:at] + GREY + picture.pixels[at + 3 :]
    assert GlyphReader([FONT]).read(Picture(width=16, height=16, pixels=pixels)) == "?k"


def test_three_colours_are_no_text() -> None:
    picture = draw(["x"], 1)
    pixels = RED + picture.pixels[3:]
    assert GlyphReader([FONT]).read(Picture(width=8, height=16, pixels=pixels)) == "?"


def test_rows_and_columns_that_do_not_fill_a_cell_are_left_out() -> None:
    whole = draw(["hi"], 2)
    stride = whole.width * 3
    rows = [whole.pixels[y * stride : (y + 1) * stride] + BLACK * 3 for y in range(16)]
    picture = Picture(width=19, height=18, pixels=b"".join(rows) + BLACK * 38)
    assert GlyphReader([FONT]).read(picture) == "hi"


def test_a_second_font_knows_the_letters_the_first_one_draws_otherwise() -> None:
    other = bytearray(FONT)
    other[ord("m") * 16 : ord("m") * 16 + 16] = b"\x81" * 16
    picture = draw(["initramfs"], 9)
    assert GlyphReader([bytes(other)]).read(picture) == "initra?fs"
    assert GlyphReader([bytes(other), FONT]).read(picture) == "initramfs"


def test_the_font_is_found_by_its_first_glyphs() -> None:
    assert find_font(b"\x55\xaa" + b"\x07" * 999 + FONT + b"\x01" * 99) == FONT
    assert find_font(b"\x55\xaa" * 4000) is None
    assert find_font(FONT[:-1]) is None


def test_text_memory_is_every_other_byte() -> None:
    rows = ["grub rescue> ", "", "caf\u00e9"]
    memory = b"".join(bytes([code, 7]) for row in rows for code in row.ljust(80).encode("cp437"))
    assert read_text_memory(memory + bytes(160 * 3)) == "grub rescue>\n\ncaf\u00e9"


def test_a_ppm_is_read() -> None:
    picture = parse_ppm(b"P6\n2 1\n255\n" + GREY + RED)
    assert picture == Picture(width=2, height=1, pixels=GREY + RED)
    assert not picture.is_text_mode


def test_text_mode_is_known_by_its_size() -> None:
    assert parse_ppm(b"P6\n720 400\n255\n" + bytes(720 * 400 * 3)).is_text_mode


@pytest.mark.parametrize(
    "content",
    [b"", b"P5\n2 1\n255\n" + bytes(6), b"P6\n2 1\n255\n" + bytes(5), b"P6\n2 1\n65535\n" + bytes(12)],
)
def test_what_is_no_ppm_is_refused(content: bytes) -> None:
    with pytest.raises(BadPicture):
        parse_ppm(content)


def test_the_png_holds_the_pixels() -> None:
    picture = Picture(width=2, height=2, pixels=GREY + RED + BLACK + GREY)
    png = render_png(picture)
    assert png.startswith(b"\x89PNG\r\n\x1a\n")
    chunks, at = {}, 8
    while at < len(png):
        size, kind = struct.unpack(">I4s", png[at : at + 8])
        body = png[at + 8 : at + 8 + size]
        assert struct.unpack(">I", png[at + 8 + size : at + 12 + size])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += size + 12
    assert struct.unpack(">IIBBBBB", chunks[b"IHDR"]) == (2, 2, 8, 2, 0, 0, 0)
    assert zlib.decompress(chunks[b"IDAT"]) == b"\0" + GREY + RED + b"\0" + BLACK + GREY
