"""LUKS headers: what a real one says, and what a damaged or hostile one is told."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.luks_headers import SIZE, UUID, argon2, luks1, luks2
from vmdk2kvm.formats.luks import LuksError, read_header
from vmdk2kvm.model.luks import Keyslot, LuksHeader


def header(content: bytes) -> LuksHeader:
    return read_header(lambda offset, size: content[offset : offset + size])


def test_luks1_has_active_keyslots_and_needs_no_memory() -> None:
    found = header(luks1(active=(0, 5)))
    assert (found.version, found.uuid, found.label, found.memory_kib) == (1, UUID, None, 0)
    assert found.keyslots == (Keyslot(number=0, kdf="pbkdf2"), Keyslot(number=5, kdf="pbkdf2"))


def test_luks2_says_what_its_keyslots_cost() -> None:
    slots = {"10": argon2(1048576), "2": {"type": "luks2", "kdf": {"type": "pbkdf2"}}}
    found = header(luks2(label="Root", keyslots=slots, tokens={"0": {"type": "systemd-tpm2"}}))
    assert (found.version, found.uuid, found.label, found.tokens) == (2, UUID, "Root", ("systemd-tpm2",))
    assert found.keyslots == (
        Keyslot(number=2, kdf="pbkdf2"),
        Keyslot(number=10, kdf="argon2id", memory_kib=1048576),
    )
    assert found.memory_kib == 1048576


def test_as_much_as_cryptsetup_allows() -> None:
    found = header(luks2(keyslots={str(n): argon2(4 << 20) for n in range(32)}))
    assert (found.memory_kib, len(found.keyslots)) == (4 << 20, 32)
    assert len(header(luks1(active=tuple(range(8)))).keyslots) == 8
    assert len(header(luks2(tokens={str(n): {"type": "a"} for n in range(32)})).tokens) == 32


def test_a_keyslot_of_reencryption_has_no_kind() -> None:
    assert header(luks2(keyslots={"0": {"type": "reencrypt"}})).keyslots == (Keyslot(number=0, kdf="none"),)


@pytest.mark.parametrize("size", [16384, 32768, 4 << 20])
def test_the_second_copy_counts_where_the_first_is_damaged(size: int) -> None:
    content = luks2(size=size)
    damaged = bytes(4096) + content[4096:]
    assert header(damaged) == header(content)
    flipped = content[:5000] + b"\xff" + content[5001:]
    assert header(flipped) == header(content)


def test_upper_case_uuids_are_the_same() -> None:
    assert header(luks1(UUID.replace("1", "A"))).uuid == UUID.replace("1", "a")


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "no header"),
        (bytes(8192), "no header"),
        (b"LUKS\xba\xbe\0\3" + bytes(4088), "version 3"),
        (luks1()[:500], "cut off"),
        (luks1("not a uuid"), "no UUID"),
        (luks2()[:8000], "checksum"),
        (luks2()[:100], "no header"),
        (luks2(size=8192), "contradicts"),
        (luks2(keyslots={"0": argon2(1 << 40)}), "1099511627776 KiB"),
        (luks2(keyslots={"0": argon2(-1)}), "-1 KiB"),
        (luks2(keyslots={"0": {"kdf": {"type": "argon2id", "memory": True}}}), "keyslot 0"),
        (luks2(keyslots={"0": 7}), "keyslot 0"),
        (luks2(keyslots={"0": {"kdf": []}}), "keyslot 0"),
        (luks2(keyslots={"0": argon2((4 << 20) + 1)}), "4194305 KiB"),
        (luks2(keyslots={"x": argon2(1)}), "JSON"),
        (luks2(keyslots={"-1": argon2(1)}), "JSON"),
        (luks2(keyslots={"100": argon2(1)}), "JSON"),
        (luks2(keyslots={"\u0661": argon2(1)}), "JSON"),
        (luks2(tokens={str(n): {"type": "a"} for n in range(40)}), "JSON"),
        (luks2().replace(b"sha256", b"crc32c"), "unknown kind"),
        (luks2(keyslots={str(n): argon2(1) for n in range(40)}), "JSON"),
        (luks2(tokens={"0": {"type": 5}}), "JSON"),
        (luks2(area=b'{"keyslots": []}'), "JSON"),
        (luks2(area=b"[" * 12000), "JSON"),
        (luks2(area=b"{"), "JSON"),
        (luks2(area=b'{"keyslots": {"0": {"kdf": {"type": "a", "memory": ' + b"9" * 5000 + b"}}}}"), "JSON"),
    ],
)
def test_what_cannot_be_believed(content: bytes, problem: str) -> None:
    with pytest.raises(LuksError, match=problem):
        header(content)


@settings(max_examples=200)
@given(st.integers(0, 2 * SIZE - 1), st.binary(min_size=1, max_size=64))
def test_any_damage_is_an_error_or_the_same_header(at: int, damage: bytes) -> None:
    content = luks2()
    try:
        found = header(content[:at] + damage + content[at + len(damage) :])
    except LuksError:
        return
    assert found == header(content)


@given(st.binary(max_size=5000))
def test_any_bytes_end_in_an_error_of_ours(content: bytes) -> None:
    with pytest.raises(LuksError):
        header(b"LUKS\xba\xbe\0\2" + content)
