import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vmdk2kvm.formats import plain
from vmdk2kvm.model.disk import OutputFormat, TargetDisk
from vmdk2kvm.model.guest_os import DeviceNames, FileSystem, GuestOs, Initramfs, Kernel
from vmdk2kvm.model.report import BootEvidence

st.register_type_strategy(Path, st.text("abc/.", min_size=1).map(Path))
st.register_type_strategy(float, st.floats(allow_nan=False))  # NaN equals nothing


def through_json(kind, value):
    return plain.read(kind, json.loads(json.dumps(plain.write(value))))


@pytest.mark.parametrize("kind", [GuestOs, BootEvidence, Kernel, TargetDisk])
@settings(max_examples=25, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_a_value_comes_back_as_it_was(kind, data):
    value = data.draw(st.from_type(kind))
    assert through_json(kind, value) == value


def test_text_that_is_not_utf_8_comes_back_to_the_letter():
    text = b"LABEL=\xff\xfe / ext4\r\n".decode("utf-8", "surrogateescape")
    fs = FileSystem(device="/dev/sda1", type="ext4", size_bytes=1, label=text)
    names = DeviceNames(filesystems=(fs,), by_name={"/dev/sda1": text})
    assert through_json(DeviceNames, names) == names


def test_equal_sets_give_equal_text():
    one = Initramfs(path="/i", size_bytes=1, compression="zstd", modules=frozenset({"b", "a", "c"}))
    other = replace(one, modules=frozenset(["c", "b", "a"]))
    assert json.dumps(plain.write(one)) == json.dumps(plain.write(other))


@pytest.mark.parametrize(
    "stored",
    [
        {},
        {"path": "/d", "format": "no-such", "virtual_size_bytes": 1, "sha256": None},
        {"path": "/d", "format": "raw", "virtual_size_bytes": "1", "sha256": None},
        {"path": "/d", "format": "raw", "virtual_size_bytes": 1, "sha256": None, "more": 1},
    ],
)
def test_what_does_not_fit_is_refused(stored):
    with pytest.raises((ValueError, KeyError, TypeError)):
        plain.read(TargetDisk, stored)


def test_a_target_disk_reads_back():
    disk = TargetDisk(path=Path("/out/vm-disk0.qcow2"), format=OutputFormat.QCOW2, virtual_size_bytes=9)
    assert through_json(TargetDisk, disk) == disk
