"""/lib/modules/<version>: modules.dep and modules.builtin (modules.dep(5), kbuild documentation).

The kernel takes "-" and "_" in a module's name for the same; names here are written with "_".
"""

import re
from collections.abc import Iterable, Mapping

_MODULE = re.compile(r"(?:^|/)([^/]+)\.ko(?:\.(?:gz|xz|zst|bz2|lzma))?$")


def normalised(name: str) -> str:
    """ "virtio-blk" → "virtio_blk"."""
    return name.replace("-", "_")


def module_of_path(path: str) -> str | None:
    """The module a file holds ("kernel/fs/ext4/ext4.ko.xz" → "ext4"), None for any other file."""
    match = _MODULE.search(path)
    return normalised(match[1]) if match else None


def parse_dependencies(text: str) -> dict[str, frozenset[str]]:
    """modules.dep: each module of a kernel with the modules it needs directly or not."""
    found: dict[str, frozenset[str]] = {}
    for line in text.split("\n"):
        module, _, needed = line.partition(":")
        name = module_of_path(module.strip())
        if name is not None:
            found[name] = frozenset(filter(None, map(module_of_path, needed.split())))
    return found


def parse_builtin(text: str) -> frozenset[str]:
    """modules.builtin: the modules compiled into a kernel."""
    return frozenset(filter(None, (module_of_path(line.strip()) for line in text.split("\n"))))


def with_dependencies(names: Iterable[str], dependencies: Mapping[str, frozenset[str]]) -> frozenset[str]:
    """`names` and every module they need, to the end."""
    reached: set[str] = set()
    waiting = [normalised(name) for name in names]
    while waiting:
        name = waiting.pop()
        if name not in reached:
            reached.add(name)
            waiting.extend(dependencies.get(name, ()))
    return frozenset(reached)
