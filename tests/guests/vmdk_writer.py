"""Writes VMDK variants that qemu-img cannot: what ESXi, Workstation and ovftool leave on a disk.

Laid out by hand from VMware, Virtual Disk Format 5.0; the seSparse layout from QEMU's reader. Content
is a bytes object; a delta holds the grains that differ from the content below.
"""

import struct
import zlib
from pathlib import Path

SECTOR = 512
GD_AT_END = 0xFFFFFFFFFFFFFFFF
DEFAULT_GRAIN = 16  # sectors: small, so that small disks have several grain tables
ESX_TABLE = 4096


def descriptor(extents, *, create_type, cid=0x1234ABCD, parent_cid=0xFFFFFFFF, hint=None, extra=()):
    """The text of a descriptor; `extents` are whole lines."""
    lines = ["# Disk DescriptorFile", "version=1", f"CID={cid:08x}", f"parentCID={parent_cid:08x}"]
    lines.append(f'createType="{create_type}"')
    lines += [f'parentFileNameHint="{hint}"'] if hint else []
    lines += [*extra, "", "# Extent description", *extents, "", "# The Disk Data Base", "#DDB", ""]
    lines += ['ddb.adapterType = "lsilogic"', 'ddb.virtualHWVersion = "14"']
    return ("\n".join(lines) + "\n").encode()


def grains(content, below, grain_bytes):
    """(number, bytes or None for "reads as zeroes") of every grain that differs from what is below."""
    zero = bytes(grain_bytes)
    for number, start in enumerate(range(0, len(content), grain_bytes)):
        grain = content[start : start + grain_bytes].ljust(grain_bytes, b"\0")
        under = zero if below is None else below[start : start + grain_bytes].ljust(grain_bytes, b"\0")
        if grain != under:
            yield number, None if grain == zero else grain


def hosted_header(
    *,
    capacity,
    gd_offset,
    overhead=0,
    grain=DEFAULT_GRAIN,
    table_entries=512,
    descriptor_sectors=20,
    compressed=False,
    version=1,
    flags=0b101,
):
    flags |= (3 << 16) if compressed else 0
    return struct.pack(
        "<4sIIQQQQIQQQB4sH",
        b"KDMV", version, flags, capacity, grain, 1 if descriptor_sectors else 0, descriptor_sectors,
        table_entries, 0, gd_offset, overhead, 0, b"\n \r\n", 1 if compressed else 0,
    ).ljust(SECTOR, b"\0")  # fmt: skip


def hosted_sparse(content, *, below=None, grain=DEFAULT_GRAIN, embedded=b""):
    """A sparse extent: header, embedded descriptor, directory, tables, grains."""
    sectors = len(content) // SECTOR
    tables = -(-sectors // (512 * grain))
    gd_offset = 21
    first_table = gd_offset + -(-tables * 4 // SECTOR)
    directory = [first_table + 4 * number for number in range(tables)]
    entries = [0] * (tables * 512)
    data_start = -(-(first_table + 4 * tables) // grain) * grain
    data = b""
    for number, block in grains(content, below, grain * SECTOR):
        entries[number] = 1 if block is None else data_start + len(data) // SECTOR
        data += block or b""
    head = hosted_header(
        capacity=sectors, gd_offset=gd_offset, overhead=data_start, grain=grain
    ) + embedded.ljust(20 * SECTOR, b"\0")
    head += _pad(struct.pack(f"<{tables}I", *directory)) + struct.pack(f"<{len(entries)}I", *entries)
    return head.ljust(data_start * SECTOR, b"\0") + data


def stream_optimized(content, *, embedded, grain=128):
    """As ovftool writes it: compressed grains with markers, tables behind them, a footer at the end."""
    sectors = len(content) // SECTOR
    tables = -(-sectors // (512 * grain))
    out = bytearray(
        hosted_header(capacity=sectors, gd_offset=GD_AT_END, grain=grain, compressed=True, version=3)
    )
    out += embedded.ljust(20 * SECTOR, b"\0")
    out = out.ljust(128 * SECTOR, b"\0")
    entries = [[0] * 512 for _ in range(tables)]
    for number, block in grains(content, None, grain * SECTOR):
        entries[number // 512][number % 512] = len(out) // SECTOR
        packed = zlib.compress(block)
        out += _pad(struct.pack("<QI", number * grain, len(packed)) + packed)
    directory = []
    for table in entries:
        out += _marker(4, 0, 1)
        directory.append(len(out) // SECTOR if any(table) else 0)
        out += struct.pack("<512I", *table)
    out += _marker(1, 0, 2)
    gd_offset = len(out) // SECTOR
    out += _pad(struct.pack(f"<{tables}I", *directory))
    out += _marker(1, 0, 3)
    out += hosted_header(capacity=sectors, gd_offset=gd_offset, grain=grain, compressed=True, version=3)
    return bytes(out + _marker(0, 0, 0))


def esx_sparse(content, *, below=None, grain=1):
    """A delta as ESXi writes it on VMFS 5 ("COWD")."""
    sectors = len(content) // SECTOR
    tables = -(-sectors // (ESX_TABLE * grain))
    gd_sectors = -(-tables * 4 // SECTOR)
    entries = [0] * (tables * ESX_TABLE)
    data_start = 4 + gd_sectors + tables * 32
    data = bytearray()
    for number, block in grains(content, below, grain * SECTOR):
        entries[number] = data_start + len(data) // SECTOR
        data += block or bytes(grain * SECTOR)
    head = struct.pack("<4sIIIIIII", b"COWD", 1, 3, sectors, grain, 4, tables, data_start).ljust(
        4 * SECTOR, b"\0"
    )
    directory = _pad(struct.pack(f"<{tables}I", *(4 + gd_sectors + 32 * number for number in range(tables))))
    return head + directory + struct.pack(f"<{len(entries)}I", *entries) + bytes(data)


def se_sparse(content, *, below=None):
    """A delta as ESXi writes it on VMFS 6: grains of 4 KiB, tables of 4096 entries of 64 bits."""
    sectors = len(content) // SECTOR
    tables = -(-sectors // (4096 * 8))
    gd_offset, gt_offset = 2, 2 + -(-tables * 8 // SECTOR)
    grains_offset = gt_offset + 64 * tables
    entries = [0] * (tables * 4096)
    data = bytearray()
    for number, block in grains(content, below, 4096):
        index = len(data) // 4096
        stored = (index >> 12) | (index & 0xFFF) << 48
        entries[number] = (2 << 60) if block is None else (3 << 60) | stored
        data += block or b""
    fields = (
        0xCAFEBABE, 0x200000001, sectors, 8, 64, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0,
        gd_offset, gt_offset - gd_offset, gt_offset, 64 * tables, 0, 0, 0, 0, grains_offset,
        len(data) // SECTOR,
    )  # fmt: skip
    head = struct.pack("<26Q", *fields).ljust(SECTOR, b"\0")
    volatile = struct.pack("<4Q", 0xCAFECAFE, 0, 0, 0).ljust(SECTOR, b"\0")
    directory = _pad(struct.pack(f"<{tables}Q", *((1 << 60) | number for number in range(tables))))
    return head + volatile + directory + struct.pack(f"<{len(entries)}Q", *entries) + bytes(data)


def _marker(value, size, kind):
    return struct.pack("<QII", value, size, kind).ljust(SECTOR, b"\0")


def _pad(data):
    return data + bytes(-len(data) % SECTOR)


def write_monolithic_sparse(
    path: Path, content, *, below=None, cid=1, parent_cid=0xFFFFFFFF, hint=None, **options
):
    text = descriptor(
        [f'RW {len(content) // SECTOR} SPARSE "{path.name}"'],
        create_type="monolithicSparse", cid=cid, parent_cid=parent_cid, hint=hint,
    )  # fmt: skip
    path.write_bytes(hosted_sparse(content, below=below, embedded=text, **options))


def write_stream_optimized(path: Path, content, *, cid=1):
    line = f'RDONLY {len(content) // SECTOR} SPARSE "generated-stream.vmdk"'
    path.write_bytes(
        stream_optimized(content, embedded=descriptor([line], create_type="streamOptimized", cid=cid))
    )


def write_vmfs_flat(path: Path, content, *, cid=1):
    """The pair that lies on a datastore: disk.vmdk and disk-flat.vmdk."""
    flat = path.with_name(f"{path.stem}-flat.vmdk")
    flat.write_bytes(content)
    line = f'RW {len(content) // SECTOR} VMFS "{flat.name}"'
    path.write_bytes(descriptor([line], create_type="vmfs", cid=cid, extra=['encoding="UTF-8"']))


def write_esx_delta(path: Path, content, *, below, cid, parent_cid, hint, on_vmfs6=False):
    """A snapshot as ESXi keeps it: a descriptor and its delta (vmfsSparse) or sesparse file."""
    suffix, kind, create_type = (
        ("sesparse", "SESPARSE", "seSparse") if on_vmfs6 else ("delta", "VMFSSPARSE", "vmfsSparse")
    )
    delta = path.with_name(f"{path.stem}-{suffix}.vmdk")
    delta.write_bytes((se_sparse if on_vmfs6 else esx_sparse)(content, below=below))
    line = f'RW {len(content) // SECTOR} {kind} "{delta.name}"'
    path.write_bytes(descriptor([line], create_type=create_type, cid=cid, parent_cid=parent_cid, hint=hint))
