"""Drivers for an initramfs that no tool in the guest can rebuild: an archive appended to it.

Built from the guest alone, the same each time, so that a plan needs to hold only its sums.
"""

import hashlib
from dataclasses import dataclass

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats import initramfs_appendix as form
from vmdk2kvm.formats.decompress import unpacked
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.initramfs import InitramfsContents, scan
from vmdk2kvm.formats.initramfs_appendix import Addition, NoAppendix
from vmdk2kvm.formats.kernel_modules import ModuleFile, normalised, parse_aliases, parse_files
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import AppendInitramfs
from vmdk2kvm.model.report import Finding, Level
from vmdk2kvm.model.units import MIB

MAX_MODULE_BYTES = 64 * MIB
_PIECE_BYTES = MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Appendix:
    """`content` is what has to stand behind the image; `change` says so in sums."""

    change: AppendInitramfs
    content: bytes


def build(guest: GuestReader, *, path: str, kernel: str, must_hold: frozenset[str]) -> Appendix:
    """What makes the image at `path` hold `must_hold`. Raises NoAppendix, which says why not."""
    try:
        with guest.open(path) as stream:
            contents = scan(stream, indexes=True)
        files, folders = _files(guest, contents, kernel, must_hold)
        size_bytes = guest.stat(guest.realpath(path)).size_bytes
        archive = form.archive(files, folders)
        content = form.appendix(archive, image_bytes=size_bytes, form=form.form_of(contents))
        before, after = _sums(guest, path, content)
    except FileNotFoundError as error:
        raise NoAppendix(f"the guest has no {error}") from error
    except GuestError as error:
        raise NoAppendix(error.message) from error
    change = AppendInitramfs(
        path=path,
        kernel=kernel,
        files=tuple((name, hashlib.sha256(each).hexdigest()) for name, each in files.items()),
        must_hold=must_hold,
        before_bytes=size_bytes,
        before_sha256=before,
        after_bytes=size_bytes + len(content),
        after_sha256=after,
    )
    return Appendix(change=change, content=content)


def built_as_planned(guest: GuestReader, planned: AppendInitramfs) -> Appendix | None:
    """What `planned` speaks of, None where the guest no longer gives it."""
    try:
        built = build(guest, path=planned.path, kernel=planned.kernel, must_hold=planned.must_hold)
    except NoAppendix:
        return None
    return built if built.change == planned else None


def finding(change: AppendInitramfs, why: str) -> Finding:
    """What the operator has to know of an image that was added to."""
    return Finding(
        id="initramfs-appended",
        level=Level.WARNING,
        message=f'the drivers of KVM\'s disks were appended to "{visible(change.path)}": {why}.',
        remedy="it boots so; before the guest's next kernel update, see to it that its own tool works "
        "and puts virtio_pci, virtio_blk, virtio_scsi and sd_mod into the initramfs.",
    )


def _files(
    guest: GuestReader, contents: InitramfsContents, kernel: str, must_hold: frozenset[str]
) -> tuple[dict[str, bytes], tuple[str, ...]]:
    """Every file of the archive, and the folders it may have to make."""
    folder = form.folder_of(contents, kernel)
    addition = _addition(guest, kernel, sorted(must_hold - contents.modules))
    files = {
        form.place_of(folder, name): _module(guest, kernel, addition.files[name]) for name in addition.names
    }
    files |= form.indexes(contents, folder, addition)
    files |= form.load_lists(contents, sorted(must_hold))
    return files, form.folders_made(folder)


def _addition(guest: GuestReader, kernel: str, names: list[str]) -> Addition:
    modules = f"/lib/modules/{kernel}"
    files = parse_files(guest.read_text(f"{modules}/modules.dep"))
    unknown = [name for name in names if name not in files]
    if unknown or not names:
        raise NoAppendix(f"the guest has no module {', '.join(unknown)}" if unknown else "it lacks no driver")
    wanted = frozenset(names)
    aliases = parse_aliases(guest.read_text(f"{modules}/modules.alias"))
    return Addition(
        names=names, files=files, aliases=[each for each in aliases if normalised(each[1]) in wanted]
    )


def _module(guest: GuestReader, kernel: str, file: ModuleFile) -> bytes:
    """A module as it is loaded: not every image can unpack what the root file system's modprobe can."""
    path = file.path if file.path.startswith("/") else f"/lib/modules/{kernel}/{file.path}"
    return unpacked(guest.read_bytes(path), MAX_MODULE_BYTES)


def _sums(guest: GuestReader, path: str, content: bytes) -> tuple[str, str]:
    """The SHA-256 of the image as it is, and with `content` behind it."""
    digest = hashlib.sha256()
    with guest.open(path) as stream:
        while piece := stream.read(_PIECE_BYTES):
            digest.update(piece)
    after = digest.copy()
    after.update(content)
    return digest.hexdigest(), after.hexdigest()
