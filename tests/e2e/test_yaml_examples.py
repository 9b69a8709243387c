"""The examples of docs/yaml-examples.md that name a real guest, run as they stand."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.guests.catalog import GUESTS
from tests.guests.disk import build
from tests.guests.proof import COMMAND, TIMEOUT_S
from tests.yaml_examples import Example, read_examples

EXAMPLES = [example for example in read_examples() if example.wants_guest]


@pytest.mark.appliance
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_the_example_does_what_it_says(example: Example, tmp_path: Path) -> None:
    place(build(GUESTS["bios-ext4"]), tmp_path / "web01.vmdk")
    example.write(tmp_path)
    before = {path: path.read_bytes() for path in tmp_path.glob("*.yaml")}
    for step in example.steps:
        done = subprocess.run(
            [COMMAND, *step.words],
            cwd=tmp_path,
            env={**os.environ, **step.environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.strip()
    assert {path: path.read_bytes() for path in tmp_path.glob("*.yaml")} == before
    if "qemu_test: true" in "".join(example.files.values()):
        made = {path.name for path in (tmp_path / "out/web01").iterdir()}
        assert {"web01-disk0.qcow2", "report.json", "report.md", "SHA256SUMS", "boot"} <= made


def place(disk: Path, name: Path) -> None:
    """Under the name the page uses; the source is never written, so a link will do."""
    try:
        name.hardlink_to(disk)
    except OSError:
        shutil.copyfile(disk, name)
