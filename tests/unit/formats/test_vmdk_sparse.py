import contextlib
import struct
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.guests import vmdk_writer as writer
from vmdk2kvm.errors import DescriptorError, ExtentError, SourceDiskError
from vmdk2kvm.formats import vmdk_sesparse, vmdk_sparse

PATH = Path("/vm/disk.vmdk")
CONTENT = (
    bytes(range(256)) * 2 * 8192 + bytes(600 * 512) + b"end".ljust(512, b".")
)  # 4 MiB, a hole, one sector


def reader(data):
    return lambda offset, length: data[offset : offset + length]


def check(data):
    """What `source/verify.py` does with a file, on bytes."""
    if vmdk_sesparse.is_sesparse(data):
        header = vmdk_sesparse.parse_header(data[:512], path=PATH)
        vmdk_sesparse.check_grains(reader(data), header, file_bytes=len(data), path=PATH)
        return header
    header = vmdk_sparse.parse_header(data[:512], path=PATH)
    if header.footer_follows:
        header = vmdk_sparse.parse_footer(data[-vmdk_sparse.FOOTER_BYTES :], header, path=PATH)
    vmdk_sparse.check_grains(reader(data), header, file_bytes=len(data), path=PATH)
    return header


def with_field(data, offset, layout, value):
    """The file with one header field set; offsets are those of the specification's struct."""
    packed = struct.pack(layout, value)
    return data[:offset] + packed + data[offset + len(packed) :]


HOSTED = writer.hosted_sparse(CONTENT)
STREAM = writer.stream_optimized(CONTENT, embedded=b"# Disk DescriptorFile\n")
ESX = writer.esx_sparse(CONTENT)
SE = writer.se_sparse(CONTENT)
ALL = {"hosted": HOSTED, "stream": STREAM, "esx": ESX, "sesparse": SE}


@pytest.mark.parametrize("kind", ALL)
def test_a_whole_extent_is_whole(kind):
    assert check(ALL[kind]).capacity_sectors == len(CONTENT) // 512


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize(
    "missing", [1, 511, 512, 4096, 100_000, "half", "all but the header", "all but 100 bytes"]
)
def test_a_cut_off_extent_is_refused(kind, missing):
    data = ALL[kind]
    keep = {"half": len(data) // 2, "all but the header": 512, "all but 100 bytes": 100}
    with pytest.raises((ExtentError, DescriptorError)):
        check(data[: keep[missing] if missing in keep else len(data) - missing])


def test_a_cut_off_extent_is_called_so():
    for data in (HOSTED, STREAM, ESX, SE):
        with pytest.raises(ExtentError, match="cut off") as caught:
            check(data[:-512])
        assert caught.value.path == PATH


@pytest.mark.parametrize("kind", ALL)
def test_an_empty_disk_has_no_grain_and_is_whole(kind):
    empty = bytes(len(CONTENT))
    write = {
        "hosted": writer.hosted_sparse,
        "stream": lambda content: writer.stream_optimized(content, embedded=b""),
        "esx": writer.esx_sparse,
        "sesparse": writer.se_sparse,
    }[kind]
    check(write(empty))


def test_grains_marked_as_zero_need_no_room():
    below = b"x" * len(CONTENT)
    check(writer.hosted_sparse(bytes(len(CONTENT)), below=below))


OVERHEAD = 64
CAPACITY, GRAIN, TABLE_ENTRIES, DIRECTORY, FLAGS, VERSION, LINE_ENDS, COMPRESSION = (
    12,
    20,
    44,
    56,
    8,
    4,
    73,
    77,
)


@pytest.mark.parametrize(
    ("offset", "layout", "value", "says"),
    [
        (CAPACITY, "<Q", 0, "capacity 0"),
        (CAPACITY, "<Q", 2**63, "capacity"),
        (GRAIN, "<Q", 0, "grains of 0"),
        (GRAIN, "<Q", 3, "grains of 3"),
        (GRAIN, "<Q", 2**40, "grains"),
        (TABLE_ENTRIES, "<I", 0, "tables of 0"),
        (TABLE_ENTRIES, "<I", 1024, "tables of 1024"),
        (VERSION, "<I", 4, "version 4"),
        (VERSION, "<I", 0, "version 0"),
        (LINE_ENDS, "<4s", b"\r\n\r\n", "text mode"),
        (COMPRESSION, "<H", 2, "compressed"),
        (COMPRESSION, "<H", 1, "compressed"),
        (FLAGS, "<I", 0b1, "does not allow"),
    ],
)
def test_a_header_that_makes_no_sense_is_refused(offset, layout, value, says):
    data = writer.hosted_sparse(CONTENT, below=b"x" * len(CONTENT))
    with pytest.raises(DescriptorError, match=says) as caught:
        check(with_field(data, offset, layout, value))
    assert caught.value.path == PATH


@pytest.mark.parametrize("value", [0, 10**9])
def test_a_directory_outside_the_file_is_refused(value):
    with pytest.raises(ExtentError):
        check(with_field(HOSTED, DIRECTORY, "<Q", value))


def test_a_file_that_ends_within_its_tables_is_cut_off():
    with pytest.raises(ExtentError, match="cut off"):
        check(with_field(HOSTED, OVERHEAD, "<Q", len(HOSTED) // 512 + 1))


def test_a_directory_that_names_one_table_again_and_again_is_refused():
    tables = 20000
    header = writer.hosted_header(capacity=tables * 512 * 16, gd_offset=1, descriptor_sectors=0)
    directory = struct.pack("<I", 1) * tables
    with pytest.raises(DescriptorError, match="more grain tables"):
        check(header + directory)


def test_the_footer_decides_and_is_checked_like_a_header():
    at = len(STREAM) - 1024
    for offset, layout, value in (
        (CAPACITY, "<Q", 0),
        (CAPACITY, "<Q", 8),
        (DIRECTORY, "<Q", writer.GD_AT_END),
    ):
        with pytest.raises(DescriptorError):
            check(with_field(STREAM, at + offset, layout, value))


@pytest.mark.parametrize("at", [-1536 + 12, -1024, -512 + 12], ids=["marker", "magic", "end"])
def test_a_stream_without_its_end_is_cut_off(at):
    with pytest.raises(ExtentError, match="end-of-stream"):
        check(with_field(STREAM, len(STREAM) + at, "<I", 9))


def test_a_compressed_grain_of_an_impossible_size_is_refused():
    last_table = struct.unpack_from("<512I", STREAM, _first_table(STREAM))
    at = max(last_table) * 512 + 8
    for size in (0, 10**9):
        with pytest.raises(DescriptorError, match="compressed grain"):
            check(with_field(STREAM, at, "<I", size))


def _first_table(data):
    (directory,) = struct.unpack_from("<Q", data, len(data) - 1024 + DIRECTORY)
    return struct.unpack_from("<I", data, directory * 512)[0] * 512


def test_an_esx_directory_too_small_for_its_disk_is_refused():
    with pytest.raises(DescriptorError, match="too small"):
        check(with_field(ESX, 24, "<I", 0))


@pytest.mark.parametrize(
    ("word", "value", "says"),
    [(2, 0, "capacity"), (1, 7, "kind"), (3, 16, "kind"), (17, 0, "capacity"), (64 + 0, 1, "volatile")],
)
def test_a_sesparse_header_that_makes_no_sense_is_refused(word, value, says):
    with pytest.raises(DescriptorError, match=says):
        check(with_field(SE, word * 8, "<Q", value))


def test_a_sesparse_file_whose_journal_is_not_empty_is_refused():
    with pytest.raises(DescriptorError, match="journal") as caught:
        check(with_field(SE, 512 + 24, "<Q", 1))
    assert "shut" in caught.value.hint


def test_a_file_of_another_kind_is_refused():
    with pytest.raises(DescriptorError, match="not a sparse extent"):
        check(b"QFI\xfb".ljust(1024, b"\0"))


@given(data=st.sampled_from(sorted(ALL)), at=st.integers(0, 1100), noise=st.binary(min_size=1, max_size=8))
def test_damaged_headers_are_read_or_refused_never_anything_else(data, at, noise):
    damaged = ALL[data][:at] + noise + ALL[data][at + len(noise) :]
    try:
        check(damaged)
    except SourceDiskError as error:
        assert error.path == PATH


@given(start=st.binary(max_size=600))
def test_any_start_is_read_or_refused(start):
    for magic in (b"", vmdk_sparse.HOSTED_MAGIC, vmdk_sparse.ESX_MAGIC):
        with contextlib.suppress(SourceDiskError):
            check(magic + start)


@pytest.mark.parametrize("tables", [4, 4096])
def test_one_small_piece_is_read_at_a_time(tables):
    """Memory is flat: a disk a thousand times as large is read in pieces of the same size."""
    sectors = tables * 512 * 128
    first = 1 + tables * 4 // 512 + 1
    header = writer.hosted_header(capacity=sectors, gd_offset=1, grain=128, descriptor_sectors=0)
    directory = struct.pack(f"<{tables}I", *(first + 4 * number for number in range(tables)))
    lengths = []

    def read(offset, length):
        lengths.append(length)
        data = (header + directory).ljust(first * 512, b"\0")
        return data[offset : offset + length].ljust(length, b"\0")

    parsed = vmdk_sparse.parse_header(header, path=PATH)
    vmdk_sparse.check_grains(read, parsed, file_bytes=first * 512 + tables * 2048, path=PATH)
    assert len(lengths) >= tables
    assert max(lengths) <= 64 * 1024
