import pytest

from tests.guests import vmdk_writer as writer
from vmdk2kvm.errors import UsageError
from vmdk2kvm.stages import fetch


def test_disks_keep_their_order_and_names(tmp_path):
    paths = [tmp_path / name for name in ("system.vmdk", "data.vmdk")]
    for path in paths:
        writer.write_vmfs_flat(path, bytes(512))
    chains = fetch.run(paths, allow_external_extents=False).chains
    assert [(chain.index, chain.name) for chain in chains] == [(0, "system"), (1, "data")]


def test_one_disk_given_twice_is_an_error(tmp_path):
    writer.write_vmfs_flat(tmp_path / "disk.vmdk", bytes(512))
    (tmp_path / "link.vmdk").symlink_to("disk.vmdk")
    with pytest.raises(UsageError, match="twice"):
        fetch.run([tmp_path / "disk.vmdk", tmp_path / "link.vmdk"], allow_external_extents=False)
