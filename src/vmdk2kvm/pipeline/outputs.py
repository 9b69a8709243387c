"""Where the results of a VM go, and that nothing of somebody else's lies there.

Everything is checked before the first long step: a source is never a target, two results never share a
name, a file that no run of this VM wrote is not replaced, and every folder can be written.
"""

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.errors import OutputNotWritable, UsageError
from vmdk2kvm.formats import sha256sums
from vmdk2kvm.model.choices import FlattenMode
from vmdk2kvm.model.disk import DiskView
from vmdk2kvm.pipeline.context import Context
from vmdk2kvm.tools import whole_file

_CLAIMS = "targets.json"
_OUR_FILES = ("report.json", "report.md", "plan.json")
_OUR_FOLDERS = ("boot", ".vmdk2kvm")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """`flattened` is empty unless the flattened disks are wanted as files."""

    targets: tuple[Path, ...]
    flattened: tuple[Path, ...]
    sums: tuple[Path, ...]

    @property
    def images(self) -> tuple[Path, ...]:
        return (*self.targets, *self.flattened)


def outputs_of(run: Context) -> Outputs:
    settings, folder = run.settings, run.folder
    count, suffix = len(settings.vmdk), settings.out_format.suffix
    names = settings.to_output or tuple(Path(f"{folder.name}-disk{index}.{suffix}") for index in range(count))
    targets = tuple(folder.path / name for name in names)
    flattened = tuple(
        folder.path / f"{folder.name}-disk{index}-flattened.{suffix}"
        for index in range(count if settings.flatten is FlattenMode.MATERIALIZE else 0)
    )
    sums = {target.parent / sha256sums.FILE_NAME for target in targets} if settings.checksum else set()
    return Outputs(targets=targets, flattened=flattened, sums=tuple(sorted(sums)))


def claim(run: Context, views: Sequence[DiskView], outputs: Outputs) -> None:
    """Check every name and note it as ours, so that a killed run recognises its own files.

    Raises UsageError, OutputNotWritable, OutputFull.
    """
    _refuse_sources(_files(views), (*outputs.images, *outputs.sums))
    _refuse_reserved(run, outputs.images)
    _refuse_another_source(run)
    known = _known(run)
    for path in outputs.images:
        _refuse_foreign(run, path, known)
    for path in outputs.images:
        whole_file.probe(path)
    sources = [str(path.resolve()) for path in run.settings.vmdk]
    names = sorted(known | {str(path) for path in outputs.images})
    whole_file.write(_claims(run), json.dumps({"sources": sources, "targets": names}, indent=1))


def extra_report(run: Context, views: Sequence[DiskView], images: Sequence[Path]) -> Path | None:
    """Where --report wants a copy; never over a source, an image or a file of ours.

    Raises UsageError, OutputNotWritable, OutputFull.
    """
    path = run.settings.report
    if path is not None:
        _refuse_sources((*_files(views), *images), (path,))
        _refuse_reserved(run, (path,))
        whole_file.probe(path)
    return path


def _files(views: Sequence[DiskView]) -> tuple[Path, ...]:
    return tuple(file.path for view in views for file in view.files)


def holds_a_migration(run: Context) -> bool:
    return _claims(run).exists()


def _refuse_sources(files: Iterable[Path], paths: Iterable[Path]) -> None:
    sources = {os.path.realpath(file) for file in files}
    for path in paths:
        for written in (path, whole_file.part_of(path)):
            if os.path.realpath(written) in sources:
                raise UsageError(
                    f'"{written}" is a disk of the VM or a part of one, which is never written.',
                    hint="choose another name.",
                )


def _refuse_reserved(run: Context, paths: Sequence[Path]) -> None:
    own = [Path(os.path.realpath(run.folder.path / name)) for name in (*_OUR_FILES, sha256sums.FILE_NAME)]
    folders = [Path(os.path.realpath(run.folder.path / name)) for name in _OUR_FOLDERS]
    seen: set[Path] = set()
    for path in paths:
        real = Path(os.path.realpath(path))
        if real in own or any(folder in (real, *real.parents) for folder in folders):
            raise UsageError(
                f'"{path}" is a name this tool keeps for its own files.', hint="choose another name."
            )
        if real in seen:
            raise UsageError(f'"{path}" is named twice.', hint="give each result a name of its own.")
        seen.add(real)


def _refuse_another_source(run: Context) -> None:
    sources = _stored(run).get("sources")
    wanted = [str(path.resolve()) for path in run.settings.vmdk]
    if sources and sources != wanted and not run.settings.force:
        raise UsageError(
            f'"{run.folder.path}" holds the results of another source, "{sources[0]}".',
            hint="give this VM a name of its own with --vm-name, or replace the results with --force.",
        )


def _refuse_foreign(run: Context, path: Path, known: set[str]) -> None:
    with whole_file.translated(path):
        foreign = path.exists() and str(path) not in known
    if foreign and not run.settings.force:
        raise OutputNotWritable(
            f'"{path}" is there already and is not a result of this VM.',
            hint="move it away, choose another to_output, or replace it with --force.",
            path=path,
        )


def _known(run: Context) -> set[str]:
    return set(_stored(run).get("targets", ()))


def _stored(run: Context) -> dict[str, list[str]]:
    try:
        stored = json.loads(_claims(run).read_text("utf-8"))
        return {key: [str(one) for one in stored[key]] for key in ("sources", "targets")}
    except (OSError, ValueError, TypeError, KeyError):
        return {}


def _claims(run: Context) -> Path:
    return run.folder.records / _CLAIMS
