"""Taking repairs back in finished images, which are written here and nowhere else.

The guest is changed in an overlay beside each image ("web.qcow2.undo"). Only when all overlays are
whole do they get that name, and only then are they written into the images. A run killed before
leaves the images as they were; one killed meanwhile is finished by the next, from the same overlays.
"""

from collections.abc import Sequence
from pathlib import Path

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.fixes import undo as fix_undo
from vmdk2kvm.fixes.undo import Undone
from vmdk2kvm.guest import inspection
from vmdk2kvm.model.report import StageName
from vmdk2kvm.pipeline import assemble
from vmdk2kvm.pipeline.context import Context
from vmdk2kvm.pipeline.migrate import leaving_no_folder, opened
from vmdk2kvm.pipeline.proof import Image, probe_images
from vmdk2kvm.pipeline.timeline import Listener
from vmdk2kvm.stages import validate
from vmdk2kvm.tools import qemu_img, whole_file

SUFFIX = ".undo"


def undo(settings: Settings, listener: Listener) -> Undone:
    """Put back the files of the guest in `settings.image`, all disks of one machine.

    Raises ChangedSinceRepair and GuestError before an image is written; OutputFull,
    OutputNotWritable and ToolFailed also while one is: then the same command finishes it.
    """
    images = probe_images(settings.image)
    with leaving_no_folder(settings), opened(settings, listener, keep_state=False) as run:
        _finish_killed(run, settings.image)
        overlays = _overlays(images)
        try:
            with run.timeline.stage(StageName.FIX), assemble.opened(run, overlays) as session:
                inspection.mount_whole(session)
                undone = fix_undo.undo(session)
            if undone.plans:
                _ready(settings.image)
                _write(settings.image)
        finally:
            for overlay in overlays:
                overlay.unlink(missing_ok=True)
    return undone


def overlay_of(image: Path) -> Path:
    return image.with_name(image.name + SUFFIX)


def _overlays(images: Sequence[Image]) -> tuple[Path, ...]:
    """Empty ones, under the names of files that are not whole yet."""
    found = []
    for path, format in images:
        part = whole_file.part_of(overlay_of(path))
        part.unlink(missing_ok=True)
        validate.create_overlay(part, path, format)
        found.append(part)
    return tuple(found)


def _ready(images: Sequence[Path]) -> None:
    """The overlays get their names in the images' order, so that the last one says: all are whole."""
    for image in images:
        whole_file.keep(overlay_of(image))


def _finish_killed(run: Context, images: Sequence[Path]) -> None:
    overlays = [overlay_of(image) for image in images]
    if all(overlay.exists() for overlay in overlays):
        run.note("an undo that was interrupted is finished first.")
        _write(images)
    for overlay in reversed(overlays):
        overlay.unlink(missing_ok=True)


def _write(images: Sequence[Path]) -> None:
    for image in images:
        qemu_img.commit(overlay_of(image), image=image)
        whole_file.sync(image)
    for image in reversed(images):  # the last name goes first: fewer than all mean that nothing is owed
        overlay_of(image).unlink()
