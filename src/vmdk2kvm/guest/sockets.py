"""libguestfs' socket folders that outlive a killed run.

libguestfs makes libguestfsXXXXXX in XDG_RUNTIME_DIR, for root and where that is not set in /tmp, whatever
TMPDIR says (guestfs(3), "guestfs_get_sockdir"), and removes it when the handle is closed; a process
killed with -9 closes nothing. Only what is surely dead and can be ours is removed: made since the killed
run began, nothing but sockets in it, none of them bound by any process here, and named on no command line.
"""

import os
import shutil
import stat
from pathlib import Path

PLACE = Path("/tmp")
PROC = Path("/proc")


def sweep_dead_sockets(since_s: float | None) -> None:
    """Remove what a run that began at `since_s` left; None: nothing was left."""
    if since_s is None:
        return
    for folder in _place().glob("libguestfs*"):
        if _can_be_ours(folder, since_s) and not _is_used(folder):
            shutil.rmtree(folder, ignore_errors=True)


def _place() -> Path:
    own = os.environ.get("XDG_RUNTIME_DIR")
    return Path(own) if own and os.geteuid() != 0 else PLACE


def _can_be_ours(folder: Path, since_s: float) -> bool:
    try:
        if folder.lstat().st_mtime < since_s or not stat.S_ISDIR(folder.lstat().st_mode):
            return False
        return all(stat.S_ISSOCK(path.lstat().st_mode) for path in folder.iterdir())
    except OSError:
        return False


def _is_used(folder: Path) -> bool:
    name = str(folder).encode()
    if name in _content(PROC / "net" / "unix"):
        return True
    return any(name in _content(path) for path in PROC.glob("[0-9]*/cmdline"))


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""
