"""/lib/modules/<version>: modules.dep and modules.builtin (modules.dep(5), kbuild documentation).

The kernel takes "-" and "_" in a module's name for the same; names here are written with "_".
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

_MODULE = re.compile(r"(?:^|/)([^/]+)\.ko(?:\.(?:gz|xz|zst|bz2|lzma))?$")

_BRACKETS = re.compile(r"(\[[^\]]*\])")


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


@dataclass(frozen=True, slots=True, kw_only=True)
class ModuleFile:
    """`path` and `needs` (the paths of all it needs, nearest first) lie below /lib/modules/VERSION."""

    path: str
    needs: tuple[str, ...]


def parse_files(text: str) -> dict[str, ModuleFile]:
    """modules.dep: the file of each module and the files it needs."""
    found: dict[str, ModuleFile] = {}
    for line in text.split("\n"):
        path, _, needed = line.partition(":")
        name = module_of_path(path.strip())
        if name is not None:
            found[name] = ModuleFile(path=path.strip(), needs=tuple(needed.split()))
    return found


def parse_aliases(text: str) -> list[tuple[str, str]]:
    """modules.alias: (pattern, module), as written."""
    lines = (line.split() for line in text.split("\n"))
    return [(words[1], normalised(words[2])) for words in lines if len(words) == 3 and words[0] == "alias"]


def alias_key(pattern: str) -> str:
    """A pattern as an index holds it: "-" is "_", but not in brackets."""
    parts = _BRACKETS.split(pattern)
    return "".join(part if index % 2 else normalised(part) for index, part in enumerate(parts))


def parse_softdeps(text: str) -> dict[str, frozenset[str]]:
    """modules.softdep: what each module wants loaded before it ("softdep NAME pre: A B post: C")."""
    found: dict[str, frozenset[str]] = {}
    for words in (line.split() for line in text.split("\n")):
        if len(words) > 2 and words[0] == "softdep":
            kind, before = "", set()
            for word in words[2:]:
                kind = word if word.endswith(":") else kind
                if kind == "pre:" and word != kind:
                    before.add(normalised(word))
            name = normalised(words[1])
            found[name] = found.get(name, frozenset()) | before
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
