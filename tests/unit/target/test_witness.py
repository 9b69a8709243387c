"""What the witness is placed as, and what is understood of what it says."""

import base64

import pytest

from vmdk2kvm.model.changes import MakeSymlink, WriteFile
from vmdk2kvm.target.witness import PORT_NAME, REQUIRED_FACTS, WitnessStream, plan_witness

FACTS = {name: f"content of {name}" for name in REQUIRED_FACTS} | {"uptime": "7"}


def frame(facts: dict[str, str] = FACTS, count: int | None = None) -> bytes:
    lines = [f"{name} {base64.b64encode(text.encode()).decode()}" for name, text in facts.items()]
    return "\n".join(["begin", *lines, f"end {len(facts) if count is None else count}", ""]).encode()


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
    torn = frame().replace(b"swaps ", b"swaps [ 1.2] usb", 1)
    stream.feed(torn)
    assert stream.report is None
    stream.feed(b"\n" + frame())
    assert stream.report == FACTS


@pytest.mark.parametrize("count", [0, len(FACTS) - 1, len(FACTS) + 1])
def test_a_wrong_count_is_no_report(count: int) -> None:
    stream = WitnessStream()
    stream.feed(frame(count=count))
    assert stream.report is None


@pytest.mark.parametrize("missing", sorted(REQUIRED_FACTS))
def test_a_report_without_a_required_fact_is_none(missing: str) -> None:
    stream = WitnessStream()
    stream.feed(frame({name: text for name, text in FACTS.items() if name != missing}))
    assert stream.report is None


def test_bytes_that_are_not_utf8_survive() -> None:
    stream = WitnessStream()
    stream.feed(frame().replace(base64.b64encode(b"7"), base64.b64encode(b"\xff")))
    assert stream.report is not None and stream.report["uptime"] == "\udcff"


def test_a_guest_that_never_ends_is_not_kept() -> None:
    stream = WitnessStream()
    stream.feed(b"begin\n")
    for _ in range(40):
        stream.feed(b"x" * 100_000)
    assert len(stream._rest) <= 1 << 20
    stream.feed(b"\n" + b"uptime " + b"QUFB" * 300_000 + b"\n")
    stream.feed(frame().removeprefix(b"begin\n"))
    assert stream.report is None
