import io
import tracemalloc
import zlib

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from tests.initramfs_images import COMPRESSORS, LINK, cpio, image, module_files
from vmdk2kvm.formats.initramfs import InitramfsContents, InitramfsError, describe, scan
from vmdk2kvm.model.units import MIB

MODULES = ("virtio-blk", "virtio_pci", "sd_mod")
NAMES = frozenset({"virtio_blk", "virtio_pci", "sd_mod"})


def scan_bytes(content: bytes) -> InitramfsContents:
    return scan(io.BytesIO(content))


@pytest.mark.parametrize("compression", COMPRESSORS)
@pytest.mark.parametrize("magic", [b"070701", b"070702"])
def test_every_compression_is_read(compression: str, magic: bytes) -> None:
    content = COMPRESSORS[compression](cpio(module_files(MODULES), magic=magic))
    found = scan_bytes(content)
    assert found.modules == NAMES
    assert found.compression == compression.removesuffix("-frame")
    assert found.member_count == 3


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_microcode_in_front_and_zeros_behind_are_passed_over(compression: str) -> None:
    found = scan_bytes(image(MODULES, compression=compression) + bytes(1024))
    assert found.modules == NAMES
    assert found.compression == compression.removesuffix("-frame")
    assert found.member_count == 4


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_two_compressed_archives_are_both_read(compression: str) -> None:
    pack = COMPRESSORS[compression]
    found = scan_bytes(pack(cpio(module_files(["ahci"]))) + pack(cpio(module_files(["nvme"]))))
    assert found.modules == {"ahci", "nvme"}


@pytest.mark.parametrize("compression", ["gzip", "xz", "zstd", "bzip2", "lz4-frame"])
def test_frames_of_a_parallel_compressor_are_one_archive(compression: str) -> None:
    archive = cpio(module_files(MODULES))
    pack = COMPRESSORS[compression]
    assert scan_bytes(pack(archive[:150]) + pack(archive[150:])).modules == NAMES


def test_archives_inside_one_compressed_part() -> None:
    inner = cpio(module_files(["ahci"])) + bytes(512) + cpio(module_files(["nvme"]))
    assert scan_bytes(COMPRESSORS["gzip"](inner)).modules == {"ahci", "nvme"}


def test_compressed_modules_and_leading_dots() -> None:
    files = {
        f"./lib/modules/1/kernel/{name}": b"" for name in ("a-b.ko.xz", "c.ko.zst", "d.ko.gz", "e.koala")
    }
    assert scan_bytes(cpio(files)).modules == {"a_b", "c", "d"}


def test_settings_baked_in_are_kept() -> None:
    files = {
        "./conf/conf.d/resume": b"RESUME=/dev/sda5\n",
        "conf/modules": b"pvscsi\n",
        "etc/cmdline.d/95root-dev.conf": b" root=/dev/sda1\n",
        "etc/modules-load.d/x.conf": b"y",
        "etc/passwd": b"root:x",
        "conf/conf.d/huge": bytes(270_000),
    }
    assert scan_bytes(COMPRESSORS["xz"](cpio(files))).files == {
        "conf/conf.d/resume": b"RESUME=/dev/sda5\n",
        "conf/modules": b"pvscsi\n",
        "etc/cmdline.d/95root-dev.conf": b" root=/dev/sda1\n",
        "etc/modules-load.d/x.conf": b"y",
    }


def test_the_target_of_a_link_is_no_setting() -> None:
    assert scan_bytes(cpio({"etc/modules-load.d/modules.conf": b"../modules"}, mode=LINK)).files == {}


def test_a_later_archive_replaces_a_file_of_an_earlier_one() -> None:
    archive = cpio({"conf/modules": b"old"}) + cpio({"conf/modules": b"new"})
    assert scan_bytes(archive).files == {"conf/modules": b"new"}


@pytest.mark.parametrize("compression", COMPRESSORS)
def test_a_cut_off_image_is_an_error_wherever_it_is_cut(compression: str) -> None:
    whole = COMPRESSORS[compression](cpio(module_files(MODULES)))
    end = len(whole) - (3 if compression == "none" else 1)  # a bare archive ends in padding
    for length in range(0, end, 7):
        with pytest.raises(InitramfsError):
            scan_bytes(whole[:length])


@pytest.mark.parametrize("compression", sorted(set(COMPRESSORS) - {"none"}))
def test_an_archive_without_a_trailer_is_cut_off(compression: str) -> None:
    with pytest.raises(InitramfsError, match="cut off"):
        scan_bytes(COMPRESSORS[compression](cpio(module_files(MODULES), trailer=False)))


@pytest.mark.parametrize("compression", ["gzip", "xz", "bzip2", "lz4-frame", "zstd"])
def test_damage_is_an_error(compression: str) -> None:
    whole = bytearray(COMPRESSORS[compression](cpio(module_files(MODULES))))
    whole[len(whole) // 2] ^= 0xFF
    with pytest.raises(InitramfsError):
        scan_bytes(bytes(whole))


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no archive"),
        (bytes(4096), "no archive"),
        (b"\x89LZO\x00\r\n\x1a\n", "unknown bytes"),
        (COMPRESSORS["gzip"](b"MZ not an archive"), "no cpio archive"),
        (cpio({})[:6] + b"zzzzzzzz" + cpio({})[14:14] + bytes(200), "hex digits"),
        (cpio({"a": b""}).replace(b"00000002", b"00010000", 1), "cpio header|cut off|name has"),
        (cpio({"x" * 5000: b""}), "name has 5001 bytes"),
        (cpio({"a": b""}, trailer=False) + b"070707" + bytes(200), "no cpio header"),
    ],
)
def test_nonsense_is_an_error(content: bytes, reason: str) -> None:
    with pytest.raises(InitramfsError, match=reason):
        scan_bytes(content)


def _bomb(mib: int) -> bytes:
    packer = zlib.compressobj(9, wbits=31)
    start = cpio({"big": b""}, trailer=False)
    header = start.replace(b"%08x" % 0, b"%08x" % (mib * MIB), 6)
    fields = bytearray(header)
    fields[54:62] = b"%08x" % (mib * MIB)
    parts = [packer.compress(bytes(fields))]
    parts += [packer.compress(bytes(MIB)) for _ in range(mib)]
    return b"".join(parts) + packer.compress(cpio({})) + packer.flush()


def test_a_bomb_is_refused_before_it_is_unpacked() -> None:
    with pytest.raises(InitramfsError, match="unpacks to more"):
        scan(io.BytesIO(_bomb(64)), max_unpacked_bytes=32 * MIB)


def test_a_bomb_of_zeros_between_archives_is_refused() -> None:
    zeros = zstandard.ZstdCompressor().compress(bytes(64 * MIB))
    with pytest.raises(InitramfsError, match="unpacks to more"):
        scan(io.BytesIO(zeros), max_unpacked_bytes=32 * MIB)


def test_memory_stays_flat() -> None:
    packed = COMPRESSORS["zstd"](cpio({"big": bytes(48 * MIB), **module_files(MODULES)}))
    tracemalloc.start()
    try:
        assert scan_bytes(packed).modules == NAMES
        assert tracemalloc.get_traced_memory()[1] < 24 * MIB
    finally:
        tracemalloc.stop()


def test_large_gaps_of_a_bare_archive_are_not_read() -> None:
    class Counting(io.BytesIO):
        count = 0

        def read(self, size: int | None = -1, /) -> bytes:
            content = super().read(size)
            self.count += len(content)
            return content

    stream = Counting(cpio({"big": bytes(8 * MIB), **module_files(MODULES)}))
    assert scan(stream).modules == NAMES
    assert stream.count < MIB


def test_describe_turns_an_error_into_a_fact() -> None:
    fact = describe("/boot/initrd.img", 3, io.BytesIO(b"abc"))
    assert fact.modules == frozenset()
    assert fact.error is not None
    whole = describe("/boot/initrd.img", 9, io.BytesIO(image(MODULES, {"conf/modules": b"x"})))
    assert (whole.modules, whole.error, whole.files) == (NAMES, None, (("conf/modules", b"x"),))


names = st.text(st.characters(codec="ascii", exclude_characters="/\0"), min_size=1, max_size=20)
contents = st.binary(max_size=300)


@given(
    st.dictionaries(names, contents, max_size=6), st.sampled_from(sorted(COMPRESSORS)), st.integers(0, 600)
)
def test_any_archive_in_any_compression(files: dict[str, bytes], compression: str, zeros: int) -> None:
    named = {f"etc/cmdline.d/{name}": content for name, content in files.items()}
    found = scan_bytes(COMPRESSORS[compression](cpio(named)) + bytes(zeros))
    assert found.files == named
    assert found.member_count == len(named)


@given(st.binary(max_size=400))
def test_any_bytes_end_in_contents_or_in_a_clear_error(content: bytes) -> None:
    for start in (
        b"",
        b"070701",
        b"\x1f\x8b",
        b"\x02\x21\x4c\x18",
        b"\x28\xb5\x2f\xfd",
        b"BZh9",
        b"\x5d\0\0",
    ):
        try:
            scan_bytes(start + content)
        except InitramfsError as error:
            assert "initramfs" in error.message
