"""What our parsers read, programs that are not ours read too: generated texts, one process for many."""

import random
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.fstab import entries
from vmdk2kvm.formats.shell_words import SHELL, assignments, commands

SHELL_PARTS = [
    *("a", "b c", "=", "/dev/sda1", "root=", "é", "#x", "~x", "{y}"),
    *("'", '"', "\\", "\\\n", '\\"', "\\'", "\\\\", "\\$ ", "''", '""', " # c", "\t"),
]
FSTAB_PARTS = [
    "a",
    "/",
    "=",
    '"',
    "'",
    ",",
    "#",
    "\\040",
    "\\011",
    "\\134",
    "\\9",
    "\\",
    "ü",
    ":",
    "UUID=",
    "\x0b",
]
Program = Callable[[str], str]
GAPS = [" ", "\t", "  \t"]


def stands_alone(value: str) -> bool:
    """Whether the value ends where its line does: another word would be a command to run."""
    try:
        found = [[word.value for word in command] for command in commands(f"V={value}\nEND=1\n", SHELL)]
    except GuestError:
        return False
    return [len(words) for words in found] == [1, 1] and found[1] == ["END=1"]


def random_values(rng: random.Random, count: int) -> list[str]:
    values: list[str] = []
    while len(values) < count:
        quote = rng.choice(["'", '"', ""])
        value = quote + "".join(rng.choices(SHELL_PARTS, k=rng.randint(0, 6))) + quote
        if stands_alone(value):
            values.append(value)
    return values


@pytest.mark.parametrize("seed", range(3))
def test_a_shell_reads_assignments_as_we_do(seed: int, tmp_path: Path, program: Program) -> None:
    shell = program("dash")
    values = random_values(random.Random(seed), 150)
    text = "".join(f"V{number}={value}\n" for number, value in enumerate(values))
    path = tmp_path / "defaults"
    path.write_bytes(text.encode())
    say = "".join(f'printf "%s\\0" "$V{number}"\n' for number in range(len(values)))
    script = f'PATH=/nonexistent; cd /; . "{path}"\n{say}'
    result = subprocess.run([shell, "-c", script], capture_output=True, timeout=30)
    theirs = result.stdout.decode().split("\0")[:-1]
    ours = {each.name: each.value for each in assignments(text)}
    assert [ours[f"V{number}"] for number in range(len(values))] == theirs


@pytest.mark.parametrize("seed", range(3))
def test_libmount_reads_entries_as_we_do(seed: int, tmp_path: Path, program: Program) -> None:
    findmnt, rng = program("findmnt"), random.Random(seed)
    lines = []
    for _ in range(300):
        count = rng.randint(0, 5)
        fields = ["".join(rng.choices(FSTAB_PARTS, k=rng.randint(1, 4))) for _ in range(min(count, 4))]
        fields += ["0"] * (count - 4)
        lines.append(
            rng.choice(["", "", " "]) + "".join(field + rng.choice(GAPS) for field in fields).rstrip()
        )
    path = tmp_path / "fstab"
    path.write_bytes(rng.choice(["\n", "\r\n"]).join(lines).encode("latin-1") + b"\n")
    command = [findmnt, "--tab-file", str(path), "-P", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS"]
    result = subprocess.run(command, capture_output=True, timeout=30)
    rows = [re.findall(r'[A-Z]+="([^"]*)"', row) for row in result.stdout.decode("latin-1").splitlines()]
    theirs = [
        [re.sub(r"\\x([0-9a-f]{2})", lambda x: chr(int(x[1], 16)), value) for value in row] for row in rows
    ]
    text = path.read_bytes().decode("latin-1")
    ours = [[each.spec, each.mountpoint, each.type, each.options or ""] for each in entries(text)]
    assert ours == theirs
