"""CONVERT: one pass from overlay and source to the image file, all disks of a VM side by side."""

import hashlib
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.errors import Cancelled, OutputFull, UsageError
from vmdk2kvm.formats import sha256sums
from vmdk2kvm.model.disk import OutputFormat, Overlay, TargetDisk
from vmdk2kvm.model.progress import Progress
from vmdk2kvm.model.report import StageName
from vmdk2kvm.model.units import MIB, format_bytes
from vmdk2kvm.tools import qemu_img, whole_file
from vmdk2kvm.tools.qemu_img import ImageFile

_READ_BYTES = 4 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Converted:
    """The finished images, in the order of the overlays."""

    disks: tuple[TargetDisk, ...]


def run(
    overlays: Sequence[Overlay],
    targets: Sequence[Path],
    *,
    format: OutputFormat,
    compress: bool,
    checksum: bool,
    workers: int,
    on_progress: Callable[[Progress], None],
) -> Converted:
    """Write one image per overlay; with `checksum`, SHA256SUMS beside them.

    `on_progress` is called by one thread at a time. Raises UsageError, OutputFull,
    OutputNotWritable, ToolFailed; then nothing new stands under a target's name that is not whole.
    """
    _check_arguments(overlays, targets, format, compress=compress)
    work = _Work(format, compress=compress, checksum=checksum, on_progress=on_progress)
    reserved: list[Path] = []
    try:
        for target in targets:
            whole_file.reserve(target)
            reserved.append(target)
        if not compress:  # what a compressed image needs, nobody knows before
            _check_room(overlays, targets, format)
        disks = _convert_all(work, overlays, targets, workers)
    finally:
        for target in reserved:
            whole_file.part_of(target).unlink(missing_ok=True)
    if checksum:
        _write_sums(disks)
    return Converted(disks=disks)


def _check_arguments(
    overlays: Sequence[Overlay], targets: Sequence[Path], format: OutputFormat, *, compress: bool
) -> None:
    if len(overlays) != len(targets) or len(set(targets)) != len(targets):
        raise UsageError(
            f"{len(overlays)} disks need as many different output files, not {len(set(targets))}.",
            hint="give --to-output once for each disk, or leave it out.",
        )
    if compress and format is not OutputFormat.QCOW2:
        raise UsageError(
            f'the output format "{format.value}" cannot be compressed.',
            hint="leave out --compress, or take --out-format qcow2.",
        )


def _check_room(overlays: Sequence[Overlay], targets: Sequence[Path], format: OutputFormat) -> None:
    """Refuse before the copy what cannot fit; disks on one file system are added up."""
    needed: dict[int, int] = {}
    for overlay, target in zip(overlays, targets, strict=True):
        device = target.parent.stat().st_dev
        source = ImageFile(path=overlay.path, format="qcow2")
        needed[device] = needed.get(device, 0) + qemu_img.measure(source, format=format).required_bytes
        free = _free_bytes(target.parent)
        if needed[device] > free:
            raise OutputFull(
                f'"{target.parent}" has {format_bytes(free)} free, and the disks need up to '
                f"{format_bytes(needed[device])} there.",
                hint="free space there, or choose another --output-dir.",
                path=target.parent,
            )


def _free_bytes(folder: Path) -> int:
    status = os.statvfs(folder)
    return status.f_bavail * status.f_frsize


def _convert_all(
    work: "_Work", overlays: Sequence[Overlay], targets: Sequence[Path], workers: int
) -> tuple[TargetDisk, ...]:
    with ThreadPoolExecutor(max_workers=max(1, workers), thread_name_prefix="convert") as pool:
        futures = [
            pool.submit(work.convert, overlay, target)
            for overlay, target in zip(overlays, targets, strict=True)
        ]
        try:
            done, _ = wait(futures, return_when=FIRST_EXCEPTION)
            for future in done:
                future.result()
        except BaseException:
            work.stop.set()
            for future in futures:
                future.cancel()
            raise
    return tuple(future.result() for future in futures)


class _Work:
    """What all disks of one run share."""

    def __init__(
        self,
        format: OutputFormat,
        *,
        compress: bool,
        checksum: bool,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.stop = threading.Event()
        self._format = format
        self._compress = compress
        self._checksum = checksum
        self._on_progress = on_progress
        self._turn = threading.Lock()

    def convert(self, overlay: Overlay, target: Path) -> TargetDisk:
        with whole_file.appearing(target) as part:
            qemu_img.convert(
                ImageFile(path=overlay.path, format="qcow2"),
                part,
                format=self._format,
                compress=self._compress,
                on_fraction=lambda done: self._tell(overlay, done),
                stop=self.stop,
            )
            sha256 = self._sha256(part) if self._checksum else None
        return TargetDisk(
            path=target,
            format=self._format,
            virtual_size_bytes=overlay.view.virtual_size_bytes,
            sha256=sha256,
        )

    def _tell(self, overlay: Overlay, done: float) -> None:
        total = overlay.view.virtual_size_bytes
        progress = Progress(
            stage=StageName.CONVERT,
            disk=overlay.view.name,
            done_bytes=round(done * total),
            total_bytes=total,
        )
        with self._turn:
            self._on_progress(progress)

    def _sha256(self, path: Path) -> str:
        digest = hashlib.sha256()
        with path.open("rb", buffering=0) as file:
            while chunk := file.read(_READ_BYTES):
                if self.stop.is_set():
                    raise Cancelled
                digest.update(chunk)
        return digest.hexdigest()


def _write_sums(disks: Sequence[TargetDisk]) -> None:
    """One SHA256SUMS per folder; the lines of files not written now stay."""
    for folder in {disk.path.parent for disk in disks}:
        path = folder / sha256sums.FILE_NAME
        sums = sha256sums.parse(path.read_bytes()) if path.is_file() else {}
        sums = {name: digest for name, digest in sums.items() if (folder / name).is_file()}
        sums |= {disk.path.name: disk.sha256 for disk in disks if disk.path.parent == folder and disk.sha256}
        whole_file.reserve(path)
        with whole_file.appearing(path) as part, whole_file.translated(path):
            part.write_bytes(sha256sums.render(sums))
