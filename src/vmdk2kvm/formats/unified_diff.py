"""Two contents of one file as a unified diff for a person to read (diff(1), POSIX "diff -U").

Lines end at "\\n" only. Control characters are shown as escapes, so the text is safe on a terminal
and a carriage return is seen; bytes that are no text are told by size and sum.
"""

import difflib
import hashlib

from vmdk2kvm.formats.escapes import visible

MAX_LINES = 20_000
NO_NEWLINE = "\\ No newline at end of file"


def unified_diff(path: str, before: bytes | None, after: bytes | None) -> str:
    """The diff of `path`, ending in a newline; None stands for a file that is not there."""
    old_name, new_name = _name("a", path, before), _name("b", path, after)
    old, new = _lines(before), _lines(after)
    if old is None or new is None:
        return f"--- {old_name}\n+++ {new_name}\n{_summary(before)} -> {_summary(after)}\n"
    lines = list(difflib.unified_diff(old, new, old_name, new_name))
    return "".join(map(_shown, lines)) or f"--- {old_name}\n+++ {new_name}\n"


def _name(side: str, path: str, content: bytes | None) -> str:
    return "/dev/null" if content is None else visible(f"{side}{path}")


def _lines(content: bytes | None) -> list[str] | None:
    """Lines with their ends; None for what cannot be shown as text."""
    if content is None or b"\0" in content:
        return [] if content is None else None
    text = content.decode("utf-8", "surrogateescape")
    lines = [f"{line}\n" for line in text.split("\n")]
    last = lines.pop()[:-1]
    return None if len(lines) > MAX_LINES else [*lines, *([last] if last else [])]


def _shown(line: str) -> str:
    if line.endswith("\n"):
        return visible(line)
    return f"{visible(line)}\n{NO_NEWLINE}\n"


def _summary(content: bytes | None) -> str:
    if content is None:
        return "nothing"
    return f"{len(content)} bytes, sha256 {hashlib.sha256(content).hexdigest()}"
