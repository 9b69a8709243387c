"""Walking a path inside a guest's root, link by link (path_resolution(7)).

A link with an absolute target starts again at the guest's root, and ".." stops there: no guest
path ever leads out of the guest.
"""

from collections.abc import Callable

from vmdk2kvm.errors import GuestError

MAX_LENGTH = 4095  # PATH_MAX
MAX_LINKS = 40  # what Linux follows before it says ELOOP


def parent(path: str) -> str:
    """The folder `path` stands in: "/etc/fstab" → "/etc", "/etc" → "/"."""
    return path.rpartition("/")[0] or "/"


def join(folder: str, name: str) -> str:
    return f"/{name}" if folder == "/" else f"{folder}/{name}"


def resolve(path: str, target_of: Callable[[str], str | None], *, follow_last: bool = True) -> str:
    """`path` without links, "." and "..". `target_of` answers a link's target, None for anything else.

    Components that are not there stay as they are. Raises GuestError where links run in a circle,
    and for a path that no kernel would take.
    """
    if len(path) > MAX_LENGTH:
        raise GuestError(
            f"a path in the guest has {len(path)} characters; none has more than {MAX_LENGTH}.",
            hint="look at the files that name it.",
        )
    waiting = _components(path)
    reached = "/"
    links = 0
    while waiting:
        name = waiting.pop()
        if name == "..":
            reached = parent(reached)
            continue
        here = join(reached, name)
        target = target_of(here) if waiting or follow_last else None
        if target is None:
            reached = here
            continue
        links += 1
        if links > MAX_LINKS:
            raise GuestError(
                f'"{path}" in the guest leads through more than {MAX_LINKS} symbolic links.',
                hint="repair the links in the guest, then run again.",
            )
        waiting.extend(_components(target))
        reached = "/" if target.startswith("/") else reached
    return reached


def _components(path: str) -> list[str]:
    """The names of a path, last first, as a stack to pop from."""
    return [name for name in reversed(path.split("/")) if name not in ("", ".")]
