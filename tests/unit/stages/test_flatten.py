import json
import os

import pytest

from tests.guests import vmdk_writer as writer
from vmdk2kvm.errors import OutputNotWritable
from vmdk2kvm.formats import vmdk_descriptor
from vmdk2kvm.stages import fetch, flatten

SECTORS = 70
DATA = bytes(range(256)) * 2 * SECTORS


def view_of(vmdk, scratch):
    (view,) = flatten.run(fetch.run([vmdk], allow_external_extents=False), scratch).views
    return view


@pytest.fixture
def chain(tmp_path):
    folder = tmp_path / "vm"
    folder.mkdir()
    writer.write_vmfs_flat(folder / "base.vmdk", DATA, cid=1)
    writer.write_esx_delta(folder / "top.vmdk", DATA, below=DATA, cid=2, parent_cid=1, hint="base.vmdk")
    return folder / "top.vmdk"


def test_the_view_names_every_file_and_the_size(chain, tmp_path):
    view = view_of(chain, tmp_path / "s")
    assert (view.index, view.name, view.layer_count) == (0, "top", 2)
    assert view.virtual_size_bytes == len(DATA)
    names = {file.path.name for file in view.files}
    assert names == {"top.vmdk", "top-delta.vmdk", "base.vmdk", "base-flat.vmdk"}


def test_qemu_sees_only_descriptors_of_ours_and_no_name_of_the_source(chain, tmp_path):
    scratch = tmp_path / "s"
    node = json.loads(view_of(chain, scratch).node.removeprefix("json:"))
    top = scratch / "disk0" / "layer0.vmdk"
    assert node["driver"] == "vmdk"
    assert node["read-only"] is True
    assert node["file"] == {"driver": "file", "filename": str(top), "read-only": True}
    first = vmdk_descriptor.parse(top.read_bytes(), path=top)
    base = vmdk_descriptor.parse((scratch / "disk0" / "layer1.vmdk").read_bytes(), path=top)
    assert (first.cid, first.parent_cid, first.parent_file_name_hint) == (2, 1, "layer1.vmdk")
    assert (base.cid, base.parent_cid, base.parent_file_name_hint) == (1, None, None)
    assert [extent.filename for extent in (*first.extents, *base.extents)] == ["layer0-0", "layer1-0"]
    assert (scratch / "disk0" / "layer0-0").readlink() == chain.with_name("top-delta.vmdk")


def test_the_same_chain_gives_the_same_view_again(chain, tmp_path):
    first = view_of(chain, tmp_path / "s")
    before = {path.name: os.lstat(path).st_size for path in (tmp_path / "s" / "disk0").iterdir()}
    assert view_of(chain, tmp_path / "s") == first
    assert {path.name: os.lstat(path).st_size for path in (tmp_path / "s" / "disk0").iterdir()} == before


def test_the_name_of_the_node_fits_a_qcow2_header_whatever_the_depth(tmp_path):
    writer.write_monolithic_sparse(tmp_path / "0.vmdk", DATA, cid=1)
    for number in range(1, 40):
        link = {"parent_cid": 1, "hint": f"{number - 1}.vmdk"}
        writer.write_monolithic_sparse(tmp_path / f"{number}.vmdk", DATA, cid=1, **link)
    assert len(view_of(tmp_path / "39.vmdk", tmp_path / "s").node) < 1023


@pytest.mark.parametrize(
    "name", ["x" * 250 + "/" + "y" * 250 + "/" + "z" * 250 + "/" + "w" * 250, "M\udcfcller"]
)
def test_a_scratch_folder_that_qemu_cannot_name_is_refused(chain, tmp_path, name):
    with pytest.raises(OutputNotWritable, match="working files"):
        view_of(chain, tmp_path / name)
