"""Frozen dataclasses as plain JSON values and back, led by their type hints.

Knows what the model is made of: dataclasses, enums, paths, tuples, frozensets, dicts with text keys,
optional values, text, numbers and bytes (as base64). `read(type, write(x)) == x` for each of them.
"""

import base64
import dataclasses
import types
import typing
from enum import Enum
from pathlib import Path
from typing import Any


def write(value: Any) -> Any:
    """Frozen sets come out sorted, so equal values give equal text."""
    if dataclasses.is_dataclass(value):
        return {field.name: write(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, tuple):
        return [write(one) for one in value]
    if isinstance(value, frozenset):
        return sorted(write(one) for one in value)
    if isinstance(value, dict):
        return {key: write(one) for key, one in value.items()}
    return value


def read(kind: Any, plain: Any) -> Any:
    """`plain` as a value of type `kind`. Raises ValueError, KeyError or TypeError where it does not fit."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if origin in (types.UnionType, typing.Union):
        return _read_optional(inner, plain)
    if origin in (tuple, frozenset):
        return _read_sequence(origin, inner, plain)
    if origin is dict:
        return {key: read(inner[1], one) for key, one in plain.items()}
    if origin is typing.Literal:
        return plain
    if dataclasses.is_dataclass(kind):
        hints = typing.get_type_hints(kind)
        return kind(**{name: read(hints[name], one) for name, one in plain.items()})  # type: ignore[operator]
    if kind is bytes:
        return base64.b64decode(plain, validate=True)
    if issubclass(kind, Enum | Path):
        return kind(plain)
    return _checked(kind, plain)


def _read_optional(kinds: tuple[Any, ...], plain: Any) -> Any:
    if plain is None:
        return None
    return read(next(kind for kind in kinds if kind is not type(None)), plain)


def _read_sequence(origin: Any, kinds: tuple[Any, ...], plain: Any) -> Any:
    if len(kinds) == 2 and kinds[1] is not Ellipsis:
        return origin(read(kind, one) for kind, one in zip(kinds, plain, strict=True))
    return origin(read(kinds[0], one) for one in plain)


def _checked(kind: type, plain: Any) -> Any:
    if kind is float and isinstance(plain, int):
        return float(plain)
    if not isinstance(plain, kind):
        raise TypeError(f"{plain!r} is not {kind.__name__}")
    return plain
