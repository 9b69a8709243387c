"""The kinds of values that settings have: text, paths, counts, and what stands in lists of mappings."""

import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema, model_validator

from vmdk2kvm.formats.interface_names import is_plain, parse_mac
from vmdk2kvm.model.report import StageName

_NO_BYTES = re.compile("[\ud800-\udc7f\udd00-\udfff]")  # 0xDC80 to 0xDCFF are bytes of a file name


def _listed(value: object) -> object:
    """One value stands for a list of one."""
    return [value] if isinstance(value, str) else value


def _text(value: object) -> object:
    if not isinstance(value, str | Path):
        raise ValueError("must be text; put it in quotes")
    if str(value) == "" or "\0" in str(value):
        raise ValueError("must not be empty or hold a NUL byte")
    if _NO_BYTES.search(str(value)):
        raise ValueError("holds a lone surrogate, which stands for no character")
    return value


def _whole(value: object) -> object:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ValueError("must be a whole number")
    return value


_ONE_OR_MORE = WithJsonSchema(
    {"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}, mode="validation"
)
Text = Annotated[str, BeforeValidator(_text)]
AnyPath = Annotated[Path, BeforeValidator(_text)]
Paths = Annotated[tuple[AnyPath, ...], BeforeValidator(_listed), _ONE_OR_MORE]
Names = Annotated[tuple[Text, ...], BeforeValidator(_listed), _ONE_OR_MORE]
Stages = Annotated[tuple[StageName, ...], BeforeValidator(_listed)]
Count = Annotated[int, Field(ge=1, le=64), BeforeValidator(_whole)]
Seconds = Annotated[int, Field(ge=1, le=86_400), BeforeValidator(_whole)]


def _card(value: object) -> object:
    """`MAC[,name=NAME][,network=NETWORK]`, as in a flag, stands for the mapping."""
    if not isinstance(value, str):
        return value
    mac, *rest = value.split(",")
    pairs = [part.partition("=") for part in rest]
    return {"mac": mac, **{key.strip(): word for key, _, word in pairs}}


def _mac(value: object) -> object:
    mac = parse_mac(value) if isinstance(value, str) else None
    if mac is None:
        raise ValueError("must be the address of one card, such as 00:50:56:12:34:56")
    return mac


def _interface(value: object) -> object:
    if not isinstance(value, str) or not is_plain(value):
        raise ValueError("must be the name of one network interface, such as ens192")
    return value


class NicSetting(BaseModel):
    """One network card of the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    mac: Annotated[str, BeforeValidator(_mac)] = Field(description="its MAC address, which it keeps on KVM")
    name: Annotated[str, BeforeValidator(_interface)] | None = Field(
        None, description="the name of the interface in the guest, where the guest does not tell"
    )
    network: Text | None = Field(None, description="what the card is connected to, for findings and reports")


def _listed_cards(value: object) -> object:
    return [value] if isinstance(value, str | dict) else value


_Card = Annotated[NicSetting, BeforeValidator(_card)]
# vSphere gives a VM ten at most.
Cards = Annotated[tuple[_Card, ...], Field(max_length=10), BeforeValidator(_listed_cards)]


_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def _variable(value: object) -> object:
    if not isinstance(value, str) or not _VARIABLE.fullmatch(value):
        raise ValueError("must be the name of an environment variable, not what it holds")
    return value


VariableName = Annotated[str, BeforeValidator(_variable)]


class LuksKeySetting(BaseModel):
    """Where the key of one encrypted volume is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    volume: Text = Field(description="the UUID of the LUKS volume, its label, or its device in the guest")
    env: VariableName | None = Field(None, description="the environment variable that holds its passphrase")
    file: AnyPath | None = Field(None, description="the file that is its key")

    @model_validator(mode="after")
    def _one_place(self) -> "LuksKeySetting":
        if (self.env is None) == (self.file is None):
            raise ValueError("must name either env or file")
        return self


def listed_luks_keys(value: object) -> object:
    """`UUID: {env: NAME}` and `UUID,env=NAME`, as in a flag, stand for the list of mappings."""
    if isinstance(value, dict) and "volume" not in value:
        return [{"volume": volume, **key} if isinstance(key, dict) else key for volume, key in value.items()]
    items = list(value) if isinstance(value, list | tuple) else [value]
    return [_luks_key(item) for item in items]


def _luks_key(item: object) -> object:
    if not isinstance(item, str):
        return item
    volume, _, key = item.rpartition(",")
    kind, _, place = key.partition("=")
    return {"volume": volume, kind: place} if volume and place else item


_PLACE: dict[str, Any] = {
    "type": "object",
    "properties": {"env": {"type": "string"}, "file": {"type": "string"}},
    "additionalProperties": False,
}
_VOLUME = {
    **_PLACE,
    "properties": {"volume": {"type": "string"}, **_PLACE["properties"]},
    "required": ["volume"],
}
LuksKeyList = Annotated[
    tuple[LuksKeySetting, ...],
    Field(max_length=64),
    BeforeValidator(listed_luks_keys),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "object", "additionalProperties": _PLACE},
                {"type": "array", "items": _VOLUME},
            ]
        },
        mode="validation",
    ),
]
