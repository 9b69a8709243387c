"""One running libguestfs appliance: a small virtual machine that holds the guest's disks.

Everything read from a guest is read in there. This is the one seam to it: each call has a
time-out, and libguestfs' RuntimeError becomes an error of ours, by the text of errno(3) that the
appliance (whose locale is C) sends.
"""

import base64
import logging
import os
import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from vmdk2kvm.errors import GuestError, NoRoomInGuest, ToolFailed
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import TEXT_ENCODING, TEXT_ERRORS

log = logging.getLogger(__name__)

SYSROOT = "/sysroot"  # where the appliance mounts the guest's root
CALL_TIMEOUT_S = 300.0
_SCRIPT_LIMIT_BYTES = 60_000  # one argument of execve(2) holds 128 KiB
_ENDED = (  # what libguestfs says once its QEMU is gone
    "call launch before using this function",
    "appliance closed the connection unexpectedly",
    "unexpected end of file when reading from daemon",
    "no subprocess",
)
_DAMAGED = ("Structure needs cleaning", "Input/output error", "Read-only file system", "Bad message")
_NOT_THERE = ("No such file or directory", "Not a directory")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShellResult:
    status: int
    output: bytes  # stdout and stderr together

    @property
    def text(self) -> str:
        return self.output.decode(TEXT_ENCODING, TEXT_ERRORS)


class Appliance:
    """Calls into a launched `guestfs.GuestFS`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle
        self._timed_out = False

    def call(self, name: str, *arguments: Any, path: str = "", **options: Any) -> Any:
        """One libguestfs call about `path`. Raises FileNotFoundError, GuestError, ToolFailed."""
        try:
            with self._watched(CALL_TIMEOUT_S):
                return getattr(self._handle, name)(*arguments, **options)
        except RuntimeError as error:
            raise self._translated(str(error), path) from error
        except ValueError as error:  # a name with NUL, or one that is not utf-8
            raise GuestError(
                f'the name "{visible(path)}" in the guest cannot be used.',
                hint="it is not utf-8; rename it in the guest if it is needed.",
            ) from error

    def shell(self, script: str, *, timeout_s: float = CALL_TIMEOUT_S) -> ShellResult:
        """Run a script with the appliance's own tools; the guest's root lies at SYSROOT.

        A status other than 0 is returned. Raises GuestError after `timeout_s`, and then the
        appliance is gone.
        """
        if not script.isascii() or "\0" in script:
            encoded = base64.b64encode(script.encode(TEXT_ENCODING, TEXT_ERRORS)).decode()
            script = f'eval "$(printf %s {encoded} | base64 -d)"'
        if len(script) > _SCRIPT_LIMIT_BYTES:
            raise GuestError("a request to the guest is too long.", hint="shorten the file names it holds.")
        # base64, because the binding decodes what comes back as utf-8
        line = f"{{ (\n{script}\n); printf '\\n%d' $?; }} </dev/null 2>&1 | base64 -w0"
        try:
            with self._watched(timeout_s):
                answer = self._run_interruptibly(line)
        except RuntimeError as error:
            raise self._translated(str(error), "") from error
        output, _, status = base64.b64decode(answer).rpartition(b"\n")
        return ShellResult(status=int(status), output=output)

    def _run_interruptibly(self, line: str) -> str:
        """A guest's program may run for minutes, and Python hears a signal only between two calls of
        the main thread: the call is made by another one, and Ctrl-C ends the appliance."""
        with ThreadPoolExecutor(max_workers=1) as pool:
            running: Future[str] = pool.submit(self._handle.debug, "sh", [line])
            try:
                return running.result()
            except KeyboardInterrupt:
                self._kill()
                raise

    def close(self) -> None:
        """Unmount, flush the disks and end QEMU. Raises ToolFailed when that did not work."""
        try:
            with self._watched(CALL_TIMEOUT_S):
                self._handle.shutdown()
        except RuntimeError as error:
            raise ToolFailed(
                ("guestfs_shutdown",), 1, str(error), hint="the repairs may be incomplete; run again."
            ) from error
        finally:
            self._handle.close()

    def abandon(self) -> None:
        """End QEMU without caring for the disks, when the work failed already."""
        try:
            self.close()
        except ToolFailed as error:
            log.debug("the appliance did not end cleanly: %s", error)

    @contextmanager
    def _watched(self, timeout_s: float) -> Iterator[None]:
        """A call that does not come back within `timeout_s` ends with the appliance."""
        timer = threading.Timer(timeout_s, self._give_up)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()

    def _give_up(self) -> None:
        self._timed_out = True
        self._kill()

    def _kill(self) -> None:
        """End QEMU, which Ctrl-C on a terminal may have reached already."""
        with suppress(RuntimeError, ProcessLookupError):
            os.kill(self._handle.get_pid(), signal.SIGKILL)

    def _translated(self, text: str, path: str) -> Exception:
        log.debug("libguestfs: %s", text)
        if self._timed_out:
            return GuestError(
                f'the guest did not answer about "{visible(path)}" in time.',
                hint="its file system may be damaged; check it on the source machine.",
            )
        if any(sign in text for sign in _ENDED):
            return ToolFailed(
                ("libguestfs",),
                1,
                "its appliance is gone",
                hint="run it again; if it ends again, check the guest's file systems on the source machine.",
            )
        if text.endswith(_NOT_THERE):
            return FileNotFoundError(path)
        if text.endswith("No space left on device"):
            return NoRoomInGuest(
                f'there is no room in the guest for "{visible(path)}".',
                hint="free some space in the guest, then run again.",
                mountpoint=path,
                needed_bytes=0,
            )
        reason = visible(text.partition("\n")[0].rpartition(": ")[2])
        damaged = text.endswith(_DAMAGED)
        return GuestError(
            f'"{visible(path)}" in the guest cannot be used: {reason}.',
            hint="check its file system on the source machine, shut it down cleanly, then run again."
            if damaged
            else "look at it in the guest; the log holds the whole message.",
        )
