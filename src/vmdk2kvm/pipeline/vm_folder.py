"""The folder of one VM's run: its lock, its log, its scratch space.

DIR/<vm>/                what the operator keeps
    .vmdk2kvm/lock       held (flock) by the run that works here
    .vmdk2kvm/log        every command and what it said, appended by each run
    .vmdk2kvm/records/   what is done, and for which inputs (pipeline/records)
    .vmdk2kvm/overlay/   the repairs, until the copy is made
    .vmdk2kvm/tmp/       temporary files of every tool, swept at each start
"""

import fcntl
import logging
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.errors import FolderLocked, UsageError
from vmdk2kvm.guest.sockets import sweep_dead_sockets
from vmdk2kvm.tools import whole_file

log = logging.getLogger(__name__)

_NOT_IN_A_NAME = re.compile(r"[^\w.+@ -]|^[.\s-]+|[.\s]+$")
_NAME_BYTES_MAX = 120
_STARTED = "started"


@dataclass(frozen=True, slots=True, kw_only=True)
class VmFolder:
    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    @property
    def state(self) -> Path:
        return self.path / ".vmdk2kvm"

    @property
    def records(self) -> Path:
        return self.state / "records"

    @property
    def overlay(self) -> Path:
        return self.state / "overlay"

    @property
    def tmp(self) -> Path:
        return self.state / "tmp"

    @property
    def boot(self) -> Path:
        return self.path / "boot"

    @property
    def plan(self) -> Path:
        return self.path / "plan.json"


def vm_name(wanted: str | None, first_disk: Path) -> str:
    """The VM's name as a folder name: letters, digits and `._+@ -`. Raises UsageError if none is left."""
    name = _NOT_IN_A_NAME.sub("_", wanted or first_disk.stem)
    name = name.encode()[:_NAME_BYTES_MAX].decode("utf-8", "ignore").strip()
    if not name.strip("_. "):
        raise UsageError(
            f'"{wanted or first_disk.stem}" leaves no usable VM name.',
            hint="give one with --vm-name.",
        )
    return name


@contextmanager
def open_folder(path: Path, *, keep_state: bool = True) -> Iterator[VmFolder]:
    """Create the folder, lock it and sweep what a killed run left.

    Without `keep_state` the hidden folder is removed at the end, unless an earlier run had left one.
    Raises FolderLocked, OutputNotWritable, OutputFull.
    """
    folder = VmFolder(path=path)
    with whole_file.translated(path):
        had_state = folder.state.exists()
        folder.state.mkdir(parents=True, exist_ok=True)
        lock = os.open(folder.state / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(lock, path)
        with whole_file.translated(path):
            sweep_dead_sockets(_last_start(folder.tmp))
            _empty(folder.tmp)
            folder.records.mkdir(exist_ok=True)
            handler = _log_to(folder.state / "log")
        try:
            yield folder
        except BaseException:
            log.debug("the run ends here", exc_info=True)
            raise
        finally:
            logging.getLogger("vmdk2kvm").removeHandler(handler)
            handler.close()
            shutil.rmtree(folder.tmp, ignore_errors=True)
            if not (keep_state or had_state):
                shutil.rmtree(folder.state, ignore_errors=True)
    finally:
        os.close(lock)


def _lock(lock: int, path: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise FolderLocked(path) from error


def _last_start(tmp: Path) -> float | None:
    """When the run began that left `tmp` behind, in seconds since the epoch; None: it ended well."""
    try:
        return (tmp / _STARTED).stat().st_mtime
    except FileNotFoundError:
        return None


def _empty(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir()
    (folder / _STARTED).touch()


def _log_to(path: Path) -> logging.Handler:
    handler = logging.FileHandler(path, encoding="utf-8", errors="backslashreplace")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logger = logging.getLogger("vmdk2kvm")
    logger.setLevel(logging.DEBUG)
    logger.addHandler(handler)
    return handler
