"""JSON (RFC 8259) for every reader: text of a guest keeps bytes that are not UTF-8 as `\\xNN`.

Lone surrogates, in which Python holds such bytes, are no JSON text for most readers.
"""

import json
from typing import Any


def render(value: Any) -> str:
    return json.dumps(clean(value), indent=2) + "\n"


def clean(value: Any) -> Any:
    """`value` with every text in it made valid Unicode."""
    match value:
        case str():
            return value.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
        case dict():
            return {clean(key): clean(one) for key, one in value.items()}
        case list() | tuple():
            return [clean(one) for one in value]
        case _:
            return value
