"""The JSON Schema (2020-12) of a configuration file, for editors."""

import json
from typing import Any

from vmdk2kvm.config.settings import TABLE, Settings


def render_schema() -> str:
    """The schema as JSON text; docs/config.schema.json is this, word for word."""
    schema = Settings.model_json_schema(by_alias=True)
    schema = _without_titles(schema)
    for key, entry in TABLE.items():
        if entry.many and entry.choices:
            schema["properties"][key] = {
                "anyOf": [schema["properties"][key]["items"], schema["properties"][key]],
                "description": schema["properties"][key].pop("description"),
                "default": schema["properties"][key].pop("default"),
            }
    head = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "vmdk2kvm configuration",
        "description": "One flat mapping: each key is a flag of vmdk2kvm with _ for -.",
    }
    return json.dumps({**head, **{k: v for k, v in schema.items() if k != "description"}}, indent=2) + "\n"


def _without_titles(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_titles(one) for key, one in value.items() if key != "title"}
    if isinstance(value, list):
        return [_without_titles(one) for one in value]
    return value
