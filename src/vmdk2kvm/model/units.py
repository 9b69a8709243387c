"""Sizes and times, and how a person reads them."""

SECTOR_BYTES = 512
KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


def format_bytes(size_bytes: int) -> str:
    """`1536` → "1.5 KiB": three significant figures, binary units."""
    if abs(size_bytes) < KIB:
        return f"{size_bytes} B"
    value = float(size_bytes)
    for unit in ("KiB", "MiB", "GiB"):
        value /= 1024
        if abs(value) < 999.5:
            return f"{value:.3g} {unit}"
    return f"{value / 1024:.4g} TiB"


def format_seconds(seconds: float) -> str:
    """`75.2` → "1m15s"; under a minute "12.3s"."""
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02d}m{rest:02d}s" if hours else f"{minutes}m{rest:02d}s"
