import struct

from vmdk2kvm.formats.vmdk_tables import allocated, entries


def test_entries_are_little_endian_and_a_cut_one_is_left_out() -> None:
    assert list(entries(struct.pack("<3I", 1, 0, 2**32 - 1) + b"\1\2\3", "I")) == [1, 0, 2**32 - 1]
    assert list(entries(struct.pack("<2Q", 1, 2**63) + b"\1" * 7, "Q")) == [1, 2**63]


def test_a_directory_is_read_in_pieces() -> None:
    numbers = [index % 3 for index in range(40_000)]
    data = b"head" + struct.pack(f"<{len(numbers)}I", *numbers) + b"tail"
    asked = []

    def read(offset: int, length: int) -> bytes:
        asked.append(length)
        return data[offset : offset + length]

    assert list(allocated(read, 4, len(data) - 4, "I")) == [number for number in numbers if number]
    assert asked == [65536, 65536, 28928]
