"""Small guests inside one running appliance.

Launching an appliance costs most of the time a test takes, so one appliance holds the disks of many
guests. `Shelf.guest` shows a session over some of them as if they were all there is: it rewrites what
the appliance says about its disks, and hides the rest.
"""

import io
import re
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmdk2kvm.guest import appliance_devices
from vmdk2kvm.guest.appliance import Appliance, ShellResult
from vmdk2kvm.guest.memory import File, Folder, Link, Node, Special
from vmdk2kvm.guest.offline import open_guest
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.model.units import MIB
from vmdk2kvm.tools.accelerator import probe
from vmdk2kvm.tools.run import run

_SCSI = re.compile(r"^scsi=(\d+:\d+):(\d+):(\d+)$", re.MULTILINE)
_MAPPED = re.compile(r"^dm_name=(\S+)\ndm_uuid=.*$", re.MULTILINE)


class _FewDisks(Appliance):
    """The same appliance, showing the disks `first`… as the only ones."""

    def __init__(self, whole: Appliance, first: int, count: int, groups: Sequence[str]) -> None:
        super().__init__(whole._handle)
        self._disks = {first + index: index for index in range(count)}
        self._groups = groups

    def shell(self, script: str, **options: Any) -> ShellResult:
        result = super().shell(script, **options)
        if script is not appliance_devices.SCRIPT:
            return result
        text = _SCSI.sub(self._renumbered, result.text)
        return ShellResult(status=result.status, output=_MAPPED.sub(self._hidden, text).encode())

    def _renumbered(self, match: re.Match[str]) -> str:
        shown = self._disks.get(int(match[2]), 9999)
        return f"scsi={match[1]}:{shown}:{match[3]}"

    def _hidden(self, match: re.Match[str]) -> str:
        ours = match[1].startswith(tuple(f"{group}-" for group in self._groups))
        return match[0] if ours else f"dm_name={match[1]}\ndm_uuid=LVM-hidden"


class Shelf:
    """A running appliance with blank disks to build guests on."""

    def __init__(self, whole: OfflineGuest, sizes_mib: Sequence[int], scratch: Path) -> None:
        self._whole = whole
        self._left = list(enumerate(sizes_mib))
        self._scratch = scratch

    @contextmanager
    def guest(self, script: str, *, disks: int = 1, groups: Sequence[str] = ()) -> Iterator[OfflineGuest]:
        """A session over the next `disks` disks after `script` ran; $A, $B… are their devices."""
        taken, self._left = self._left[:disks], self._left[disks:]
        appliance = _FewDisks(self._whole._appliance, taken[0][0], disks, groups)
        session = OfflineGuest(appliance, disk_count=disks, scratch=self._scratch)
        session.block_devices()
        names = [session._inner_names[appliance_devices.disk_name(index)] for index in range(disks)]
        variables = "".join(f"{letter}={name}\n" for letter, name in zip("ABCD", names, strict=False))
        done = appliance.shell(f"set -e\n{variables}\nexec 2>&1\n{script}\nudevadm settle")
        assert done.status == 0, done.text
        session.block_devices()
        try:
            yield session
        finally:
            session.unmount_all()


@contextmanager
def shelf(sizes_mib: Sequence[int], folder: Path) -> Iterator[Shelf]:
    overlays = []
    for index, size in enumerate(sizes_mib):
        overlay = folder / f"disk{index}.qcow2"
        run(["qemu-img", "create", "-q", "-f", "qcow2", str(overlay), str(size * MIB)])
        overlays.append(overlay)
    with open_guest(overlays, scratch=folder, accelerator=probe(), memory_mib=1024) as whole:
        yield Shelf(whole, sizes_mib, folder)


def fill(session: OfflineGuest, files: Mapping[str, bytes | str | Node]) -> None:
    """Put files into what is mounted."""
    with tempfile.NamedTemporaryFile() as archive:
        with tarfile.open(fileobj=archive, mode="w") as tar:
            for path, node in files.items():
                _add(tar, path.lstrip("/"), node)
        archive.flush()
        session._appliance.call("tar_in", archive.name, "/")


def empty(session: OfflineGuest) -> None:
    session._appliance.shell("find /sysroot -xdev -mindepth 1 -delete")


def _add(tar: tarfile.TarFile, name: str, node: bytes | str | Node) -> None:
    entry = tarfile.TarInfo(name)
    entry.mode = 0o755 if isinstance(node, Folder) else 0o644
    content = b""
    match node:
        case Folder():
            entry.type, entry.mode = tarfile.DIRTYPE, node.mode
        case Link():
            entry.type, entry.linkname = tarfile.SYMTYPE, node.target
        case Special():
            entry.type, entry.mode = tarfile.FIFOTYPE, node.mode
        case File():
            content, entry.mode, entry.uid, entry.gid = node.content, node.mode, node.uid, node.gid
        case str():
            content = node.encode("utf-8", "surrogateescape")
        case bytes():
            content = node
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))
