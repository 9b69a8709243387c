"""The installed command as a child process: start-up time, signals, pipes."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

COMMAND = Path(sys.executable).with_name("vmdk2kvm")
HEAVY = {"yaml", "rich", "jinja2", "guestfs", "hypothesis", "vmdk2kvm.pipeline", "vmdk2kvm.stages"}


def test_help_comes_in_under_0_3_seconds() -> None:
    """One start in many has to make it, for the machine may be busy with other things."""

    def once() -> float:
        started = time.monotonic()
        done = subprocess.run([COMMAND, "--help"], capture_output=True, check=True)
        assert b"--vmdk FILE" in done.stdout
        return time.monotonic() - started

    assert any(once() < 0.3 for _ in range(40))


@pytest.mark.parametrize("words", [["--help"], ["local", "--help"], ["doctor", "--help"], ["--version"]])
def test_help_loads_nothing_heavy(words: list[str]) -> None:
    script = (
        "import sys; from vmdk2kvm.cli.main import main; status = main(sys.argv[1:]);"
        "print(*sys.modules, file=sys.stderr); sys.exit(status)"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    assert HEAVY & set(done.stderr.split()) == set()


def test_a_reader_that_leaves_gets_no_traceback() -> None:
    child = subprocess.Popen([COMMAND, "--dump-schema"], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None and child.stderr is not None
    child.stdout.close()
    assert child.stderr.read() == b""
    child.stderr.close()
    assert child.wait() == 130


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_cancels(number: signal.Signals, tmp_path: Path) -> None:
    """The run waits for its configuration from a pipe that never speaks."""
    fifo = tmp_path / "never.yaml"
    os.mkfifo(fifo)
    words = [COMMAND, "--config", str(fifo), "--json", "plan"]
    child = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    with fifo.open("wb"):  # opens once the child reads
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
    assert (child.returncode, out) == (130, "")
    assert err.startswith('{"event": "error", "message": "the run was cancelled."')
    assert err.count("\n") == 1


def test_doctor_ends_in_8_where_a_program_is_missing(tmp_path: Path) -> None:
    done = subprocess.run(
        [COMMAND, "doctor"], capture_output=True, text=True, env={"PATH": str(tmp_path)}, check=False
    )
    assert done.returncode == 8
    assert "missing  qemu-img" in done.stdout
    assert done.stdout.endswith("\nnot ready\n")
    assert done.stderr == ""
