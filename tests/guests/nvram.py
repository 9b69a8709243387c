"""UEFI variables with one boot entry, as a firmware remembers an installed loader.

`python -m tests.guests.nvram FILE validate IMAGE…` runs the product with FILE as OVMF's fresh variables.
Appended to OVMF's store: authenticated variables of EDK II (MdeModulePkg, AuthenticatedVariableFormat.h).
The load option and its device path are those of the UEFI specification, 3.1.3 and 10.3.
"""

import struct
import sys
import uuid
from pathlib import Path
from unittest import mock

from tests.guests.storage import ESP_GUID
from vmdk2kvm.cli.main import main
from vmdk2kvm.tools import qemu_system

_GLOBAL = uuid.UUID("8be4df61-93ca-11d2-aa0d-00e098032b8c")
_ATTRIBUTES = 0x7  # kept, for boot and run time
_STORE_HEADER = 28
_END = b"\x7f\xff\x04\x00"
_SECTORS_PER_MIB = 2048


def with_boot_entry(store: bytes, program: str, esp_mib: int) -> bytes:
    """`store` is a file of OVMF's variables; the ESP is the first partition of its disk."""
    (header_length,) = struct.unpack_from("<H", store, 0x30)
    at = header_length + _STORE_HEADER
    while store[at : at + 2] == b"\xaa\x55":
        name_size, data_size = struct.unpack_from("<II", store, at + 36)
        at = _aligned(at + 60 + name_size + data_size)
    new = _variable("Boot0000", _load_option(program, esp_mib), at)
    new += _variable("BootOrder", struct.pack("<H", 0), at + len(new))
    return store[:at] + new + store[at + len(new) :]


def _load_option(program: str, esp_mib: int) -> bytes:
    guid = uuid.UUID(ESP_GUID).bytes_le
    partition = struct.pack(
        "<BBHIQQ16sBB", 4, 1, 42, 1, _SECTORS_PER_MIB, esp_mib * _SECTORS_PER_MIB, guid, 2, 2
    )
    name = _text(program)
    file = struct.pack("<BBH", 4, 4, 4 + len(name)) + name
    path = partition + file + _END
    return struct.pack("<IH", 1, len(path)) + _text("debian") + path


def _variable(name: str, value: bytes, at: int) -> bytes:
    words = _text(name)
    head = struct.pack("<HBBIQ16sIII", 0x55AA, 0x3F, 0, _ATTRIBUTES, 0, bytes(16), 0, len(words), len(value))
    whole = head + _GLOBAL.bytes_le + words + value
    return whole.ljust(_aligned(at + len(whole)) - at, b"\xff")


def _text(text: str) -> bytes:
    return f"{text}\0".encode("utf-16-le")


def _aligned(offset: int) -> int:
    return (offset + 3) & ~3


def write(path: Path, program: str, esp_mib: int) -> None:
    path.write_bytes(with_boot_entry(qemu_system.find_ovmf()[1].read_bytes(), program, esp_mib))


def _run(variables: Path, words: list[str]) -> int:
    firmware = (qemu_system.find_ovmf()[0], variables)
    with mock.patch.object(qemu_system, "find_ovmf", return_value=firmware):
        return main(words)


if __name__ == "__main__":
    sys.exit(_run(Path(sys.argv[1]), sys.argv[2:]))
