import os
import stat
from pathlib import Path

import pytest

from vmdk2kvm.guest import sockets
from vmdk2kvm.guest.sockets import sweep_dead_sockets


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "tmp").mkdir()
    (tmp_path / "proc" / "net").mkdir(parents=True)
    (tmp_path / "proc" / "net" / "unix").write_bytes(b"")
    monkeypatch.setattr(sockets, "PLACE", tmp_path / "tmp")
    monkeypatch.setattr(sockets, "PROC", tmp_path / "proc")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)
    return tmp_path / "tmp"


def left(place: Path, name: str = "libguestfsAbC123", *, mtime_s: float = 100.0) -> Path:
    folder = place / name
    folder.mkdir()
    os.mknod(folder / "guestfsd.sock", stat.S_IFSOCK | 0o600)
    os.utime(folder, (mtime_s, mtime_s))
    return folder


def test_a_killed_runs_folder_goes(place):
    folder = left(place)
    sweep_dead_sockets(99.0)
    assert not folder.exists()


@pytest.mark.parametrize(("uid", "in_runtime_dir"), [(0, False), (1000, True)])
def test_only_root_keeps_its_sockets_in_tmp(place, tmp_path, monkeypatch, uid, in_runtime_dir):
    runtime = tmp_path / "run"
    runtime.mkdir()
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setattr(sockets.os, "geteuid", lambda: uid)
    folders = left(place), left(runtime)
    sweep_dead_sockets(99.0)
    assert [folder.exists() for folder in folders] == [in_runtime_dir, not in_runtime_dir]


def test_without_a_runtime_folder_a_users_sockets_are_in_tmp(place, monkeypatch):
    monkeypatch.setattr(sockets.os, "geteuid", lambda: 1000)
    folder = left(place)
    sweep_dead_sockets(99.0)
    assert not folder.exists()


def test_a_run_that_ended_well_left_nothing(place):
    folder = left(place)
    sweep_dead_sockets(None)
    assert folder.exists()


def test_an_older_folder_is_not_ours(place):
    folder = left(place, mtime_s=98.0)
    sweep_dead_sockets(99.0)
    assert folder.exists()


def test_a_bound_socket_is_alive(place):
    folder = left(place)
    (sockets.PROC / "net" / "unix").write_text(f"0000: 00000002 00 1 0001 01 12345 {folder}/guestfsd.sock\n")
    sweep_dead_sockets(99.0)
    assert folder.exists()


def test_a_socket_a_process_was_given_is_alive(place):
    folder = left(place)
    (sockets.PROC / "77").mkdir()
    (sockets.PROC / "77" / "cmdline").write_bytes(f"qemu\0path={folder}/guestfsd.sock\0".encode())
    sweep_dead_sockets(99.0)
    assert folder.exists()


def test_a_folder_with_anything_but_sockets_stays(place):
    folder = left(place)
    (folder / "notes").write_text("somebody's")
    os.utime(folder, (100.0, 100.0))
    sweep_dead_sockets(99.0)
    assert folder.exists()


def test_a_link_is_not_followed(place, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (place / "libguestfsLink").symlink_to(tmp_path / "elsewhere")
    sweep_dead_sockets(0.0)
    assert (tmp_path / "elsewhere").exists() and (place / "libguestfsLink").is_symlink()
