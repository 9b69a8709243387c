"""The witness: a unit and a script in a throwaway copy of the disk, and what they report.

The guest says what it sees and the host judges. Formats read here: proc(5) mountinfo and swaps,
fstab(5), os-release(5), `systemctl is-active` and `list-units --failed`, and the frame described
at the top of guest_files/vmdk2kvm-witness.sh. All of it is hostile: bounded and strict.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from importlib import resources
from typing import Protocol

from vmdk2kvm.model.changes import Change, MakeSymlink, PlannedChange, WriteFile

PORT_NAME = "org.vmdk2kvm.witness"
FIX_NAME = "witness"

_UNIT = "vmdk2kvm-witness.service"
_SCRIPT = "vmdk2kvm-witness.sh"
_UNIT_PATH = f"/etc/systemd/system/{_UNIT}"
# /usr may be a file system of its own that is not there yet: the script lies in /etc.
_SCRIPT_PATH = f"/etc/{_SCRIPT}"
# sysinit.target is part of every ordinary start, emergency.target of a start that goes there alone.
_WANTED_BY = ("sysinit.target", "emergency.target")

_MAX_LINE_BYTES = 4096
_MAX_FRAME_LINES = 20_000  # of base64: one mebibyte
_BASE64 = re.compile(rb"[A-Za-z0-9+/]{1,76}={0,2}")
_END = re.compile(rb"end (\d{1,6})")
_HEARTBEAT = re.compile(rb"heartbeat \d+ [a-z -]*")
REQUIRED_FACTS = frozenset(
    {"states", "/proc/sys/kernel/osrelease", "/proc/self/mountinfo", "root-device", "block-devices"}
)


class GuestFiles(Protocol):
    """What planning asks of a guest; every GuestReader answers it."""

    def exists(self, path: str) -> bool: ...
    def realpath(self, path: str) -> str: ...
    def read_bytes(self, path: str) -> bytes: ...
    def readlink(self, path: str) -> str: ...


def plan_witness(guest: GuestFiles) -> tuple[PlannedChange, ...]:
    """The changes that place the witness; () for a guest whose init is not systemd."""
    if not _starts_systemd(guest):
        return ()
    changes: list[Change] = [
        _write(guest, _SCRIPT_PATH, _SCRIPT, mode=0o755),
        _write(guest, _UNIT_PATH, _UNIT, mode=0o644),
    ]
    for target in _WANTED_BY:
        link = f"/etc/systemd/system/{target}.wants/{_UNIT}"
        before = guest.readlink(link) if guest.exists(link) else None
        changes.append(MakeSymlink(path=link, before=before, target=_UNIT_PATH))
    return tuple(PlannedChange(fix=FIX_NAME, change=change) for change in changes)


def _starts_systemd(guest: GuestFiles) -> bool:
    return guest.exists("/sbin/init") and guest.realpath("/sbin/init").endswith("/systemd")


def _write(guest: GuestFiles, path: str, resource: str, *, mode: int) -> WriteFile:
    content = resources.files(__package__).joinpath("guest_files", resource).read_bytes()
    before = guest.read_bytes(path) if guest.exists(path) else None
    return WriteFile(path=path, before=before, after=content, mode=mode)


class WitnessStream:
    """Takes in bytes of a channel as they come, and finds heartbeats and a whole report in them.

    The serial console mixes the report with whatever else speaks there: a frame whose number of
    lines is wrong is dropped, and the next one is awaited.
    """

    def __init__(self) -> None:
        self.heartbeats = 0
        self.report: Mapping[str, str] | None = None
        self._rest = b""
        self._frame: list[bytes] | None = None

    def feed(self, chunk: bytes) -> None:
        *lines, rest = (self._rest + chunk).split(b"\n")
        self._rest = rest[-_MAX_LINE_BYTES:]
        for line in lines:
            self._take(line.rstrip(b"\r"))

    def _take(self, line: bytes) -> None:
        if _HEARTBEAT.fullmatch(line):
            self.heartbeats += 1
        elif line == b"begin":
            self._frame = []
        elif self._frame is not None and (end := _END.fullmatch(line)):
            if len(self._frame) == int(end[1]):
                self.report = _parse_report(b"".join(self._frame)) or self.report
            self._frame = None
        elif self._frame is not None and _BASE64.fullmatch(line):
            self._frame.append(line)
            if len(self._frame) > _MAX_FRAME_LINES:
                self._frame = None


def _parse_report(encoded: bytes) -> Mapping[str, str] | None:
    """The facts by name; None when the report is torn or lacks one."""
    try:
        text = base64.b64decode(encoded, validate=True).decode("utf-8", "surrogateescape")
    except binascii.Error:
        return None
    facts: dict[str, list[str]] = {}
    for line in text.split("\n"):
        name, colon, content = line.partition(":")
        if colon:
            facts.setdefault(name, []).append(content)
    return (
        {name: "\n".join(lines) for name, lines in facts.items()} if facts.keys() >= REQUIRED_FACTS else None
    )
