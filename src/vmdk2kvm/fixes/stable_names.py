"""From a name the source machine gave a device to one that survives the move, or to a finding."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from vmdk2kvm.formats.device_names import stable_names
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.model.guest_os import FileSystem, GuestOs
from vmdk2kvm.model.report import Finding, Level

MOST_FINDINGS = 20  # of one file: a hostile one must not drown the report


@dataclass(frozen=True, slots=True, kw_only=True)
class NoStableName:
    """`problem` goes into the finding's id, `why` into its message."""

    problem: str
    why: str


def find_stable_name(
    os: GuestOs,
    name: str,
    *,
    fits: Callable[[FileSystem], bool],
    usable: Callable[[str], bool],
) -> str | NoStableName:
    """The best identity of the file system behind `name` that `usable` takes.

    `fits` says whether that file system can be what the place that names it expects.
    """
    filesystem = os.names.resolve(name)
    if filesystem is None:
        return NoStableName(
            problem="unresolved-name", why="no file system of this machine answers to that name"
        )
    return stable_name_of(os, filesystem, fits=fits, usable=usable)


def stable_name_of(
    os: GuestOs,
    filesystem: FileSystem,
    *,
    fits: Callable[[FileSystem], bool],
    usable: Callable[[str], bool],
) -> str | NoStableName:
    if not fits(filesystem):
        return NoStableName(
            problem="contradicting-type",
            why=f"that device holds {filesystem.type or 'nothing known'}, which cannot be meant here",
        )
    found = next(filter(usable, stable_names(filesystem, os.names.filesystems)), None)
    if found is None:
        return NoStableName(
            problem="no-stable-name",
            why="that device has no identity that is its own and can be written here",
        )
    return found


def is_swap(filesystem: FileSystem) -> bool:
    """ "swsuspend": swap that holds a hibernated system."""
    return filesystem.type in ("swap", "swsuspend")


def report(name: str, where: str, problem: NoStableName, *, prefix: str, level: Level) -> Finding:
    return Finding(
        id=f"{prefix}-{problem.problem}",
        level=level,
        message=visible(f'{where} names "{name}", which means nothing certain on KVM: {problem.why}.'),
        remedy="write the UUID= of the device meant (`blkid` lists them) there, before the move or after it.",
    )


def bounded(findings: Iterable[Finding], path: str) -> Iterator[Finding]:
    """Each finding once, and at most MOST_FINDINGS of them with one that counts the rest."""
    distinct = list(dict.fromkeys(findings))
    yield from distinct[:MOST_FINDINGS]
    rest = len(distinct) - MOST_FINDINGS
    if rest > 0:
        yield Finding(
            id="findings-cut-off",
            level=Level.WARNING,
            message=f'"{visible(path)}" in the guest gave {rest} more findings like these.',
            remedy="look at the file in the guest.",
        )
