from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vmdk2kvm.errors import DescriptorError
from vmdk2kvm.formats import vmdk_descriptor
from vmdk2kvm.formats.vmdk_descriptor import Access, CreateType, Descriptor, Extent, parse, render
from vmdk2kvm.model.disk import ExtentType

PATH = Path("/vm/disk.vmdk")

# As ESXi 7 writes it (VMware KB 1002511 shows the same keys).
ESXI = b"""# Disk DescriptorFile
version=4
encoding="UTF-8"
CID=fffffffe
parentCID=ffffffff
createType="vmfs"

# Extent description
RW 33554432 VMFS "web server-flat.vmdk"

# The Disk Data Base
#DDB

ddb.adapterType = "lsilogic"
ddb.geometry.cylinders = "2088"
ddb.longContentID = "8f1ac7a2b2a2ff77dc94ee2cfffffffe"
ddb.uuid = "60 00 C2 9b 2a 3c 6d 7e-1f 00 11 22 33 44 55 66"
ddb.virtualHWVersion = "19"
"""


def with_line(line, *, into=ESXI):
    """A descriptor with one more line in front of its extents."""
    return into.replace(b"\n# Extent", b"\n" + line + b"\n# Extent")


def refused(data):
    with pytest.raises(DescriptorError) as caught:
        parse(data, path=PATH)
    assert str(PATH) in caught.value.message
    assert caught.value.message.count("\n") == 0
    assert caught.value.exit_code == 4
    assert caught.value.hint
    return caught.value


def test_a_descriptor_of_esxi():
    descriptor = parse(ESXI, path=PATH)
    assert descriptor.version == 4
    assert descriptor.cid == 0xFFFFFFFE
    assert descriptor.parent_cid is None
    assert descriptor.create_type is CreateType.VMFS
    assert descriptor.extents == (
        Extent(
            access=Access.RW, size_sectors=33554432, type=ExtentType.VMFS, filename="web server-flat.vmdk"
        ),
    )
    assert descriptor.encoding == "UTF-8"
    assert ("ddb.adapterType", "lsilogic") in descriptor.ddb
    assert descriptor.size_sectors * 512 == 16 * 1024**3


# Legal, though unusual


def test_crlf_is_legal():
    assert parse(ESXI.replace(b"\n", b"\r\n"), path=PATH) == parse(ESXI, path=PATH)


def test_tabs_and_lower_case_keywords_are_legal():
    odd = ESXI.replace(b'RW 33554432 VMFS "', b'\trw\t33554432\tvmfs \t"')
    odd = odd.replace(b"CID=", b"cid = ").replace(b"createType=", b"CREATETYPE\t=\t")
    assert parse(odd, path=PATH) == parse(ESXI, path=PATH)


def test_a_byte_order_mark_and_trailing_nul_bytes_are_legal():
    assert parse(b"\xef\xbb\xbf" + ESXI + bytes(9000), path=PATH) == parse(ESXI, path=PATH)


def test_the_last_line_needs_no_end():
    assert parse(ESXI.rstrip(), path=PATH) == parse(ESXI, path=PATH)


def test_names_are_read_in_the_declared_encoding():
    text = ESXI.replace(b"web server", "Müller…".encode("cp1252")).replace(b"UTF-8", b"windows-1252")
    assert parse(text, path=PATH).extents[0].filename == "Müller…-flat.vmdk"
    text = ESXI.replace(b"web server", "サーバー①".encode("cp932")).replace(b"UTF-8", b"Shift_JIS")
    assert parse(text, path=PATH).extents[0].filename == "サーバー①-flat.vmdk"


def test_without_a_declared_encoding_a_name_is_the_bytes_of_the_file_system():
    text = ESXI.replace(b'encoding="UTF-8"\n', b"").replace(b"web server", b"M\xfcller")
    assert (
        parse(text, path=PATH).extents[0].filename.encode("utf-8", "surrogateescape")
        == b"M\xfcller-flat.vmdk"
    )


def test_the_older_spelling_of_the_split_types():
    text = ESXI.replace(b'"vmfs"', b'"2GbMaxExtentSparse"').replace(b"VMFS", b"SPARSE")
    assert parse(text, path=PATH).create_type is CreateType.TWO_GB_SPARSE


# Refused


@pytest.mark.parametrize(
    "separator",
    ["\v", "\f", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029", "\0", "\r", "\x1b", "\x7f"],
    ids=lambda char: f"U+{ord(char):04X}",
)
def test_an_extent_line_behind_a_character_that_only_some_readers_split_at_is_refused(separator):
    hidden = f'# comment{separator}RW 1 FLAT "/etc/shadow" 0'.encode()
    error = refused(with_line(hidden))
    assert f"U+{ord(separator):04X}" in error.message
    assert error.line == 8


def test_u_0085_of_a_one_byte_encoding_is_refused_too():
    text = with_line(b'# x\x85RW 1 FLAT "/etc/shadow" 0').replace(b"UTF-8", b"ISO-8859-1")
    assert "U+0085" in refused(text).message


@pytest.mark.parametrize(
    "garbage",
    [b"", b"\0" * 512, b"QFI\xfb" + bytes(600), b"<?xml version='1.0'?>", b"version=1\n", b"\xff" * 4000],
)
def test_what_is_no_descriptor_is_refused(garbage):
    assert "not a VMDK descriptor" in refused(garbage).message


def test_a_descriptor_of_more_than_a_mebibyte_is_refused():
    assert "1 MiB" in refused(ESXI + b"#" * vmdk_descriptor.MAX_BYTES).message


@pytest.mark.parametrize("name", ["utf-7", "utf-16", "idna", "zip", "no such", ""])
def test_an_encoding_that_could_hide_something_is_refused(name):
    assert refused(ESXI.replace(b"UTF-8", name.encode()))


def test_a_name_that_is_not_in_the_declared_encoding_is_refused():
    error = refused(ESXI.replace(b"web server", b"M\xfcller"))
    assert (error.line, "UTF-8" in error.message) == (9, True)


@pytest.mark.parametrize(
    ("old", "new", "says", "line"),
    [
        (b'"vmfs"', b'"holographic"', 'createType "holographic"', None),
        (b'"vmfs"', b'"vmfsRawDeviceMap"', "physical disk", None),
        (b'"vmfs"', b'"fullDevice"', "physical disk", None),
        (b'"vmfs"', b'"monolithicSparse"', "VMFS extent", 9),
        (b'createType="vmfs"\n', b"", 'no "createType"', None),
        (b"version=4", b"version=9", "version", None),
        (b"version=4\n", b"", 'no "version"', None),
        (b"\nCID=fffffffe", b"\nCID=xyz", "CID", None),
        (b"\nCID=fffffffe", b"\nCID=123456789", "CID", None),
        (b"\nCID=fffffffe", b"\nCID=1\nCID=2", "twice", 5),
        (b"\nCID=fffffffe", b"\nCID=1\ncid=1", "twice", 5),
        (b"parentCID=ffffffff\n", b"", 'no "parentCID"', None),
        (b'"vmfs"', b'"vmfs', "open", 6),
        (b"RW 33554432", b"NOACCESS 33554432", "NOACCESS", 9),
        (b"RW 33554432", b"RW -1", "cannot be read", 9),
        (b"RW 33554432", b"RW 0", "size", 9),
        (b"RW 33554432", b"RW 999999999999999999", "size", 9),
        (b"RW 33554432", b"RW 99999999999999999999", "cannot be read", 9),
        (b"RW 33554432 VMFS", b"RW 33554432 MAGIC", "MAGIC", 9),
        (b'"web server-flat.vmdk"', b'""', "cannot be read", 9),
        (b'"web server-flat.vmdk"', b'"a" 0 "b"', "cannot be read", 9),
        (b'VMFS "web server-flat.vmdk"', b"VMFS", "file", 9),
        (b'VMFS "web server-flat.vmdk"', b'ZERO "x"', "file", 9),
        (b'RW 33554432 VMFS "web server-flat.vmdk"\n', b"", "no extent", None),
        (b"RW 33554432 VMFS", b"WR 33554432 VMFS", "neither a setting nor an extent", 9),
        (b"# Extent description", b'encryptionKeys="vmware:key/list/x"', "encrypted", None),
    ],
)
def test_one_wrong_line_is_refused_and_named(old, new, says, line):
    assert old in ESXI
    error = refused(ESXI.replace(old, new))
    assert says in error.message
    assert error.line == line


def test_too_many_extents_are_refused():
    assert "extents" in refused(ESXI + b'RW 1 VMFS "a"\n' * 5000).message


def test_a_sparse_extent_has_no_offset():
    text = ESXI.replace(b'"vmfs"', b'"vmfsSparse"').replace(
        b'VMFS "web server-flat.vmdk"', b'VMFSSPARSE "x" 7'
    )
    assert "offset" in refused(text).message


# Properties

NAME = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp"), exclude_characters='"'),
    min_size=1,
    max_size=40,
)
VALUE = NAME.map(str.strip).filter(lambda text: text and '"' not in text)
KEY = st.from_regex(r"[A-Za-z][A-Za-z.]{0,12}", fullmatch=True).filter(
    lambda key: (
        not key.lower().startswith(("ddb.", "encr")) and key.lower() not in vmdk_descriptor._NAMED_KEYS
    )
)


@st.composite
def extents(draw, create_type):
    kind = draw(st.sampled_from(sorted(vmdk_descriptor._ALLOWED_EXTENTS[create_type], key=str)))
    flat = kind in {ExtentType.FLAT, ExtentType.VMFS}
    return Extent(
        access=draw(st.sampled_from([Access.RW, Access.RDONLY])),
        size_sectors=draw(st.integers(1, 2**40)),
        type=kind,
        filename=None if kind is ExtentType.ZERO else draw(NAME),
        offset_sectors=draw(st.integers(0, 2**40)) if flat else 0,
    )


@st.composite
def descriptors(draw):
    create_type = draw(st.sampled_from(CreateType))
    return Descriptor(
        version=draw(st.integers(1, 4)),
        cid=draw(st.integers(0, 2**32 - 1)),
        parent_cid=draw(st.none() | st.integers(0, 2**32 - 2)),
        create_type=create_type,
        extents=tuple(draw(st.lists(extents(create_type), min_size=1, max_size=5))),
        parent_file_name_hint=draw(st.none() | NAME),
        encoding=draw(st.sampled_from([None, "UTF-8"])),
        settings=tuple(draw(st.lists(st.tuples(KEY, VALUE), max_size=3))),
        ddb=tuple(draw(st.lists(st.tuples(KEY.map("ddb.".__add__), VALUE), max_size=3))),
    )


@given(descriptors())
def test_what_is_rendered_reads_back(descriptor):
    assert parse(render(descriptor), path=PATH) == descriptor


@given(st.binary(max_size=300))
@example(b'\nRW 1 FLAT "x" 0')
def test_any_bytes_are_read_or_refused_never_anything_else(data):
    for text in (data, b"# Disk DescriptorFile\n" + data, with_line(data)):
        try:
            parse(text, path=PATH)
        except DescriptorError as error:
            assert error.path == PATH


@pytest.mark.parametrize("name", ['a"b', "a\nb", "a\rb"])
def test_a_name_that_would_break_its_line_is_never_rendered(name):
    descriptor = parse(ESXI, path=PATH)
    broken = Extent(access=Access.RW, size_sectors=1, type=ExtentType.VMFS, filename=name)
    with pytest.raises(ValueError):
        render(
            Descriptor(
                version=1, cid=1, parent_cid=None, create_type=descriptor.create_type, extents=(broken,)
            )
        )
