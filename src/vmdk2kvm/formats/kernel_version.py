"""Kernel releases ("5.14.0-427.el9.x86_64", uname(2)) in the order they came out.

Numbers count as numbers, so 5.14 is newer than 5.9; a release candidate is older than its release.
"""

import re

_TOKEN = re.compile(r"[0-9]+|[A-Za-z]+|~")
_BEFORE_RELEASE = frozenset({"~", "rc", "alpha", "beta", "pre"})
_END = (1, 0, "")

Key = tuple[tuple[tuple[int, int, str], ...], str]


def sort_key(version: str) -> Key:
    """A key for `sorted`; equal only for equal text."""
    return (*map(_weight, _TOKEN.findall(version)), _END), version


def _weight(token: str) -> tuple[int, int, str]:
    if token.isdigit():
        return 3, int(token), ""
    return (0 if token.lower() in _BEFORE_RELEASE else 2), 0, token
