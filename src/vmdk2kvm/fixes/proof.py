"""Run a rebuild, and believe it only after opening what it built.

The old image is kept outside the boot file system until the new one is proven; whatever goes
wrong in between, it is put back. Where the guest's tool fails, the drivers are appended to the old
image instead, and that is proven the same way.
"""

from dataclasses import dataclass

from vmdk2kvm.errors import RebuildUnproven, StalePlan, Vmdk2KvmError
from vmdk2kvm.fixes import appendix
from vmdk2kvm.fixes.appendix import Appendix
from vmdk2kvm.fixes.journal import hash_of
from vmdk2kvm.fixes.rebuild import ENVIRONMENT, TIMEOUT_S, recipe
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.initramfs import InitramfsError, scan
from vmdk2kvm.formats.initramfs_appendix import NoAppendix
from vmdk2kvm.formats.initramfs_proof import lacking
from vmdk2kvm.guest.protocol import CommandResult, GuestReader, GuestWriter
from vmdk2kvm.model.changes import AppendInitramfs, Rebuild
from vmdk2kvm.model.report import Finding

SHOWN_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """`wrote` are the paths the tool really changed; `may_write` those it was expected to."""

    wrote: tuple[str, ...]
    may_write: tuple[str, ...]
    findings: tuple[Finding, ...] = ()


def run_rebuild(guest: GuestWriter, rebuild: Rebuild, *, kept: str, move_away: bool) -> Rebuilt:
    """Build `rebuild.path` anew and prove it. Raises RebuildUnproven, the old image back in place.

    `kept` is where the old image lies meanwhile; `move_away` takes it out of its place first,
    for a file system that cannot hold both. A cancelled run puts nothing back: it ended the appliance.
    """
    image = guest.realpath(rebuild.path)
    guest.copy_within(image, kept)
    mark = guest.mark()
    try:
        if move_away:
            guest.remove(image)
        return _build(guest, rebuild, anew=move_away)
    except RebuildUnproven as failed:
        _put_back(guest, kept, image)
        return _append_instead(guest, rebuild, failed, kept=kept, mark=mark)
    except (Vmdk2KvmError, OSError):
        _put_back(guest, kept, image)
        raise


def run_append(guest: GuestWriter, planned: AppendInitramfs, *, kept: str) -> None:
    """Append what `planned` says and prove it. Raises StalePlan, RebuildUnproven."""
    built = appendix.built_as_planned(guest, planned)
    if built is None:
        raise StalePlan(planned.path)
    guest.copy_within(guest.realpath(planned.path), kept)
    _append(guest, built, kept=kept)


def _append_instead(
    guest: GuestWriter, rebuild: Rebuild, failed: RebuildUnproven, *, kept: str, mark: str
) -> Rebuilt:
    """The drivers behind the old image. Raises `failed` where that cannot help."""
    if rebuild.stale_names:
        raise failed
    try:
        built = appendix.build(guest, path=rebuild.path, kernel=rebuild.kernel, must_hold=rebuild.must_hold)
    except NoAppendix as error:
        reason = visible(str(error))
        raise RebuildUnproven(
            failed.message,
            hint=f"{failed.hint}; nor can its drivers be appended to the old image: {reason}",
            path=failed.path,
        ) from error
    _append(guest, built, kept=kept)
    may_write = (*recipe(rebuild).may_write, guest.realpath(rebuild.path))
    finding = appendix.finding(built.change, f"{failed.message.rstrip('.')} ({failed.hint})")
    return Rebuilt(wrote=guest.changed_since(mark), may_write=may_write, findings=(finding,))


def _append(guest: GuestWriter, built: Appendix, *, kept: str) -> None:
    change = built.change
    image = guest.realpath(change.path)
    try:
        guest.append_bytes(image, built.content)
        problem = _problem_inside(guest, change.path, change.kernel, change.must_hold)
        if problem is None and hash_of(guest, image) != change.after_sha256:
            problem = "the image is not what was written"
        if problem is not None:
            raise RebuildUnproven(
                f'"{visible(change.path)}" in the guest could not be added to: {problem}; '
                "the old image was put back.",
                hint="install the guest's own tool for initramfs images, then run again.",
                path=change.path,
            )
    except (Vmdk2KvmError, OSError):
        _put_back(guest, kept, image)
        raise


def _build(guest: GuestWriter, rebuild: Rebuild, *, anew: bool) -> Rebuilt:
    how = recipe(rebuild, anew=anew)
    mark = guest.mark()
    result = guest.run(how.argv, timeout_s=TIMEOUT_S, env=ENVIRONMENT)
    wrote = guest.changed_since(mark)
    problem = _problem(guest, rebuild, result)
    if problem is not None:
        raise RebuildUnproven(
            f'"{rebuild.path}" in the guest could not be rebuilt: {problem}; the old image was put back.',
            hint=f"{how.argv[0]} said: {_last_lines(result)}",
            path=rebuild.path,
        )
    return Rebuilt(wrote=wrote, may_write=how.may_write)


def _problem(guest: GuestWriter, rebuild: Rebuild, result: CommandResult) -> str | None:
    """Why the new image is not to be trusted, None when it is."""
    if result.status != 0:
        return f"the tool ended with status {result.status}"
    if not guest.exists(rebuild.path):
        return "the tool left no image"
    return _problem_inside(guest, rebuild.path, rebuild.kernel, rebuild.must_hold, rebuild.must_keep)


def _problem_inside(
    guest: GuestReader, path: str, kernel: str, must_hold: frozenset[str], must_keep: tuple[str, ...] = ()
) -> str | None:
    try:
        with guest.open(path) as stream:
            contents = scan(stream, indexes=True)
    except InitramfsError as error:
        return f"the new image cannot be read ({error.message})"
    absent = sorted(lacking(contents, kernel, must_hold))
    absent += [path for path in must_keep if not contents.files.get(path, b"").strip()]
    return f"the new image lacks {', '.join(absent)}" if absent else None


def _put_back(guest: GuestWriter, kept: str, image: str) -> None:
    if guest.exists(image):  # half an image may fill the file system
        guest.remove(image)
    guest.copy_within(kept, image)


def _last_lines(result: CommandResult) -> str:
    lines = [line for line in result.output.split("\n") if line.strip()]
    return visible(" / ".join(lines[-SHOWN_LINES:])) or "nothing"
