"""What the witness is placed as, and what is understood of what it says."""

import base64

import pytest

from vmdk2kvm.model.changes import MakeSymlink, WriteFile
from vmdk2kvm.target.witness import PORT_NAME, REQUIRED_FACTS, WitnessStream, plan_witness

FACTS = {name: f"content of\n{name}" for name in REQUIRED_FACTS} | {"uptime": "7"}


def encode(facts: dict[str, str]) -> bytes:
    """As grep -H writes it, through base64."""
    lines = [f"{name}:{line}\n" for name, text in facts.items() for line in text.split("\n")]
    return base64.encodebytes("".join(lines).encode("utf-8", "surrogateescape"))


def frame(facts: dict[str, str] = FACTS, off_by: int = 0) -> bytes:
    encoded = encode(facts)
    return b"begin\n%bend %d\n" % (encoded, encoded.count(b"\n") + off_by)


class Guest:
    def __init__(self, init: str | None, files: dict[str, bytes] | None = None) -> None:
        self.init = init
        self.files = files or {}

    def exists(self, path: str) -> bool:
        return path in self.files or (path == "/sbin/init" and self.init is not None)

    def realpath(self, path: str) -> str:
        assert path == "/sbin/init" and self.init is not None
        return self.init

    def read_bytes(self, path: str) -> bytes:
        return self.files[path]

    def readlink(self, path: str) -> str:
        return self.files[path].decode()


def test_the_plan_is_a_script_a_unit_and_two_links() -> None:
    planned = plan_witness(Guest("/usr/lib/systemd/systemd"))
    assert {item.fix for item in planned} == {"witness"}
    script, unit, *links = [item.change for item in planned]
    assert isinstance(script, WriteFile) and script.path == "/etc/vmdk2kvm-witness.sh"
    assert script.before is None and script.mode == 0o755
    assert f"PORT_NAME={PORT_NAME}\n".encode() in script.after
    assert isinstance(unit, WriteFile) and unit.path == "/etc/systemd/system/vmdk2kvm-witness.service"
    assert [(link.path, link.target) for link in links if isinstance(link, MakeSymlink)] == [
        (f"/etc/systemd/system/{target}.target.wants/vmdk2kvm-witness.service", unit.path)
        for target in ("sysinit", "emergency")
    ]


def test_the_unit_starts_the_script_and_survives_emergency_mode() -> None:
    script, unit, *_ = [item.change for item in plan_witness(Guest("/lib/systemd/systemd"))]
    assert isinstance(script, WriteFile) and isinstance(unit, WriteFile)
    lines = unit.after.decode().split("\n")
    assert f"ExecStart=/bin/sh {script.path}" in lines
    assert {"IgnoreOnIsolate=yes", "DefaultDependencies=no"} <= set(lines)


def test_what_stands_there_already_is_in_the_plan() -> None:
    guest = Guest("/lib/systemd/systemd", {"/etc/vmdk2kvm-witness.sh": b"old"})
    script = plan_witness(guest)[0].change
    assert isinstance(script, WriteFile) and script.before == b"old"


@pytest.mark.parametrize("init", [None, "/sbin/init", "/bin/busybox", "/usr/sbin/openrc-init"])
def test_without_systemd_there_is_no_witness(init: str | None) -> None:
    assert plan_witness(Guest(init)) == ()


@pytest.mark.parametrize("size", [1, 7, 100000])
def test_a_report_is_understood_in_any_pieces(size: int) -> None:
    stream, content = WitnessStream(), b"heartbeat 3 inactive inactive inactive \n" + frame()
    for at in range(0, len(content), size):
        assert stream.report is None
        stream.feed(content[at : at + size])
    assert stream.report == FACTS
    assert stream.heartbeats == 1


def test_a_serial_console_talks_in_between() -> None:
    stream = WitnessStream()
    content = (
        frame().replace(b"\n", b"\r\n").replace(b"begin", b"[   12.3] a line\r\nbegin\r\n[   12.4] another")
    )
    stream.feed(b"testguest login: \r\n" + content)
    assert stream.report == FACTS


def test_a_torn_line_spoils_its_frame_and_the_next_one_counts() -> None:
    stream = WitnessStream()
    lines = frame().split(b"\n")
    lines[2] = lines[2][:20] + b"[   12.3] usb 1-1: new device" + lines[2][20:]
    stream.feed(b"\n".join(lines))
    assert stream.report is None
    stream.feed(b"\n" + frame())
    assert stream.report == FACTS


@pytest.mark.parametrize("off_by", [-1, 1])
def test_a_wrong_count_is_no_report(off_by: int) -> None:
    stream = WitnessStream()
    stream.feed(frame(off_by=off_by))
    assert stream.report is None


def test_base64_that_does_not_add_up_is_no_report() -> None:
    stream = WitnessStream()
    stream.feed(frame().replace(b"\nend", b"=\nend"))
    assert stream.report is None


@pytest.mark.parametrize("missing", sorted(REQUIRED_FACTS))
def test_a_report_without_a_required_fact_is_none(missing: str) -> None:
    stream = WitnessStream()
    stream.feed(frame({name: text for name, text in FACTS.items() if name != missing}))
    assert stream.report is None


def test_bytes_that_are_not_utf8_survive() -> None:
    stream = WitnessStream()
    stream.feed(frame({**FACTS, "uptime": "\udcff: x"}))
    assert stream.report is not None and stream.report["uptime"] == "\udcff: x"


def test_a_guest_that_never_ends_is_not_kept() -> None:
    stream = WitnessStream()
    for _ in range(40):
        stream.feed(b"x" * 100_000)
    assert len(stream._rest) <= 4096
    stream.feed(b"\nbegin\n" + b"QUFB\n" * 20_001)
    assert stream._frame is None
