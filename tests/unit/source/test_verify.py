import pytest

from tests.guests import vmdk_writer as writer
from vmdk2kvm.errors import ChainError, DescriptorError, ExtentError
from vmdk2kvm.source.local import read_chain
from vmdk2kvm.source.verify import verify_chain

SECTORS = 70
DATA = bytes(range(256)) * 2 * SECTORS


def verify(vmdk):
    verify_chain(read_chain(vmdk, index=0, allow_external_extents=False))


def chain_of_two(folder, *, child_content=DATA, parent_cid=1):
    writer.write_monolithic_sparse(folder / "base.vmdk", DATA, cid=1)
    top = folder / "top.vmdk"
    writer.write_monolithic_sparse(top, child_content, cid=2, parent_cid=parent_cid, hint="base.vmdk")
    return top


def test_a_sound_chain_passes(tmp_path):
    verify(chain_of_two(tmp_path))


def test_a_parent_with_another_cid_is_refused(tmp_path):
    top = chain_of_two(tmp_path, parent_cid=0xBEEF)
    with pytest.raises(ChainError, match=r"0000beef.*00000001") as caught:
        verify(top)
    assert caught.value.path == top
    assert str(tmp_path / "base.vmdk") in caught.value.message


def test_a_parent_of_another_size_is_refused(tmp_path):
    with pytest.raises(ChainError, match="a disk of"):
        verify(chain_of_two(tmp_path, child_content=DATA + bytes(512)))


@pytest.mark.parametrize("offset", [0, 3])
def test_a_flat_extent_must_reach_its_last_sector(tmp_path, offset):
    line = f'RW {SECTORS} FLAT "flat" {offset}'
    (tmp_path / "disk.vmdk").write_bytes(writer.descriptor([line], create_type="monolithicFlat"))
    (tmp_path / "flat").write_bytes(bytes(offset * 512) + DATA)
    verify(tmp_path / "disk.vmdk")
    (tmp_path / "flat").write_bytes(bytes(offset * 512) + DATA[:-1])
    with pytest.raises(ExtentError, match=f"{offset * 512 + len(DATA) - 1} of") as caught:
        verify(tmp_path / "disk.vmdk")
    assert caught.value.path == tmp_path / "flat"


@pytest.mark.parametrize(
    ("kind", "create_type", "data"),
    [
        ("SPARSE", "twoGbMaxExtentSparse", writer.esx_sparse(DATA)),
        ("SPARSE", "twoGbMaxExtentSparse", DATA),
        ("VMFSSPARSE", "vmfsSparse", writer.hosted_sparse(DATA)),
        ("VMFSSPARSE", "vmfsSparse", writer.se_sparse(DATA)),
        ("SESPARSE", "seSparse", writer.esx_sparse(DATA)),
        ("SPARSE", "twoGbMaxExtentSparse", b""),
        ("SESPARSE", "seSparse", b""),
    ],
)
def test_an_extent_of_another_kind_is_refused(tmp_path, kind, create_type, data):
    text = writer.descriptor([f'RW {SECTORS} {kind} "x.vmdk"'], create_type=create_type)
    (tmp_path / "disk.vmdk").write_bytes(text)
    (tmp_path / "x.vmdk").write_bytes(data)
    with pytest.raises((ExtentError, DescriptorError)) as caught:
        verify(tmp_path / "disk.vmdk")
    assert caught.value.path == tmp_path / "x.vmdk"


def test_a_header_and_a_descriptor_of_two_minds_are_refused(tmp_path):
    text = writer.descriptor([f'RW {SECTORS - 1} SPARSE "x"'], create_type="monolithicSparse")
    (tmp_path / "disk.vmdk").write_bytes(writer.hosted_sparse(DATA, embedded=text))
    with pytest.raises(ExtentError, match=f"{SECTORS} sectors"):
        verify(tmp_path / "disk.vmdk")


def test_a_split_extent_of_capacity_zero_is_refused(tmp_path):
    """An extent's own embedded descriptor would lead QEMU anywhere."""
    text = writer.descriptor([f'RW {SECTORS} FLAT "/etc/shadow" 0'], create_type="monolithicFlat")
    header = writer.hosted_header(capacity=0, gd_offset=21)
    (tmp_path / "x.vmdk").write_bytes(header + text.ljust(20 * 512, b"\0"))
    line = f'RW {SECTORS} SPARSE "x.vmdk"'
    (tmp_path / "disk.vmdk").write_bytes(writer.descriptor([line], create_type="twoGbMaxExtentSparse"))
    with pytest.raises(DescriptorError, match="capacity 0"):
        verify(tmp_path / "disk.vmdk")
