"""File names on FAT, which knows no case (UEFI specification, "File System Format")."""


def any_case(pattern: str) -> str:
    """A shell pattern that fits `pattern` however it is written: "/EFI/*" → "/[Ee][Ff][Ii]/*"."""
    return "".join(f"[{each.upper()}{each.lower()}]" if each.isalpha() else each for each in pattern)
