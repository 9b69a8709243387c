"""Where each setting comes from: defaults < files in order < environment < flags.

A layer is what one place says, value by value with its origin. Each layer is checked by itself, so
that an error names the place that holds it even where a later layer would win.
"""

import difflib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from vmdk2kvm.config.settings import ENV_PREFIX, TABLE, Entry, Settings
from vmdk2kvm.config.values import LuksKeySetting, listed_luks_keys
from vmdk2kvm.errors import ConfigError, UsageError
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.model.choices import FlattenMode
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.model.report import StageName

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})
_NEEDS = (
    ("flatten", "fetch"),
    ("inspect", "flatten"),
    ("fix", "inspect"),
    ("convert", "flatten"),
    ("validate", "convert"),
)
_SUFFIX_FORMATS: dict[str, OutputFormat | None] = {
    ".qcow2": OutputFormat.QCOW2,
    ".raw": OutputFormat.RAW,
    ".img": OutputFormat.RAW,
    ".vdi": OutputFormat.VDI,
    ".vmdk": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Who said it: `place` in words, and `file` with `line` where a file did."""

    place: str
    file: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        return self.place if self.file is None else f"{self.file}:{self.line}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """One value as it was written.

    `item_lines` are the lines of a list's items, `key_lines` those of the keys of each item that is a
    mapping (an empty one for the others).
    """

    value: Any
    origin: Origin
    item_lines: tuple[int, ...] = ()
    key_lines: tuple[Mapping[str, int], ...] = ()


Layer = dict[str, Given]


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """The merged view, and for each key the origin of the value that won."""

    settings: Settings
    origins: Mapping[str, Origin]


def merge(layers: Sequence[Layer], cwd: Path) -> Loaded:
    """Check each layer and lay the later over the earlier; lists replace. Raises ConfigError."""
    defaults = Origin(place="default")
    merged: Layer = {key: Given(value=entry.default, origin=defaults) for key, entry in TABLE.items()}
    for layer in (_anchor(merged, cwd), *(_anchor(layer, cwd) for layer in layers)):
        _validate(layer)
        merged.update(layer)
    settings = _validate(merged)
    _check_together(settings, merged)
    return Loaded(settings=settings, origins={key: given.origin for key, given in merged.items()})


def check_key(key: str, origin: Origin) -> None:
    """Raises ConfigError with the nearest known key."""
    if key in TABLE:
        return
    near = nearest(key, TABLE)
    hint = f'did you mean "{near}"?' if near else "`vmdk2kvm --dump-schema` lists every key."
    raise ConfigError(f'the key "{key}" is not known.', hint=hint, file=origin.file, line=origin.line)


def nearest(word: str, known: Mapping[str, object] | Sequence[str]) -> str | None:
    return next(iter(difflib.get_close_matches(word, list(known), n=1)), None)


def from_environment(environment: Mapping[str, str]) -> Layer:
    """The variables that begin with `VMDK2KVM_`; lists are separated by ":". Raises ConfigError."""
    layer: Layer = {}
    for variable, text in sorted(environment.items()):
        if not variable.startswith(ENV_PREFIX):
            continue
        key = variable.removeprefix(ENV_PREFIX).lower()
        if key not in TABLE or variable != TABLE[key].variable:
            raise _unknown_variable(variable)
        entry = TABLE[key]
        words = [from_text(entry, word) for word in text.split(entry.flag.separator)]
        layer[key] = Given(
            value=words if entry.many else from_text(entry, text), origin=Origin(place=variable)
        )
    return layer


def _unknown_variable(variable: str) -> ConfigError:
    near = nearest(variable, [entry.variable for entry in TABLE.values()])
    if variable == f"{ENV_PREFIX}CONFIG":
        hint = "--config has no variable; name the file on the command line, and unset this one."
        return ConfigError(f'the environment variable "{variable}" names no setting.', hint=hint)
    hint = f'did you mean "{near}"?' if near else "unset it."
    return ConfigError(f'the environment variable "{variable}" names no setting.', hint=hint)


def from_flags(flags: Mapping[str, Any]) -> Layer:
    """What argparse read, by key; texts become the setting's own type."""
    layer: Layer = {}
    for key, value in flags.items():
        if key not in TABLE:
            continue
        entry = TABLE[key]
        typed = [from_text(entry, word) for word in value] if entry.many else from_text(entry, value)
        place = "the command line" if entry.flag.positional else entry.option
        layer[key] = Given(value=typed, origin=Origin(place=place))
    return layer


def from_text(entry: Entry, text: Any) -> Any:
    """A word of the command line or the environment as the setting's type; odd ones stay text."""
    if entry.kind is bool and isinstance(text, str):
        lowered = text.lower()
        return True if lowered in _TRUE else False if lowered in _FALSE else text
    if entry.kind is int and isinstance(text, str) and text.isascii() and text.isdigit() and len(text) < 19:
        return int(text)
    return text


def _anchor(layer: Layer, cwd: Path) -> Layer:
    return {key: _anchored(TABLE[key], given, cwd) for key, given in layer.items()}


def _anchored(entry: Entry, given: Given, cwd: Path) -> Given:
    if entry.kind not in (Path, LuksKeySetting) or not entry.flag.anchored:
        return given
    folder = cwd if given.origin.file is None else cwd / given.origin.file.parent

    def place(value: Any) -> Any:
        if not isinstance(value, str | Path) or str(value) == "":
            return value
        text = str(value) if given.origin.file is None else os.path.expanduser(value)  # noqa: PTH111 (never raises)
        return str(folder / text)

    if entry.kind is LuksKeySetting:
        return replace(given, value=_with_places(listed_luks_keys(given.value), place))
    value = (
        [place(one) for one in given.value] if isinstance(given.value, list | tuple) else place(given.value)
    )
    return replace(given, value=value)


def _with_places(keys: Any, place: Callable[[Any], Any]) -> Any:
    """LUKS keys, the files among them where they lie."""
    return [{**key, "file": place(key["file"])} if _has_file(key) else key for key in keys]


def _has_file(key: Any) -> bool:
    return isinstance(key, dict) and key.get("file") is not None


def _validate(layer: Layer) -> Settings:
    try:
        return Settings.model_validate({key: given.value for key, given in layer.items()})
    except ValidationError as error:
        raise _config_error(error, layer) from error


def _config_error(error: ValidationError, layer: Layer) -> ConfigError:
    """The first thing that is wrong, as one sentence with the place."""
    first = error.errors(include_url=False)[0]
    key, *rest = (str(part) for part in first["loc"])
    given = layer[key]
    line = given.origin.line
    item = next((int(part) for part in rest if part.isdigit()), None)
    if item is not None and item < len(given.item_lines):
        line = given.item_lines[item]
    inner = next((part for part in rest if not part.isdigit()), None)
    if inner is not None and item is not None:
        line = given.key_lines[item].get(inner, line) if item < len(given.key_lines) else line
        message, hint = _inner_error(TABLE[key], inner, first["type"], first["msg"], first["input"])
        return ConfigError(message, hint=hint, file=given.origin.file, line=line)
    reason = _reason(first["msg"])
    return ConfigError(
        f"{_named(given.origin, key)} cannot be {_shown(TABLE[key], first['input'])}: {reason}.",
        hint=_value_hint(TABLE[key], first["input"], given.origin),
        file=given.origin.file,
        line=line,
    )


def _reason(message: str) -> str:
    reason = message.removeprefix("Value error, ")
    return reason[0].lower() + reason[1:]


def _inner_error(entry: Entry, inner: str, kind: str, message: str, value: object) -> tuple[str, str]:
    """What is wrong with one key of an item that is a mapping, and what to do about it."""
    if kind == "extra_forbidden":
        near = nearest(inner, entry.inner)
        hint = f'did you mean "{near}"?' if near else f"the keys are {', '.join(entry.inner)}."
        return f'the key "{inner}" is not known in "{entry.key}".', hint
    hint = f"{inner}: {entry.inner.get(inner, entry.help)}."
    if kind == "missing":
        return f'an item of "{entry.key}" lacks the key "{inner}".', hint
    return f'"{inner}" in "{entry.key}" cannot be {_shown(entry, value)}: {_reason(message)}.', hint


def _named(origin: Origin, key: str) -> str:
    spoken = origin.place.startswith(("--", ENV_PREFIX))
    return f'"{origin.place}"' if spoken and origin.file is None else f'"{key}"'


def _shown(entry: Entry, value: object) -> str:
    if entry.flag.secret:
        return "***"
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= 80 else text[:79] + "…"


def _value_hint(entry: Entry, value: object, origin: Origin) -> str:
    if entry.many and isinstance(value, str) and "," in value and not entry.flag.secret:
        return _list_hint(entry, value, origin)
    if entry.choices:
        near = nearest(value, entry.choices) if isinstance(value, str) else None
        return f'did you mean "{near}"?' if near else f"choose one of {', '.join(entry.choices)}."
    if entry.kind is bool:
        return "write true or false."
    return f"{entry.key}: {entry.help}."


def _list_hint(entry: Entry, value: str, origin: Origin) -> str:
    """How more than one value is given where this one was."""
    words = [word.strip() for word in value.split(",") if word.strip()]
    if origin.file is not None:
        return f"write a list: {entry.key}: [{', '.join(words)}]."
    if origin.place.startswith(ENV_PREFIX):
        separator = entry.flag.separator
        return f'separate the values with "{separator}": {entry.variable}={separator.join(words)}.'
    return f"give the option once for each: {' '.join(f'{entry.option} {word}' for word in words)}."


def _check_together(settings: Settings, merged: Layer) -> None:
    """What each setting allows but two of them together do not. Raises ConfigError."""
    for key, message, hint in _contradictions(settings):
        origin = merged[key].origin
        raise ConfigError(message, hint=hint, file=origin.file, line=origin.line)


def _contradictions(settings: Settings) -> Iterator[tuple[str, str, str]]:
    stages = [stage.value for stage in settings.stages]
    if settings.compress and settings.out_format.value != "qcow2":
        yield (
            "compress",
            f'"compress" does not go with the format "{settings.out_format.value}".',
            "leave it out, or choose out_format qcow2.",
        )
    if settings.to_output and settings.vmdk and len(settings.to_output) != len(settings.vmdk):
        yield (
            "to_output",
            f'"to_output" names {len(settings.to_output)} files for {len(settings.vmdk)} disks.',
            "name one for each vmdk, in the same order.",
        )
    if len(set(settings.to_output)) != len(settings.to_output):
        yield "to_output", '"to_output" names one file twice.', "give each disk a file of its own."
    if settings.guest_agent_package and not settings.install_guest_agent:
        yield (
            "guest_agent_package",
            '"guest_agent_package" goes with "install_guest_agent" only.',
            "add install_guest_agent: true.",
        )
    yield from _misnamed(settings)
    yield from _twice("MAC", [nic.mac for nic in settings.nics])
    yield from _twice("name", [nic.name for nic in settings.nics if nic.name])
    if settings.flatten is FlattenMode.MATERIALIZE and "flatten" not in stages:
        yield "flatten", '"flatten: materialize" needs the stage "flatten".', 'add "flatten" to stages.'
    if settings.qemu_test and "validate" not in stages:
        yield "qemu_test", '"qemu_test" needs the stage "validate".', 'add "validate" to stages.'
    if "validate" in stages and not settings.qemu_test and set(settings.stages) != set(StageName):
        yield (
            "stages",
            'the stage "validate" boots nothing without "qemu_test".',
            'add "qemu_test", or leave "validate" out; `vmdk2kvm validate IMAGE` tests finished images.',
        )
    yield from _missing_stages(stages)


def _twice(what: str, values: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for value in dict.fromkeys(value for value in values if values.count(value) > 1):
        yield "nics", f'"nics" gives two cards the {what} "{value}".', "each card has its own."


def _misnamed(settings: Settings) -> Iterator[tuple[str, str, str]]:
    """Names that promise another format than the one that is written."""
    for output in settings.to_output:
        fits = _SUFFIX_FORMATS.get(output.suffix.lower(), settings.out_format)
        if fits is not settings.out_format:
            written = settings.out_format.value
            choice = f"out_format {fits.value}, or " if fits else ""
            yield (
                "to_output",
                f'"to_output" calls a result of the format "{written}" "{visible(str(output))}".',
                f"choose {choice}a name that ends in .{written}.",
            )


def _missing_stages(stages: Sequence[str]) -> Iterator[tuple[str, str, str]]:
    for later, earlier in _NEEDS:
        if later in stages and earlier not in stages:
            yield "stages", f'the stage "{later}" needs the stage "{earlier}".', f'add "{earlier}" to stages.'


def require_command(settings: Settings) -> None:
    """What the command cannot do without. Raises UsageError."""
    command = settings.cmd.value if settings.cmd else None
    if command is None:
        raise UsageError(
            "no command was given.",
            hint="`vmdk2kvm --help` lists the commands; a configuration file names one with `cmd:`.",
        )
    if command in ("local", "plan") and not settings.vmdk:
        raise UsageError(f'"{command}" needs a disk.', hint="name it with --vmdk FILE, once for each disk.")
    if command == "inspect" and bool(settings.vmdk) == bool(settings.image):
        raise UsageError(
            '"inspect" needs either disks of VMware or finished images.',
            hint="name disks with --vmdk FILE, or images as arguments.",
        )
    if command == "validate" and not settings.image:
        raise UsageError('"validate" needs an image.', hint="run `vmdk2kvm validate IMAGE`.")
    if command == "undo" and not settings.image:
        raise UsageError('"undo" needs an image.', hint="run `vmdk2kvm undo IMAGE`.")
