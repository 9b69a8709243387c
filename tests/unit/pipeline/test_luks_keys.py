"""Keys of encrypted volumes, from variables and files."""

from pathlib import Path

import pytest

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import InputNotFound, UsageError, Vmdk2KvmError
from vmdk2kvm.model.luks import LuksKey, LuksKeys
from vmdk2kvm.pipeline.luks_keys import read_luks_keys


def told(keys: tuple[LuksKey, ...]) -> list[tuple[bytes, str]]:
    return [(key.secret.reveal(), key.setting) for key in keys]


def test_nothing_asked_for_is_nothing_read() -> None:
    assert read_luks_keys(Settings(), {"A": "b"}) == LuksKeys()


def test_a_variable_a_file_and_keys_of_single_volumes(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"\0\xff binary")
    (tmp_path / "line").write_bytes(b"typed\r\n")
    settings = Settings.model_validate(
        {
            "luks_passphrase_env": "A",
            "luks_keyfile": tmp_path / "line",
            "luks_keys": [
                {"volume": "u", "file": tmp_path / "k"},
                {"volume": "v", "env": "B"},
                {"volume": "v", "env": "A"},
            ],
        }
    )
    keys = read_luks_keys(settings, {"A": "pass phrase", "B": "\udcff"})
    assert told(keys.for_all) == [
        (b"pass phrase", "luks_passphrase_env"),
        (b"typed\r\n", "luks_keyfile"),
        (b"typed", "luks_keyfile"),
    ]
    assert told(keys.of("u")) == [(b"\0\xff binary", "luks_keys")]
    assert told(keys.of("v")) == [(b"\xff", "luks_keys"), (b"pass phrase", "luks_keys")]
    assert "pass phrase" not in repr(keys)


@pytest.mark.parametrize("environment", [{}, {"hunter2": ""}])
def test_a_variable_that_is_not_set(environment: dict[str, str]) -> None:
    """Its name is not told: it may be the passphrase itself."""
    with pytest.raises(UsageError, match="luks_passphrase_env") as refused:
        read_luks_keys(Settings(luks_passphrase_env="hunter2"), environment)
    assert refused.value.exit_code == 2
    assert "hunter2" not in refused.value.message + refused.value.hint


@pytest.mark.parametrize(
    ("content", "error", "exit_code"),
    [(None, InputNotFound, 3), (b"", UsageError, 2), (bytes(8 * 1024 * 1024 + 1), UsageError, 2)],
)
def test_a_key_file_that_is_none(
    tmp_path: Path, content: bytes | None, error: type[Vmdk2KvmError], exit_code: int
) -> None:
    if content is not None:
        (tmp_path / "k").write_bytes(content)
    with pytest.raises(error, match="/k") as refused:
        read_luks_keys(Settings(luks_keyfile=tmp_path / "k"), {})
    assert refused.value.exit_code == exit_code
    assert "luks_keyfile" in refused.value.hint


def test_a_file_with_nothing_but_a_newline_is_that_newline(tmp_path: Path) -> None:
    (tmp_path / "k").write_bytes(b"\n")
    assert told(read_luks_keys(Settings(luks_keyfile=tmp_path / "k"), {}).for_all) == [
        (b"\n", "luks_keyfile")
    ]
