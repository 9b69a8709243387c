"""Text of unknown origin, made safe to show: C0, C1 and bidirectional controls become escapes.

A file name or a line of a guest may hold ESC sequences that repaint a terminal (ECMA-48).
"""

import re

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: str) -> str:
    """`text` with every control character but tab and newline written as an escape."""
    return _CONTROLS.sub(_escape, text)


def one_line(text: str) -> str:
    """`text` made visible, on one line."""
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    code = ord(match.group())
    if 0xDC80 <= code <= 0xDCFF:  # a byte that was not utf-8 (surrogateescape)
        code -= 0xDC00
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
