"""UEFI programs as small as they can be: their sections, and GRUB's built-in objects."""

import struct

SECTION_BYTES = 40
OPTIONAL_BYTES = 240
COFF_BYTES = 24


def program(sections: dict[bytes, bytes], *, lead: int = 128) -> bytes:
    """A PE file whose headers begin at `lead`, as `objcopy --add-section` makes them."""
    place = lead + COFF_BYTES + OPTIONAL_BYTES + SECTION_BYTES * len(sections)
    table, contents = b"", b""
    for name, content in sections.items():
        padded = content.ljust(-(-len(content) // 64) * 64, b"\0")
        table += struct.pack("<8sIIII16x", name, len(content), 0x10000, len(padded), place + len(contents))
        contents += padded
    head = b"MZ".ljust(60, b"\0") + struct.pack("<I", lead)
    coff = struct.pack("<4sHHIIIHH", b"PE\0\0", 0x8664, len(sections), 0, 0, 0, OPTIONAL_BYTES, 0)
    return head.ljust(lead, b"\0") + coff + bytes(OPTIONAL_BYTES) + table + contents


def grub(prefix: str | None, *, name: str = "GRUB") -> bytes:
    """GRUB as grub-mkimage(1) puts it together; `prefix` None for no such object."""
    objects = [(0, b"\x7fELF" + name.encode())]
    if prefix is not None:
        objects.append((3, prefix.encode() + b"\0"))
    body = b"".join(struct.pack("<II", kind, 8 + len(content)) + content for kind, content in objects)
    return program(
        {b".text": name.encode(), b"mods": struct.pack("<4s4xQQ", b"mimg", 24, 24 + len(body)) + body}
    )
