"""YAML configuration files (YAML 1.2 core schema, one document, one flat mapping).

Plain `yes`, `on`, `12:30` and `0600` are text here, as in YAML 1.2, not the booleans, sexagesimal
and octal numbers of 1.1. Files are strangers' work: size, depth and aliases are bounded, and no
tag builds anything but text, numbers, booleans, lists and mappings.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from vmdk2kvm.config.layers import (
    Given,
    Layer,
    Loaded,
    Origin,
    check_key,
    from_environment,
    from_flags,
    merge,
)
from vmdk2kvm.config.settings import TABLE, Settings
from vmdk2kvm.errors import ConfigError
from vmdk2kvm.model.units import MIB

FILE_BYTES_MAX = MIB
_DEPTH_MAX = 16
_ALIASES_MAX = 32
_NODES_MAX = 20_000


def load(
    files: Sequence[Path], environment: Mapping[str, str], flags: Mapping[str, Any], cwd: Path
) -> Loaded:
    """The merged view of all layers. Raises ConfigError."""
    layers = [read_layer(file, cwd) for file in files]
    return merge([*layers, from_environment(environment), from_flags(flags)], cwd)


def read_layer(file: Path, cwd: Path) -> Layer:
    """One configuration file. Raises ConfigError."""
    try:
        with (cwd / file).open("rb") as stream:
            content = stream.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        raise ConfigError(
            f'the configuration file "{file}" cannot be read: {(error.strerror or "unknown error").lower()}.',
            hint="check the name after --config.",
            file=file,
        ) from error
    if len(content) > FILE_BYTES_MAX:
        raise _refused(file, None, "is larger than 1 MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise _refused(file, line, "is not UTF-8") from error
    return parse_layer(text, file)


def parse_layer(text: str, file: Path) -> Layer:
    """The keys and values of one file's text; `file` is for messages. Raises ConfigError."""
    root = _compose(text, file)
    if root is None:
        return {}
    if not isinstance(root, yaml.MappingNode):
        raise _refused(file, _line(root), "does not hold `key: value` lines")
    layer: Layer = {}
    budget = _Budget(file)
    for key_node, node in root.value:
        key = budget.build(key_node)
        origin = Origin(place=str(file), file=file, line=_line(key_node))
        if not isinstance(key, str):
            raise _refused(file, _line(key_node), "has a key that is not text")
        check_key(key, origin)
        if key in layer:
            raise ConfigError(
                f'the key "{key}" appears twice (first in line {layer[key].origin.line}).',
                hint="keep one of them.",
                file=file,
                line=_line(key_node),
            )
        items = _items(node)
        layer[key] = Given(
            value=budget.build(node),
            origin=origin,
            item_lines=tuple(map(_line, items)),
            key_lines=tuple(map(_key_lines, items)),
        )
    return layer


def _items(node: yaml.Node) -> list[yaml.Node]:
    """A list's items; a mapping stands for a list of one."""
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    return [node] if isinstance(node, yaml.MappingNode) else []


def _key_lines(node: yaml.Node) -> dict[str, int]:
    pairs = node.value if isinstance(node, yaml.MappingNode) else []
    return {str(key.value): _line(key) for key, _ in pairs if isinstance(key, yaml.ScalarNode)}


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _refused(file: Path, line: int | None, what: str) -> ConfigError:
    return ConfigError(
        f"the configuration {what}.",
        hint="docs/yaml-examples.md shows what a configuration file looks like.",
        file=file,
        line=line,
    )


class _TooMuch(Exception):
    """A bound of ours that the text breaks, and in which line."""

    def __init__(self, what: str, line: int) -> None:
        super().__init__(what)
        self.what = what
        self.line = line


class _Loader(yaml.SafeLoader):
    """The YAML 1.2 core schema, with bounded depth and few aliases."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 (PyYAML's own attribute)

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._depth = 0
        self._aliases = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            self._aliases += 1
        self._depth += 1
        if self._depth > _DEPTH_MAX or self._aliases > _ALIASES_MAX:
            what = "is nested too deep" if self._depth > _DEPTH_MAX else "has too many aliases"
            raise _TooMuch(what, self.line + 1)
        try:
            return super().compose_node(parent, index)
        finally:
            self._depth -= 1


_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]{0,17})\Z")
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z")
_NULL = re.compile(r"(?:~|null|Null|NULL|)\Z")

_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", _BOOL, list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INT, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:null", _NULL, ["~", "n", "N", ""])


def _compose(text: str, file: Path) -> yaml.Node | None:
    try:
        return _single_node(_Loader(text), file)
    except _TooMuch as error:
        raise _refused(file, error.line, error.what) from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else None
        raise _refused(file, line, f"is not valid YAML: {error.problem or error.context}") from error
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise _refused(file, line, "holds a character that YAML forbids") from error


def _single_node(loader: _Loader, file: Path) -> yaml.Node | None:
    try:
        return loader.get_single_node()
    except (ValueError, OverflowError) as error:  # PyYAML gives the number of any \U escape to chr()
        raise _refused(file, loader.line + 1, "names a character that does not exist") from error


class _Budget:
    """Builds values from nodes; aliases cannot multiply them beyond a bound."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._nodes = 0

    def build(self, node: yaml.Node, depth: int = 0) -> Any:
        self._nodes += 1
        if self._nodes > _NODES_MAX or depth > _DEPTH_MAX:
            raise _refused(self._file, _line(node), "is too large when its aliases are written out")
        if isinstance(node, yaml.SequenceNode):
            return [self.build(one, depth + 1) for one in node.value]
        if isinstance(node, yaml.MappingNode):
            return {
                str(self.build(key, depth + 1)): self.build(value, depth + 1) for key, value in node.value
            }
        return self._scalar(node)

    def _scalar(self, node: yaml.Node) -> Any:
        text = str(node.value)
        match node.tag.rpartition(":")[2]:
            case "str":
                return text
            case "null":
                return None
            case "bool" if _BOOL.match(text):
                return text.lower() == "true"
            case "int" if _INT.match(text):
                return int(text)
        raise _refused(self._file, _line(node), f'has a tag that is not allowed here: "{node.tag}"')


def dump(loaded: Loaded) -> str:
    """The merged view as a configuration file that gives the same settings again, origins as comments."""
    values = plain(loaded.settings)
    lines = [f"{key}: {_flow(value)}" for key, value in values.items()]
    width = min(max(len(line) for line in lines), 60)
    told = zip(lines, (loaded.origins[key] for key in values), strict=True)
    return "".join(f"{line:<{width}}  # {_one_line(str(origin))}\n" for line, origin in told)


def dump_mapping(values: Mapping[str, Any]) -> str:
    return "".join(f"{key}: {_flow(value)}\n" for key, value in values.items())


def plain(settings: Settings) -> dict[str, Any]:
    """Key by key, in values that YAML and JSON know."""
    dumped = settings.model_dump(mode="json", by_alias=True)
    return {key: dumped[key] for key in TABLE}


def _flow(value: Any) -> str:
    """One line. What PyYAML would fold (U+0085, newlines) is written as escapes."""
    text = _emit(value, allow_unicode=True)
    return text if text.isprintable() else _emit(value, default_style='"')


def _emit(value: Any, **style: Any) -> str:
    text: str = yaml.safe_dump(value, default_flow_style=True, width=float("inf"), **style)
    return text.removesuffix("\n").removesuffix("\n...")


def _one_line(text: str) -> str:
    return text.encode("unicode_escape").decode("ascii") if not text.isprintable() else text
