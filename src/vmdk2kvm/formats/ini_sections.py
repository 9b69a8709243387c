"""Sections of `key=value` lines: systemd.syntax(7), and NetworkManager's keyfiles (GLib key-value files).

Both skip what they cannot read, and so does this. Read only.
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """`entries` in the order they stand, keys repeated where the file repeats them."""

    name: str
    entries: tuple[tuple[str, str], ...]

    def last(self, key: str) -> str | None:
        """The value that holds where only one can."""
        return next((value for name, value in reversed(self.entries) if name == key), None)

    def words(self, key: str) -> tuple[str, ...]:
        """The words of every line with `key`; an empty value forgets those before it (systemd.syntax(7))."""
        found: list[str] = []
        for name, value in self.entries:
            if name == key:
                found = [*found, *value.split()] if value else []
        return tuple(found)


def parse(text: str) -> tuple[Section, ...]:
    """In the order of the file; lines before the first section belong to none."""
    sections: list[tuple[str, list[tuple[str, str]]]] = []
    for line in _logical_lines(text):
        if line.startswith("[") and line.endswith("]"):
            sections.append((line[1:-1], []))
        elif sections and "=" in line:
            key, _, value = line.partition("=")
            sections[-1][1].append((key.rstrip(), value.lstrip()))
    return tuple(Section(name=name, entries=tuple(entries)) for name, entries in sections)


def named(sections: tuple[Section, ...], *names: str) -> Section:
    """All sections called one of `names`, as one."""
    found = (section.entries for section in sections if section.name in names)
    return Section(name=names[0], entries=tuple(entry for entries in found for entry in entries))


def _logical_lines(text: str) -> list[str]:
    """Stripped, without comments, continued lines joined."""
    lines: list[str] = []
    joined = ""
    for line in map(str.strip, text.split("\n")):
        if line.startswith(("#", ";")):
            continue
        if line.endswith("\\"):
            joined += line[:-1] + " "
        else:
            lines.append(joined + line)
            joined = ""
    return [line for line in (*lines, joined.strip()) if line]
