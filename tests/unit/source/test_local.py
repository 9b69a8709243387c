import os

import pytest

from tests.guests import vmdk_writer as writer
from vmdk2kvm.errors import ChainError, DescriptorError, ExtentError, InputNotFound
from vmdk2kvm.model.disk import ExtentType
from vmdk2kvm.source.local import MAX_LAYERS, read_chain

SECTORS = 64
DATA = bytes(SECTORS * 512)


@pytest.fixture
def vm(tmp_path):
    folder = tmp_path / "vm"
    folder.mkdir()
    return folder


def flat_disk(folder, extent, *, name="disk.vmdk", **options):
    line = f'RW {SECTORS} FLAT "{extent}" 0'
    (folder / name).write_bytes(writer.descriptor([line], create_type="monolithicFlat", **options))
    return folder / name


def read(vmdk, *, allow=False):
    return read_chain(vmdk, index=0, allow_external_extents=allow)


def test_a_disk_and_the_files_it_is_made_of(vm):
    (vm / "disk-flat.vmdk").write_bytes(DATA)
    chain = read(flat_disk(vm, "disk-flat.vmdk"))
    (layer,) = chain.layers
    assert (chain.name, layer.parent_cid, layer.size_sectors) == ("disk", None, SECTORS)
    assert layer.extents[0].file.path == vm / "disk-flat.vmdk"
    assert layer.extents[0].file.size_bytes == len(DATA)


def test_a_file_below_the_folder_is_in_it(vm):
    (vm / "data").mkdir()
    (vm / "data" / "x.vmdk").write_bytes(DATA)
    assert read(flat_disk(vm, "data/../data/x.vmdk")).layers[0].extents[0].file.path == vm / "data" / "x.vmdk"


def test_the_folder_is_that_of_the_real_file_when_a_link_is_given(vm, tmp_path):
    (vm / "disk-flat.vmdk").write_bytes(DATA)
    link = tmp_path / "link.vmdk"
    link.symlink_to(flat_disk(vm, "disk-flat.vmdk"))
    assert read(link).layers[0].descriptor.path == vm / "disk.vmdk"


def test_the_name_in_an_embedded_descriptor_is_not_followed(vm):
    line = f'RW {SECTORS} SPARSE "/etc/shadow"'
    text = writer.descriptor([line], create_type="monolithicSparse")
    (vm / "disk.vmdk").write_bytes(writer.hosted_sparse(DATA, embedded=text))
    (extent,) = read(vm / "disk.vmdk").layers[0].extents
    assert (extent.type, extent.file.path) == (ExtentType.SPARSE, vm / "disk.vmdk")


# Outside the folder


def outside(vm, tmp_path, how):
    secret = tmp_path / "secret"
    secret.write_bytes(DATA)
    (vm / "link.vmdk").symlink_to(secret)
    (vm / "folder-link").symlink_to(tmp_path)
    return {
        "absolute": str(secret),
        "up": "../secret",
        "through": "sub/../../secret",
        "link": "link.vmdk",
        "link to a folder": "folder-link/secret",
        "shadow": "/etc/shadow",
        "device": "/dev/zero",
        "missing": "../../nowhere",
        "sibling": f"../{vm.name}-other/x",
    }[how]


WAYS_OUT = (
    "absolute", "up", "through", "link", "link to a folder", "shadow", "device", "missing", "sibling"
)  # fmt: skip


@pytest.mark.parametrize("how", WAYS_OUT)
def test_an_extent_outside_the_folder_is_refused(vm, tmp_path, how):
    vmdk = flat_disk(vm, outside(vm, tmp_path, how))
    with pytest.raises(ExtentError, match="outside the folder") as caught:
        read(vmdk)
    assert caught.value.path == vmdk
    assert "--allow-external-extents" in caught.value.hint


@pytest.mark.parametrize("how", WAYS_OUT)
def test_a_parent_outside_the_folder_is_refused(vm, tmp_path, how):
    (vm / "x").write_bytes(DATA)
    vmdk = flat_disk(vm, "x", parent_cid=7, hint=outside(vm, tmp_path, how))
    with pytest.raises(ChainError, match="outside the folder"):
        read(vmdk)


@pytest.mark.parametrize("how", ["absolute", "up", "link", "link to a folder"])
def test_the_operator_may_allow_it(vm, tmp_path, how):
    vmdk = flat_disk(vm, outside(vm, tmp_path, how))
    assert read(vmdk, allow=True).layers[0].extents[0].file.path == tmp_path / "secret"


def test_a_parent_that_lies_outside_has_its_own_files_checked_too(vm, tmp_path):
    (vm / "deep").mkdir()
    (vm / "x").write_bytes(DATA)
    flat_disk(vm / "deep", "../../secret", name="base.vmdk", cid=7)
    (tmp_path / "secret").write_bytes(DATA)
    with pytest.raises(ExtentError, match="outside"):
        read(flat_disk(vm, "x", parent_cid=7, hint="deep/base.vmdk"))


def test_a_device_is_never_an_extent_even_when_allowed(vm):
    for name in ("/dev/zero", "/dev/tty"):
        with pytest.raises(ExtentError, match="regular file"):
            read(flat_disk(vm, name), allow=True)


def test_a_fifo_a_folder_and_a_socket_are_no_extents(vm):
    os.mkfifo(vm / "fifo")
    (vm / "folder").mkdir()
    for name in ("fifo", "folder", "."):
        with pytest.raises(ExtentError, match="regular file"):
            read(flat_disk(vm, name))


def test_a_link_that_leads_to_itself_is_refused(vm):
    (vm / "loop").symlink_to(vm / "loop")
    with pytest.raises(ExtentError, match="cannot be read"):
        read(flat_disk(vm, "loop"))


# Missing


def test_a_missing_extent_is_named(vm):
    with pytest.raises(ExtentError, match=r'"gone\.vmdk" .* No such file') as caught:
        read(flat_disk(vm, "gone.vmdk"))
    assert caught.value.path == vm / "gone.vmdk"


def test_a_missing_parent_is_named(vm):
    (vm / "x").write_bytes(DATA)
    with pytest.raises(ChainError, match=r'"base\.vmdk"'):
        read(flat_disk(vm, "x", parent_cid=7, hint="base.vmdk"))


def test_a_disk_that_is_not_there(vm):
    with pytest.raises(InputNotFound) as caught:
        read(vm / "disk.vmdk")
    assert caught.value.exit_code == 3


def test_a_folder_is_no_disk(vm):
    with pytest.raises(DescriptorError, match="regular file"):
        read(vm)


@pytest.mark.parametrize("content", [b"", b"MZ" * 500, b"QFI\xfb" + bytes(9999), bytes(4096), DATA])
def test_what_is_not_a_vmdk_is_called_so(vm, content):
    (vm / "disk.vmdk").write_bytes(content)
    with pytest.raises(DescriptorError, match="not a VMDK"):
        read(vm / "disk.vmdk")


def test_a_descriptor_of_100_mb_is_refused_without_being_read_whole(vm, monkeypatch):
    path = vm / "disk.vmdk"
    path.write_bytes(b"# Disk DescriptorFile\n")
    os.truncate(path, 100_000_000)
    pread, lengths = os.pread, []
    monkeypatch.setattr(os, "pread", lambda fd, length, at: lengths.append(length) or pread(fd, length, at))
    with pytest.raises(DescriptorError, match="1 MiB"):
        read(path)
    assert sum(lengths) < 2 * 1024 * 1024


def test_one_piece_of_a_split_disk_is_not_the_disk(vm):
    header = writer.hosted_header(capacity=SECTORS, gd_offset=1, descriptor_sectors=0)
    (vm / "disk-s001.vmdk").write_bytes(header)
    (vm / "delta.vmdk").write_bytes(writer.esx_sparse(DATA))
    for name in ("disk-s001.vmdk", "delta.vmdk"):
        with pytest.raises(DescriptorError, match="one extent of a disk"):
            read(vm / name)


def test_a_header_of_capacity_zero_is_refused_whatever_its_descriptor_says(vm):
    text = writer.descriptor([f'RW {SECTORS} FLAT "/etc/shadow" 0'], create_type="monolithicFlat")
    header = writer.hosted_header(capacity=0, gd_offset=21)
    (vm / "disk.vmdk").write_bytes(header + text.ljust(20 * 512, b"\0"))
    with pytest.raises(DescriptorError, match="capacity 0"):
        read(vm / "disk.vmdk", allow=True)


@pytest.mark.parametrize(
    ("lines", "create_type"),
    [
        ([f'RW {SECTORS} FLAT "/etc/shadow" 0'], "monolithicFlat"),
        ([f'RW {SECTORS} SPARSE "disk.vmdk"', f'RW {SECTORS} SPARSE "/etc/shadow"'], "twoGbMaxExtentSparse"),
        ([f"RW {SECTORS} ZERO"], "twoGbMaxExtentSparse"),
    ],
)
def test_an_embedded_descriptor_may_only_describe_its_own_file(vm, lines, create_type):
    text = writer.descriptor(lines, create_type=create_type)
    (vm / "disk.vmdk").write_bytes(writer.hosted_sparse(DATA, embedded=text))
    with pytest.raises(DescriptorError, match="other extents"):
        read(vm / "disk.vmdk")


# Chains


def snapshot(vm, name, *, cid, parent_cid=0xFFFFFFFF, hint=None):
    path = vm / name
    writer.write_monolithic_sparse(path, DATA, cid=cid, parent_cid=parent_cid, hint=hint)
    return path


def test_a_chain_is_followed_newest_first(vm):
    snapshot(vm, "a.vmdk", cid=1)
    snapshot(vm, "b.vmdk", cid=2, parent_cid=1, hint="a.vmdk")
    chain = read(snapshot(vm, "c.vmdk", cid=3, parent_cid=2, hint="b.vmdk"))
    assert [layer.cid for layer in chain.layers] == [3, 2, 1]
    assert [layer.parent_cid for layer in chain.layers] == [2, 1, None]


def test_a_cycle_ends_in_an_error(vm):
    snapshot(vm, "a.vmdk", cid=1, parent_cid=2, hint="b.vmdk")
    snapshot(vm, "b.vmdk", cid=2, parent_cid=1, hint="a.vmdk")
    for name in ("a.vmdk", "b.vmdk"):
        with pytest.raises(ChainError, match="comes back") as caught:
            read(vm / name)
        assert caught.value.path == vm / name


def test_a_disk_that_is_its_own_parent_is_a_cycle_under_any_name(vm):
    snapshot(vm, "a.vmdk", cid=1, parent_cid=1, hint="./link.vmdk")
    (vm / "link.vmdk").symlink_to("a.vmdk")
    with pytest.raises(ChainError, match="comes back"):
        read(vm / "a.vmdk")


def test_a_chain_has_a_bound(vm):
    snapshot(vm, "0.vmdk", cid=1)
    for number in range(1, MAX_LAYERS + 1):
        snapshot(vm, f"{number}.vmdk", cid=1, parent_cid=1, hint=f"{number - 1}.vmdk")
    assert len(read(vm / f"{MAX_LAYERS - 1}.vmdk").layers) == MAX_LAYERS
    with pytest.raises(ChainError, match="more than 255"):
        read(vm / f"{MAX_LAYERS}.vmdk")


@pytest.mark.parametrize("link", [{"parent_cid": 7}, {"hint": "base.vmdk"}])
def test_half_a_link_to_a_parent_is_refused(vm, link):
    snapshot(vm, "base.vmdk", cid=7)
    with pytest.raises(ChainError, match="CID"):
        read(snapshot(vm, "top.vmdk", cid=8, **link))
