"""file_contexts(5): which SELinux label a policy has for each path.

A line is a pattern for the whole path, maybe a type of file ("-d"), and a label; "<<none>>" is none.
Lines of file_contexts.homedirs and then of file_contexts.local follow those of file_contexts. The last
line that fits holds, and one without metacharacters comes after all that have some. file_contexts.subs
and .subs_dist say which paths are looked up as others (selabel_file(5)).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache

from vmdk2kvm.formats.linear_pattern import Effort, NotRead, Pattern, compile_pattern

REGULAR = "--"
FOLDER = "-d"
LINK = "-l"
_TYPES = frozenset({REGULAR, FOLDER, LINK, "-b", "-c", "-p", "-s"})
MAX_EFFORT = 400_000  # for one path; Fedora's 9,000 lines take less than a fifth of it
_META = frozenset(".^$?*+|[({")
_NONE = "<<none>>"

compiled = lru_cache(maxsize=4096)(compile_pattern)


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """`type` None: any. `label` None: such a path gets none."""

    pattern: str
    type: str | None
    label: str | None
    start: str  # how every path that fits begins
    is_exact: bool


@dataclass(frozen=True, kw_only=True)
class FileContexts:
    """`lines` in the order they stand; `subs` are lists of (path, looked up as), one after the other."""

    lines: tuple[Line, ...]
    subs: tuple[tuple[tuple[str, str], ...], ...] = ()

    def label(self, path: str, type: str) -> str | None:
        """The label of a path without links in it. Raises NotRead where a line may fit and is not read."""
        effort = Effort(MAX_EFFORT)
        for pairs in self.subs:
            path = _substituted(pairs, path)
        for line in self._in_order:
            if line.type in (None, type) and path.startswith(line.start) and _fits(line, path, effort):
                return line.label
        return None

    @cached_property
    def _in_order(self) -> tuple[Line, ...]:
        """The one that holds first."""
        exact = [line for line in self.lines if line.is_exact]
        others = [line for line in self.lines if not line.is_exact]
        return tuple(reversed((*others, *exact)))


def parse(texts: Sequence[str], subs: Sequence[str] = ()) -> FileContexts:
    """`texts` of file_contexts, .homedirs and .local; `subs` of .subs and .subs_dist."""
    lines = (line for text in texts for raw in text.split("\n") if (line := _line(raw)))
    return FileContexts(lines=tuple(lines), subs=tuple(tuple(_pairs(text)) for text in subs))


def _line(raw: str) -> Line | None:
    words = raw.split()
    if len(words) not in (2, 3) or words[0].startswith("#"):
        return None
    pattern, label = words[0], words[-1]
    type = words[1] if len(words) == 3 else None
    if type is not None and type not in _TYPES:
        return None
    start, is_exact = _start(pattern)
    return Line(
        pattern=pattern, type=type, label=None if label == _NONE else label, start=start, is_exact=is_exact
    )


def _start(pattern: str) -> tuple[str, bool]:
    """The plain text a pattern begins with, and whether it is nothing else."""
    plain: list[str] = []
    at = 0
    while at < len(pattern) and pattern[at] not in _META:
        at += pattern[at] == "\\"
        escaped = at > 0 and pattern[at - 1] == "\\"
        if escaped and pattern[at : at + 1].isalnum():
            return "".join(plain), False  # a class, such as \d
        plain.append(pattern[at : at + 1])
        at += 1
    if at >= len(pattern):
        return "".join(plain), True
    if pattern[at] in "?*{":
        plain = plain[:-1]
    return ("" if _has_choice(pattern) else "".join(plain)), False


def _has_choice(pattern: str) -> bool:
    """Whether a "|" stands outside all parentheses; brackets are not told apart, which is safe."""
    depth = 0
    for character in pattern:
        depth += (character == "(") - (character == ")")
        if character == "|" and depth <= 0:
            return True
    return False


def _fits(line: Line, path: str, effort: Effort) -> bool:
    if line.is_exact:
        return path == line.start
    pattern = _pattern(line.pattern)
    effort.spend(len(pattern.code) // 16)  # what it takes to compile
    return pattern.matches(path, effort)


def _pattern(text: str) -> Pattern:
    try:
        return compiled(text)
    except NotRead as error:
        raise NotRead(f'"{text}": {error}') from error


def _substituted(pairs: Sequence[tuple[str, str]], path: str) -> str:
    """By the last pair that fits: libselinux puts each new one in front."""
    for source, target in reversed(pairs):
        if path == source or path.startswith(f"{source}/"):
            rest = path[len(source) :]
            return target + (rest[1:] if target == "/" and rest else rest)
    return path


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for raw in text.split("\n"):
        words = raw.split()
        if len(words) >= 2 and not words[0].startswith("#"):
            yield words[0], words[1]
