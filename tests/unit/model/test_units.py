import pytest

from vmdk2kvm.model.units import GIB, KIB, MIB, format_bytes, format_seconds


@pytest.mark.parametrize(
    ("size_bytes", "text"),
    [
        (0, "0 B"),
        (1023, "1023 B"),
        (1536, "1.5 KiB"),
        (1023 * KIB, "0.999 MiB"),
        (999 * KIB, "999 KiB"),
        (5 * MIB // 2, "2.5 MiB"),
        (300 * GIB, "300 GiB"),
        (1536 * GIB, "1.5 TiB"),
        (5000 * 1024 * GIB, "5000 TiB"),
    ],
)
def test_sizes_read_well(size_bytes, text):
    assert format_bytes(size_bytes) == text


@pytest.mark.parametrize(
    ("seconds", "text"), [(0.04, "0.0s"), (59.9, "59.9s"), (75.2, "1m15s"), (3725, "1h02m05s")]
)
def test_times_read_well(seconds, text):
    assert format_seconds(seconds) == text
