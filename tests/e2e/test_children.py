"""Children of the product: their output, their failures, and that none outlives it."""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from vmdk2kvm.errors import ToolFailed, ToolMissing
from vmdk2kvm.tools import run


def test_both_outputs_and_the_status_come_back():
    result = run.run(["sh", "-c", "echo out; echo err >&2; exit 3"], check=False)
    assert (result.status, result.stdout, result.stderr) == (3, "out\n", "err\n")


def test_a_failure_names_the_program_and_its_last_words():
    with pytest.raises(ToolFailed) as caught:
        run.run(["sh", "-c", "echo first >&2; echo the reason >&2; exit 4"])
    assert caught.value.status == 4
    assert caught.value.message == '"sh" ended with status 4: the reason'


def test_a_missing_program_is_named():
    with pytest.raises(ToolMissing) as caught:
        run.run(["no-such-program-here"])
    assert caught.value.program == "no-such-program-here"


def test_output_can_be_read_as_it_comes():
    chunks = []
    run.run(["sh", "-c", "echo one; sleep 0.2; echo two"], on_output=chunks.append)
    assert b"".join(chunks) == b"one\ntwo\n"
    assert len(chunks) == 2


def test_a_child_that_takes_too_long_is_killed():
    started = time.monotonic()
    with pytest.raises(TimeoutError):
        run.run(["sleep", "60.25"], timeout_s=0.2)
    assert time.monotonic() - started < 5
    assert wait_until_gone("60.25")


def test_a_silent_child_with_piped_output_times_out_too():
    with pytest.raises(TimeoutError):
        run.run(["sleep", "60.75"], timeout_s=0.2, on_output=lambda chunk: None)
    assert wait_until_gone("60.75")


def test_a_child_lives_on_when_the_thread_that_started_it_ends():
    held = []

    def start() -> None:
        block = run.start(["sleep", "61.5"])
        held.append((block, block.__enter__()))

    thread = threading.Thread(target=start)
    thread.start()
    thread.join()
    time.sleep(0.2)
    block, process = held[0]
    assert process.poll() is None
    block.__exit__(None, None, None)
    assert wait_until_gone("61.5")


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_child_outlives_us(number):
    code = (
        "from vmdk2kvm.tools import run; run.run(['sh', '-c', 'echo up; exec sleep 62.5'], on_output=print)"
    )
    us = subprocess.Popen([sys.executable, "-u", "-c", code], stdout=subprocess.PIPE)
    assert us.stdout is not None and us.stdout.readline()
    os.kill(us.pid, number)
    us.wait()
    us.stdout.close()
    assert wait_until_gone("62.5")


def wait_until_gone(argument: str) -> bool:
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        if not any(argument in line for line in command_lines()):
            return True
        time.sleep(0.05)
    return False


def command_lines() -> list[str]:
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
        except OSError:
            continue
    return [line for line in lines if line.startswith("sleep ")]
