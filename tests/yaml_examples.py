"""docs/yaml-examples.md, read for the tests: per section its files and the commands to run on them."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "yaml-examples.md"
REAL = "<!-- run with a real guest -->"
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One command line, and lines that must be among what it says."""

    environment: dict[str, str]
    words: tuple[str, ...]
    expected: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    title: str
    files: dict[str, str]
    steps: tuple[Step, ...]
    wants_guest: bool

    def write(self, folder: Path) -> None:
        for name, text in self.files.items():
            (folder / name).write_text(text)


def read_examples() -> list[Example]:
    sections = PAGE.read_text().split("\n## ")[1:]
    return [example for section in sections if (example := _example(section)).steps]


def _example(section: str) -> Example:
    blocks = _BLOCK.findall(section)
    files = [text for language, text in blocks if language == "yaml"]
    commands = "".join(text for language, text in blocks if language == "console")
    return Example(
        title=section.split("\n", 1)[0],
        files={text.split("\n", 1)[0].removeprefix("# "): text for text in files},
        steps=tuple(_step(text) for text in re.split(r"^\$ ", commands, flags=re.MULTILINE)[1:]),
        wants_guest=REAL in section,
    )


def _step(text: str) -> Step:
    command, *expected = text.rstrip("\n").split("\n")
    words = shlex.split(command)
    at = words.index("vmdk2kvm")
    return Step(
        environment=dict(word.split("=", 1) for word in words[:at]),
        words=tuple(words[at + 1 :]),
        expected=tuple(expected),
    )
