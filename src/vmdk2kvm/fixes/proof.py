"""Run a rebuild, and believe it only after opening what it built.

The old image is kept outside the boot file system until the new one is proven; whatever goes
wrong in between, it is put back.
"""

from dataclasses import dataclass

from vmdk2kvm.errors import RebuildUnproven, Vmdk2KvmError
from vmdk2kvm.fixes.rebuild import ENVIRONMENT, TIMEOUT_S, recipe
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.initramfs import InitramfsError, scan
from vmdk2kvm.guest.protocol import CommandResult, GuestWriter
from vmdk2kvm.model.changes import Rebuild

SHOWN_LINES = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """`wrote` are the paths the tool really changed; `may_write` those it was expected to."""

    wrote: tuple[str, ...]
    may_write: tuple[str, ...]


def run_rebuild(guest: GuestWriter, rebuild: Rebuild, *, kept: str, move_away: bool) -> Rebuilt:
    """Build `rebuild.path` anew and prove it. Raises RebuildUnproven, the old image back in place.

    `kept` is where the old image lies meanwhile; `move_away` takes it out of its place first,
    for a file system that cannot hold both. A cancelled run puts nothing back: it ended the appliance.
    """
    image = guest.realpath(rebuild.path)
    guest.copy_within(image, kept)
    try:
        if move_away:
            guest.remove(image)
        return _build(guest, rebuild, anew=move_away)
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
    try:
        with guest.open(rebuild.path) as stream:
            modules = scan(stream).modules
    except InitramfsError as error:
        return f"the new image cannot be read ({error.message})"
    lacking = sorted(rebuild.must_hold - modules)
    return f"the new image lacks {', '.join(lacking)}" if lacking else None


def _put_back(guest: GuestWriter, kept: str, image: str) -> None:
    if guest.exists(image):  # half an image may fill the file system
        guest.remove(image)
    guest.copy_within(kept, image)


def _last_lines(result: CommandResult) -> str:
    lines = [line for line in result.output.split("\n") if line.strip()]
    return visible(" / ".join(lines[-SHOWN_LINES:])) or "nothing"
