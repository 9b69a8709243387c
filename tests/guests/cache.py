"""What is expensive to make is made once: a folder outside the tree, one entry per content hash.

An entry appears by rename, so a killed build leaves nothing that looks whole; a lock per entry
lets two test processes ask for the same thing at once.
"""

import fcntl
import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


def root() -> Path:
    default = Path("~/.cache/vmdk2kvm-guests").expanduser()
    return Path(os.environ.get("TEST_GUESTS_CACHE", default))


def key(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def source_text(*module_files: str) -> str:
    """The code an entry depends on; a change of it makes a new entry."""
    return "\n".join(Path(file).read_text() for file in module_files)


def entry(name: str, build: Callable[[Path], None]) -> Path:
    """The folder `name`; `build` fills it in a scratch folder beside it when it is not there."""
    final = root() / name
    if final.is_dir():
        return final
    root().mkdir(parents=True, exist_ok=True)
    with lock(name):
        if final.is_dir():
            return final
        for killed in root().glob(f".{name}-*"):  # the lock is ours, so nobody works there
            shutil.rmtree(killed)
        scratch = Path(tempfile.mkdtemp(prefix=f".{name}-", dir=root()))
        try:
            build(scratch)
            scratch.chmod(0o755)
            scratch.rename(final)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return final


@contextmanager
def lock(name: str) -> Iterator[None]:
    with (root() / f".{name}.lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
