"""Devices inside arguments about encryption."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.crypt_arguments import named_device, words

BY_PATH = "/dev/disk/by-path/pci-0000:03:00.0-part3"


@pytest.mark.parametrize(
    ("argument", "value", "name", "is_volume"),
    [
        ("cryptdevice", "/dev/sda3:cryptroot:allow-discards", "/dev/sda3", True),
        ("cryptdevice", "/dev/sda3", "/dev/sda3", True),
        ("cryptdevice", "UUID=1-2:root", "UUID=1-2", True),
        ("cryptdevice", f"{BY_PATH}:x", BY_PATH, True),
        ("cryptkey", "/dev/sdb1:ext4:/key", "/dev/sdb1", False),
        ("cryptopts", "target=c,source=/dev/sda5,lvm=vg0-root", "/dev/sda5", True),
        ("cryptopts", "source=UUID=1", "UUID=1", True),
        ("cryptroot", "/dev/sda3", "/dev/sda3", True),
        ("crypt_swap", "/dev/sda2", "/dev/sda2", True),
    ],
)  # fmt: skip
def test_the_device(argument: str, value: str, name: str, is_volume: bool) -> None:
    found = named_device(argument, value)
    assert found and (found.name, found.is_volume) == (name, is_volume)
    assert value[found.start :].startswith(name)


@pytest.mark.parametrize(
    ("argument", "value"),
    [("root", "/dev/sda1"), ("cryptdevice", ""), ("cryptopts", "target=c"), ("rd.luks.uuid", "1-2")],
)
def test_no_device(argument: str, value: str) -> None:
    assert named_device(argument, value) is None


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("rd.luks.key", "/key:/dev/sdb1"),
        ("luks.data", "uuid=/dev/sdb1"),
        ("rd.luks.options", "uuid=header=/h:/dev/sdb1,discard"),
        ("rd_LUKS_UUID", "/dev/sdb1"),
        ("cryptopts", "source=UUID=1,key=/dev/sdb1"),
    ],
)
def test_words_that_may_be_devices(argument: str, value: str) -> None:
    assert "/dev/sdb1" in words(argument, value)
    assert words("root", value) == ()


@given(st.sampled_from(["cryptdevice", "cryptkey", "cryptopts", "cryptroot"]), st.text(max_size=40))
def test_a_name_stands_where_it_is_said_to(argument: str, value: str) -> None:
    found = named_device(argument, value)
    if found:
        assert found.name and value[found.start : found.start + len(found.name)] == found.name
