"""The keys of encrypted volumes, read from where the settings say they are.

The settings hold names of variables and files only; what these hold is a Secret from here on.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.config.values import LuksKeySetting
from vmdk2kvm.errors import InputNotFound, UsageError
from vmdk2kvm.model.luks import LuksKey, LuksKeys, Secret
from vmdk2kvm.model.units import MIB, format_bytes

_LIMIT_BYTES = 8 * MIB  # cryptsetup(8) reads no more of a key file


def read_luks_keys(settings: Settings, environment: Mapping[str, str]) -> LuksKeys:
    """Raises UsageError for a variable that is not set, InputNotFound for a file that cannot be read."""
    for_all: tuple[LuksKey, ...] = ()
    if settings.luks_passphrase_env is not None:
        for_all += (_from_variable(settings.luks_passphrase_env, environment, "luks_passphrase_env"),)
    if settings.luks_keyfile is not None:
        for_all += _from_file(settings.luks_keyfile, "luks_keyfile")
    by_volume: dict[str, tuple[LuksKey, ...]] = {}
    for one in settings.luks_keys:
        by_volume[one.volume] = (*by_volume.get(one.volume, ()), *_own(one, environment))
    return LuksKeys(by_volume=by_volume, for_all=for_all)


def _own(one: LuksKeySetting, environment: Mapping[str, str]) -> tuple[LuksKey, ...]:
    if one.env is not None:
        return (_from_variable(one.env, environment, "luks_keys"),)
    return _from_file(one.file, "luks_keys") if one.file is not None else ()


def _from_variable(name: str, environment: Mapping[str, str], setting: str) -> LuksKey:
    passphrase = environment.get(name)
    if not passphrase:
        # its name is not told: whoever mistook the setting gave the passphrase itself
        raise UsageError(
            f'the environment variable that "{setting}" names is not set or empty.',
            hint="export the passphrase in a variable and give that variable's name, not the passphrase.",
        )
    return LuksKey(secret=Secret(os.fsencode(passphrase)), setting=setting)


def _from_file(path: Path, setting: str) -> tuple[LuksKey, ...]:
    """The file's bytes; and without the newline that an editor or `echo` left at its end."""
    try:
        with path.open("rb") as file:
            content = file.read(_LIMIT_BYTES + 1)
    except OSError as error:
        raise InputNotFound(
            f'the key file "{path}" cannot be read: {(error.strerror or "unknown error").lower()}.',
            hint=f"check the path that {setting} gives, and who may read it.",
            path=path,
        ) from error
    if not content or len(content) > _LIMIT_BYTES:
        raise UsageError(
            f'the key file "{path}" is empty or larger than {format_bytes(_LIMIT_BYTES)}.',
            hint=f"check the path that {setting} gives.",
        )
    bare = content.removesuffix(b"\n").removesuffix(b"\r")
    contents = (content, bare) if bare and bare != content else (content,)
    return tuple(LuksKey(secret=Secret(each), setting=setting) for each in contents)
