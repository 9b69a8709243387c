"""What could not be trimmed is told, not swallowed."""

from pathlib import Path
from typing import cast

import pytest

from vmdk2kvm.guest import appliance_scripts
from vmdk2kvm.guest.appliance import Appliance, ShellResult
from vmdk2kvm.guest.offline_guest import OfflineGuest


class Shell:
    """An appliance that mounts everything and answers fstrim as told."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def call(self, name: str, *arguments: object, path: str) -> str:
        assert name == "realpath"
        return path

    def shell(self, script: str, *, timeout_s: float = 0) -> ShellResult:
        return ShellResult(status=0, output=self.answer if "fstrim" in script else b"")


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (b"", ()),
        (
            b"1\tfstrim: /sysroot/boot: not supported\n\0",
            (("/boot", "fstrim: /sysroot/boot: not supported"),),
        ),
        (b"0\ta\x001\tb\tc\nd\0", (("/", "a"), ("/boot", "b\tc\nd"))),
    ],
)
def test_file_systems_that_could_not_be_trimmed(
    answer: bytes, failed: tuple[tuple[str, str], ...], tmp_path: Path
) -> None:
    guest = OfflineGuest(cast("Appliance", Shell(answer)), disk_count=1, scratch=tmp_path)
    guest._mounted = {"/": "ext4", "/boot": "xfs", "/cd": "iso9660"}
    assert guest.trim() == failed


def test_the_script_goes_on_after_a_failure() -> None:
    lines = appliance_scripts.trim(["/", "/a b"]).split("\n")
    assert [line.partition(" 2>&1) || ")[0] for line in lines] == [
        "said=$(fstrim /sysroot/",
        "said=$(fstrim '/sysroot/a b'",
    ]
