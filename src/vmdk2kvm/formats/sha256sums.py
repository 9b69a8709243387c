"""SHA256SUMS as sha256sum(1) writes and checks it: one "digest  name" per line.

A name that holds a backslash or a line end is escaped, and its line then starts with a backslash.
"""

import os
import re
from collections.abc import Mapping

FILE_NAME = "SHA256SUMS"

_LINE = re.compile(r"(\\?)([0-9a-f]{64}) [ *](.+)")
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r"}
_UNESCAPES = {escaped: char for char, escaped in _ESCAPES.items()}


def parse(data: bytes) -> dict[str, str]:
    """Digest by file name; a line that is not a sum is left out."""
    matches = map(_LINE.fullmatch, os.fsdecode(data).split("\n"))
    return {_unescape(match[3]) if match[1] else match[3]: match[2] for match in matches if match}


def render(digests: Mapping[str, str]) -> bytes:
    return os.fsencode("".join(_render_line(name, digests[name]) for name in sorted(digests)))


def _render_line(name: str, digest: str) -> str:
    escaped = "".join(_ESCAPES.get(char, char) for char in name)
    mark = "\\" if escaped != name else ""
    return f"{mark}{digest}  {escaped}\n"


def _unescape(name: str) -> str:
    return re.sub(r"\\[\\nr]", lambda match: _UNESCAPES[match[0]], name)
