"""Where keys of encrypted volumes are, in a file, a variable and a flag; and never what they are."""

from pathlib import Path
from typing import Any

import pytest

from tests.unit.config.test_load import from_text
from vmdk2kvm.config.load import dump
from vmdk2kvm.config.values import LuksKeySetting
from vmdk2kvm.errors import ConfigError

UUID = "7b1f4c80-3c3f-4f3e-9a59-0b7c1c1f2d11"
WANTED = (LuksKeySetting(volume=UUID, env="A"), LuksKeySetting(volume="/dev/sdb1", file=Path("/k/b")))


@pytest.mark.parametrize(
    "text",
    [
        f"luks_keys:\n  {UUID}: {{env: A}}\n  /dev/sdb1: {{file: /k/b}}\n",
        f"luks_keys:\n  - {{volume: {UUID}, env: A}}\n  - {{volume: /dev/sdb1, file: /k/b}}\n",
        f"luks_keys: ['{UUID},env=A', '/dev/sdb1,file=/k/b']\n",
    ],
)
def test_in_a_file(text: str) -> None:
    loaded = from_text(text)
    assert loaded.settings.luks_keys == WANTED
    assert from_text(dump(loaded)).settings == loaded.settings


def test_in_a_flag_and_a_variable() -> None:
    words = [f"{UUID},env=A", "/dev/sdb1,file=/k/b"]
    assert from_text("", luks_keys=words).settings.luks_keys == WANTED
    assert from_text("", environment={"VMDK2KVM_LUKS_KEYS": ";".join(words)}).settings.luks_keys == WANTED
    one = from_text(f"luks_keys: {{volume: {UUID}, env: A}}\n").settings.luks_keys
    assert one == WANTED[:1]


@pytest.mark.parametrize("value", ["{a: {file: k/b}}", "['a,file=k/b']", "[{volume: a, file: k/b}]"])
def test_a_relative_key_file_lies_beside_the_configuration(value: str) -> None:
    loaded = from_text(f"luks_keyfile: k/a\nluks_keys: {value}\n").settings
    assert loaded.luks_keyfile is not None
    assert loaded.luks_keys[0].file == loaded.luks_keyfile.parent / "b"
    assert loaded.luks_keys[0].file.is_absolute()


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        (f"luks_keys: {{{UUID}: hunter2}}\n", {}),
        (f"luks_keys: {{{UUID}: {{key: hunter2}}}}\n", {}),
        (f"luks_keys: {{{UUID}: {{env: 'hunter2, my dog'}}}}\n", {}),
        (f"luks_keys: {{{UUID}: {{env: A, file: hunter2}}}}\n", {}),
        (f"luks_keys: {{{UUID}: {{}}}}\n", {}),
        ("luks_keys: [hunter2]\n", {}),
        ("luks_keys: hunter2\n", {}),
        ("luks_keys: [[hunter2]]\n", {}),
        ("luks_keys: 7\n", {}),
        ("luks_passphrase_env: hunter2 my dog\n", {}),
        ("luks_passphrase_env: [hunter2]\n", {}),
        ("luks_passphrase_env: ''\n", {}),
        ("", {"luks_keys": ["hunter2,my dog"]}),
        ("", {"luks_keys": [f"{UUID},key=hunter2"]}),
        ("", {"luks_keys": [f"{UUID},env=hunter2-"]}),
        ("", {"luks_passphrase_env": "hunter2 my dog"}),
    ],
)
def test_a_passphrase_in_the_wrong_place_is_refused_and_not_shown(text: str, flags: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as refused:
        from_text(text, **flags)
    assert "hunter2" not in f"{refused.value.message} {refused.value.hint}"
