"""The seam to libguestfs: what it says becomes errors of ours."""

import base64
import os
import signal
import threading
import time
from typing import Any

import pytest

from vmdk2kvm.errors import GuestError, NoRoomInGuest, ToolFailed
from vmdk2kvm.guest import appliance as module
from vmdk2kvm.guest.appliance import Appliance


class Handle:
    """A `guestfs.GuestFS` whose calls fail, or answer, as told."""

    def __init__(self, answer: Any = None) -> None:
        self.answer = answer
        self.closed = False
        self.lines: list[str] = []

    def stat(self, path: str) -> Any:
        path.encode("utf-8")
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer

    def shutdown(self) -> Any:
        return self.stat("")

    def debug(self, command: str, arguments: list[str]) -> Any:
        assert command == "sh"
        self.lines += arguments
        return self.stat("")

    def close(self) -> None:
        self.closed = True


def test_an_answer_comes_through() -> None:
    assert Appliance(Handle(7)).call("stat", "/x", path="/x") == 7


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("stat: /x: No such file or directory", FileNotFoundError),
        ("open: /x/y: Not a directory", FileNotFoundError),
        ("write: /x: No space left on device", NoRoomInGuest),
        ("realpath: /x: Too many levels of symbolic links", GuestError),
    ],
)
def test_errors_by_what_errno_says(said: str, expected: type[Exception]) -> None:
    with pytest.raises(expected) as caught:
        Appliance(Handle(RuntimeError(said))).call("stat", "/x", path="/x")
    assert type(caught.value) is expected
    assert isinstance(caught.value.__cause__, RuntimeError)


@pytest.mark.parametrize(
    "said",
    [
        "stat: call launch before using this function\n(in guestfish, don't forget to use the 'run' command)",
        "appliance closed the connection unexpectedly.\nThis usually means the libguestfs appliance crashed.",
    ],
)
def test_an_appliance_that_is_gone_is_no_fault_of_the_file(said: str) -> None:
    with pytest.raises(ToolFailed, match="its appliance is gone") as caught:
        Appliance(Handle(RuntimeError(said))).call("stat", "/x", path="/x")
    assert "/x" not in caught.value.message


def test_an_error_is_told_by_its_first_line() -> None:
    with pytest.raises(GuestError, match=r"cannot be used: bad magic\.$"):
        Appliance(Handle(RuntimeError("mount: bad magic\nhint: look"))).call("stat", "/x", path="/x")


def test_a_name_that_is_not_utf8() -> None:
    with pytest.raises(GuestError, match=r"\\xe9"):
        Appliance(Handle()).call("stat", "/\udce9", path="/\udce9")


@pytest.mark.parametrize(
    ("output", "status"), [(b"", 0), (b"a\n", 3), (b"no newline", 12), (b"12", 0), (b"\n\n", 1), (b"\xff", 0)]
)
def test_output_and_status_of_a_script(output: bytes, status: int) -> None:
    answer = base64.b64encode(output + b"\n%d" % status).decode()
    result = Appliance(Handle(answer)).shell("true")
    assert (result.output, result.status) == (output, status)


@pytest.mark.parametrize("script", ["printf 'a b'", "printf '%s' 'é\udcff'"])
def test_any_script_reaches_the_binding_as_ascii(script: str) -> None:
    handle = Handle(base64.b64encode(b"\n0").decode())
    Appliance(handle).shell(script)
    assert handle.lines[0].isascii()


def test_a_script_that_is_too_long() -> None:
    with pytest.raises(GuestError, match="too long"):
        Appliance(Handle()).shell("x" * 100_000)


def test_closing() -> None:
    handle = Handle()
    Appliance(handle).close()
    assert handle.closed
    failing = Handle(RuntimeError("guestfs_shutdown: qemu failed"))
    with pytest.raises(ToolFailed, match="qemu failed"):
        Appliance(failing).close()
    assert failing.closed
    Appliance(Handle(RuntimeError("again"))).abandon()


def test_a_call_that_never_comes_back(monkeypatch: pytest.MonkeyPatch) -> None:
    killed: list[int] = []

    class Stuck(Handle):
        def stat(self, path: str) -> Any:
            while not killed:
                time.sleep(0.01)
            raise RuntimeError("unexpected end of file when reading from daemon")

        def get_pid(self) -> int:
            return 4711

    monkeypatch.setattr(module, "CALL_TIMEOUT_S", 0.05)
    monkeypatch.setattr(os, "kill", lambda pid, _: killed.append(pid))
    with pytest.raises(GuestError, match="in time"):
        Appliance(Stuck()).call("stat", "/x", path="/x")
    assert killed == [4711]


def test_ctrl_c_that_reached_qemu_too(monkeypatch):
    class Gone(Handle):
        def debug(self, command: str, arguments: list[str]) -> Any:
            signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
            time.sleep(0.2)
            raise RuntimeError("appliance closed the connection unexpectedly")

        def get_pid(self) -> int:
            raise RuntimeError("get_pid: no subprocess")

    with pytest.raises(KeyboardInterrupt):
        Appliance(Gone()).shell("sleep 600")


def test_ctrl_c_ends_a_program_that_runs_for_minutes(monkeypatch):
    ended = threading.Event()

    class Busy:
        def get_pid(self) -> int:
            return 4242

        def debug(self, name: str, arguments: list[str]) -> str:
            assert ended.wait(30), "nobody ended the appliance"
            raise RuntimeError("the appliance went away")

    monkeypatch.setattr("os.kill", lambda pid, number: ended.set())
    interrupt = threading.Timer(0.2, signal.pthread_kill, (threading.main_thread().ident, signal.SIGINT))
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        Appliance(Busy()).shell("sleep 600")
    assert ended.is_set()
