import errno
import os
from pathlib import Path

import pytest

from vmdk2kvm.errors import OutputFull, OutputNotWritable
from vmdk2kvm.tools import whole_file


def test_a_file_appears_whole(tmp_path):
    target = tmp_path / "new" / "disk.raw"
    whole_file.reserve(target)
    with whole_file.appearing(target) as part:
        part.write_bytes(b"all")
        assert not target.exists()
    assert target.read_bytes() == b"all"
    assert list(target.parent.iterdir()) == [target]


def test_it_is_synced_before_it_is_renamed_and_its_folder_after(tmp_path, monkeypatch):
    target = tmp_path / "disk.raw"
    events = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os, "fsync", lambda fd: events.append(str(Path(f"/proc/self/fd/{fd}").readlink())) or fsync(fd)
    )
    monkeypatch.setattr(os, "replace", lambda *paths: events.append("renamed") or replace(*paths))
    with whole_file.appearing(target) as part:
        part.write_bytes(b"all")
    assert events == [str(part), "renamed", str(tmp_path)]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_after_an_error_nothing_is_left_and_the_old_file_stays(tmp_path, error):
    target = tmp_path / "disk.raw"
    target.write_bytes(b"old")
    with pytest.raises(error), whole_file.appearing(target) as part:
        part.write_bytes(b"half")
        raise error
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"disk.raw": b"old"}


def test_what_a_killed_run_left_is_not_in_the_way(tmp_path):
    target = tmp_path / "disk.raw"
    whole_file.part_of(target).write_bytes(b"half")
    whole_file.reserve(target)
    assert whole_file.part_of(target).read_bytes() == b""


def test_a_link_at_the_part_is_not_followed(tmp_path):
    target, victim = tmp_path / "disk.raw", tmp_path / "victim"
    victim.write_bytes(b"precious")
    whole_file.part_of(target).symlink_to(victim)
    whole_file.reserve(target)
    assert not whole_file.part_of(target).is_symlink()
    assert victim.read_bytes() == b"precious"


@pytest.mark.parametrize(
    ("number", "error"),
    [(errno.ENOSPC, OutputFull), (errno.EDQUOT, OutputFull), (errno.EROFS, OutputNotWritable)],
)
def test_the_hosts_refusals_are_translated(tmp_path, number, error):
    with pytest.raises(error) as caught, whole_file.translated(tmp_path / "x"):
        raise OSError(number, os.strerror(number))
    assert caught.value.path == tmp_path / "x"
    assert caught.value.exit_code == 6


@pytest.mark.parametrize(
    ("number", "in_the_way"), [(errno.ENOTDIR, True), (errno.EEXIST, True), (errno.EACCES, False)]
)
def test_the_hint_fits_a_result_wherever_it_was_asked_for(tmp_path, number, in_the_way):
    hint = whole_file.output_error(tmp_path / "x", number, "no").hint
    assert "another --output-dir or to_output" in hint
    assert hint.startswith("a part of its path is a file") == in_the_way


def test_writeback_is_only_a_hint(tmp_path):
    whole_file.start_writeback(tmp_path / "absent")
    (tmp_path / "file").write_bytes(b"x" * 10000)
    whole_file.start_writeback(tmp_path / "file")
