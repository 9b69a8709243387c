import logging
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import FolderLocked, OutputNotWritable, UsageError
from vmdk2kvm.pipeline.vm_folder import open_folder, vm_name


def test_the_name_is_the_wanted_one_or_the_first_disks_stem():
    assert vm_name(None, Path("/vms/web 01.vmdk")) == "web 01"
    assert vm_name("db", Path("/vms/web.vmdk")) == "db"


@given(st.text(max_size=300))
def test_a_name_is_always_one_harmless_path_component(text):
    try:
        name = vm_name(text or None, Path("disk.vmdk"))
    except UsageError:
        return
    assert "/" not in name and name not in {".", ".."} and not name.startswith((".", "-"))
    assert name.isprintable() and len(name.encode()) <= 120


@pytest.mark.parametrize("wanted", ["..", "///", "\n", "..."])
def test_a_name_of_nothing_usable_is_refused(wanted):
    with pytest.raises(UsageError):
        vm_name(wanted, Path("disk.vmdk"))


def test_two_runs_on_one_folder_do_not_meet(tmp_path):
    with open_folder(tmp_path / "vm"), pytest.raises(FolderLocked) as caught:
        with open_folder(tmp_path / "vm"):
            pass
    assert caught.value.folder == tmp_path / "vm"
    with open_folder(tmp_path / "vm"):
        pass


def test_what_a_killed_run_left_in_tmp_is_swept(tmp_path):
    with open_folder(tmp_path / "vm") as folder:
        left = folder.tmp / "left" / "over"
    left.parent.mkdir(parents=True)
    left.write_text("x")
    with open_folder(tmp_path / "vm") as folder:
        assert not left.exists()


def test_a_run_that_keeps_nothing_leaves_nothing(tmp_path):
    with open_folder(tmp_path / "vm", keep_state=False) as folder:
        (folder.tmp / "scratch").write_text("x")
        (folder.path / "plan.json").write_text("{}")
    assert [path.name for path in (tmp_path / "vm").iterdir()] == ["plan.json"]


def test_a_run_that_keeps_nothing_leaves_an_earlier_runs_records(tmp_path):
    with open_folder(tmp_path / "vm") as folder:
        (folder.records / "fix.json").write_text("{}")
    with open_folder(tmp_path / "vm", keep_state=False):
        pass
    assert (tmp_path / "vm" / ".vmdk2kvm" / "records" / "fix.json").exists()


def test_a_file_where_the_folder_should_be_is_told(tmp_path):
    (tmp_path / "vm").write_text("a file")
    with pytest.raises(OutputNotWritable) as caught, open_folder(tmp_path / "vm"):
        pass
    assert caught.value.path == tmp_path / "vm"


def test_the_log_is_the_runs_own(tmp_path):
    with open_folder(tmp_path / "vm") as folder:
        logging.getLogger("vmdk2kvm.tools.run").debug("run qemu-img %s", "\udcff")
    logging.getLogger("vmdk2kvm").debug("after the run")
    text = (folder.state / "log").read_text()
    assert "run qemu-img \\udcff" in text and "after the run" not in text
