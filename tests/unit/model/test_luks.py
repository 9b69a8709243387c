"""Secrets stay secret, and each volume gets its own keys."""

import copy
import pickle
from dataclasses import asdict

import pytest

from vmdk2kvm.formats import plain
from vmdk2kvm.model.luks import LuksKey, LuksKeys, Secret

SECRET = Secret(b"hunter2")
KEY = LuksKey(secret=SECRET, setting="luks_keyfile")
OTHER = LuksKey(secret=Secret(b"other"), setting="luks_keys")


def test_a_secret_shows_as_stars() -> None:
    for text in (repr(SECRET), str(SECRET), f"{SECRET}", repr(KEY), repr(LuksKeys(for_all=(KEY,)))):
        assert "hunter2" not in text
        assert "***" in text
    assert SECRET.reveal() == b"hunter2"


def test_a_secret_cannot_be_stored() -> None:
    for store in (pickle.dumps, copy.deepcopy, asdict):
        with pytest.raises(TypeError):
            store(KEY)  # type: ignore[operator]
    assert "hunter2" not in repr(plain.write(KEY))


def test_secrets_are_the_same_where_their_bytes_are() -> None:
    assert Secret(b"hunter2") == SECRET != Secret(b"hunter3")
    assert len({Secret(b"hunter2"), SECRET}) == 1
    assert SECRET != b"hunter2"


def test_a_volume_with_keys_of_its_own_gets_no_others() -> None:
    keys = LuksKeys(by_volume={"ABCD-1": (OTHER,), "/dev/sda3": (KEY,)}, for_all=(KEY,))
    assert keys.of("abcd-1", "/dev/sda9") == (OTHER,)
    assert keys.of("x", "/dev/sda3") == (KEY,)
    assert keys.of("x", None) == (KEY,)
    assert LuksKeys().of("x") == ()
