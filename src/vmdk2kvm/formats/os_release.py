"""os-release(5): which distribution a system is, as assignments that a shell would read."""

import re

_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)")
_ESCAPED_IN_QUOTES = re.compile(r'\\(["$`\\])')
_ESCAPED = re.compile(r"\\(.)")


def parse(text: str) -> dict[str, str]:
    """Every assignment, quotes and escapes resolved; the last one of a name counts."""
    matches = (_ASSIGNMENT.fullmatch(line.strip()) for line in text.split("\n"))
    return {match[1]: _value(match[2]) for match in matches if match}


def _value(written: str) -> str:
    quote = written[:1]
    if quote in ('"', "'") and len(written) >= 2 and written.endswith(quote):
        inner = written[1:-1]
        return _ESCAPED_IN_QUOTES.sub(r"\1", inner) if quote == '"' else inner
    return _ESCAPED.sub(r"\1", written)
