"""How a key reaches cryptsetup: never in a script, never on the host's disk. No appliance is started."""

from pathlib import Path
from typing import Any

import pytest

from vmdk2kvm.errors import GuestError, ToolMissing, Vmdk2KvmError
from vmdk2kvm.guest.appliance import ShellResult
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.guest.offline_luks import LuksVolumes
from vmdk2kvm.model.luks import LuksKey, Secret

KEY = LuksKey(secret=Secret(b"Hunter2!\0\xff\n"), setting="luks_keyfile")


class Appliance:
    """Notes what it is asked; `statuses` are those of the scripts that open a volume."""

    def __init__(self, *statuses: int, said: bytes = b"", is_open: bool = False) -> None:
        self.statuses = list(statuses)
        self.said = said
        self.is_open = is_open
        self.scripts: list[str] = []
        self.uploads: list[tuple[bytes, str, int]] = []
        self.calls: list[tuple[object, ...]] = []

    def shell(self, script: str, *, timeout_s: float = 0.0) -> ShellResult:
        self.scripts.append(script)
        if script.startswith("cryptsetup"):
            return ShellResult(status=self.statuses.pop(0), output=self.said)
        is_question = script.startswith("[ -e ")
        return ShellResult(status=0 if self.is_open or not is_question else 1, output=b"")

    def call(self, name: str, *arguments: Any, path: str = "") -> object:
        self.calls.append((name, *arguments))
        if name == "debug_upload":
            source, target, mode = arguments
            self.uploads.append((Path(source).read_bytes(), target, mode))
        return b"header"


def guest(appliance: Appliance, tmp_path: Path) -> OfflineGuest:
    session = OfflineGuest(appliance, disk_count=1, scratch=tmp_path)  # type: ignore[arg-type]
    session._inner_names = {"/dev/sda5": "/dev/sdb5"}
    return session


def test_the_key_is_a_file_in_the_appliance_and_nothing_else(tmp_path: Path) -> None:
    appliance = Appliance(0)
    session = guest(appliance, tmp_path)
    assert session.open_luks("/dev/sda5", "luks-1", KEY)
    assert appliance.uploads == [(KEY.secret.reveal(), "/run/vmdk2kvm/key", 0o600)]
    asked = "\n".join([*appliance.scripts, repr(appliance.calls)])
    assert "Hunter2" not in asked and "/proc/self/fd/" in asked
    opens = next(script for script in appliance.scripts if script.startswith("cryptsetup"))
    assert "/dev/sdb5 luks-1" in opens
    assert opens.index("rm -f /run/vmdk2kvm/key") < opens.index("vgchange"), "whatever comes of it"
    assert list(tmp_path.iterdir()) == []
    assert session.luks_keys("/dev/sda5") == (KEY, ())


def test_a_key_that_does_not_fit_is_remembered(tmp_path: Path) -> None:
    session = guest(Appliance(2, 0), tmp_path)
    other = LuksKey(secret=Secret(b"x"), setting="luks_keys")
    assert not session.open_luks("/dev/sda5", "luks-1", other)
    assert session.open_luks("/dev/sda5", "luks-1", KEY)
    assert session.luks_keys("/dev/sda5") == (KEY, (other,))
    assert session.luks_keys("/dev/sdz1") == (None, ())


@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (3, GuestError, "not enough memory"),
        (127, ToolMissing, "cryptsetup"),
        (1, GuestError, 'volume "/dev/sda5" cannot be opened: Device is in use'),
    ],
)
def test_other_failures(tmp_path: Path, status: int, error: type[Vmdk2KvmError], words: str) -> None:
    appliance = Appliance(status, said=b"WARNING\nDevice is in use\n")
    with pytest.raises(error, match=words) as failed:
        guest(appliance, tmp_path).open_luks("/dev/sda5", "luks-1", KEY)
    assert "Hunter2" not in failed.value.message + failed.value.hint


def test_an_open_volume_whose_volume_groups_fail_is_open(tmp_path: Path) -> None:
    assert guest(Appliance(5, is_open=True), tmp_path).open_luks("/dev/sda5", "luks-1", KEY)


def test_names_are_quoted() -> None:
    appliance = Appliance(0)
    LuksVolumes(appliance).open("/dev/sd b", "b", "a;b", KEY)  # type: ignore[arg-type]
    assert "'/dev/sd b' 'a;b'" in appliance.scripts[-1]


def test_another_name_and_a_refusal(tmp_path: Path) -> None:
    appliance = Appliance()
    session = guest(appliance, tmp_path)
    session.rename_luks("/dev/sda5", "crypt-x")
    assert appliance.scripts == ["dmsetup rename /dev/sdb5 crypt-x && udevadm settle"]

    def refuse(script: str) -> ShellResult:
        return ShellResult(status=1, output=b"no\nname in use\n")

    appliance.shell = refuse  # type: ignore[method-assign,assignment]
    with pytest.raises(GuestError, match="name in use"):
        session.rename_luks("/dev/sda5", "crypt-x")


def test_bytes_of_a_device(tmp_path: Path) -> None:
    appliance = Appliance()

    def read(script: str) -> ShellResult:
        appliance.scripts.append(script)
        return ShellResult(status=0, output=b"header")

    appliance.shell = read  # type: ignore[method-assign,assignment]
    assert guest(appliance, tmp_path).read_device("/dev/sda5", 4096, 12) == b"header"
    assert guest(appliance, tmp_path).read_device("/dev/sda5", 10, (2 << 20) + 5) == 3 * b"header"
    assert [script.split()[1:] for script in appliance.scripts] == [
        ["if=/dev/sdb5", "bs=64K", options, f"skip={skip}", f"count={count}", "status=none"]
        for options in ["iflag=skip_bytes,count_bytes"]
        for skip, count in [(4096, 12), (10, 1 << 20), (10 + (1 << 20), 1 << 20), (10 + (2 << 20), 5)]
    ]


def test_a_device_that_cannot_be_read(tmp_path: Path) -> None:
    appliance = Appliance()

    def fail(script: str) -> ShellResult:
        return ShellResult(status=1, output=b"dd: Input/output error\n")

    appliance.shell = fail  # type: ignore[method-assign,assignment]
    with pytest.raises(GuestError, match="Input/output error"):
        guest(appliance, tmp_path).read_device("/dev/sda5", 0, 1)


def test_behind_the_end_of_a_device_there_is_nothing(tmp_path: Path) -> None:
    appliance = Appliance()

    def fail(script: str) -> ShellResult:
        return ShellResult(status=1, output=b"dd: '/dev/sdb5': cannot skip: Invalid argument\n")

    appliance.shell = fail  # type: ignore[method-assign,assignment]
    assert guest(appliance, tmp_path).read_device("/dev/sda5", 1 << 40, 1) == b""
