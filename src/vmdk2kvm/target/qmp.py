"""QEMU's machine protocol over a connected socket (QMP: one JSON object a line, both ways)."""

import json
import select
import socket
import time
from typing import Any

from vmdk2kvm.errors import ToolError

_MAX_LINE_BYTES = 4 << 20


class QmpError(ToolError):
    """QEMU refused a command, went away, or did not answer in time."""

    def __init__(self, message: str) -> None:
        super().__init__(message, hint="boot/qemu.log in the VM's folder holds what QEMU said.")


class Qmp:
    """Commands are answered in order; events that arrive in between are kept for `events()`."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._buffer = b""
        self._events: list[dict[str, Any]] = []
        self._answers: list[dict[str, Any]] = []

    def fileno(self) -> int:
        return self._connection.fileno()

    def greet(self, timeout_s: float) -> None:
        """Wait for QEMU's greeting and leave negotiation mode."""
        self._wait_for("QMP", timeout_s)
        self.execute("qmp_capabilities", timeout_s=timeout_s)

    def execute(self, command: str, *, timeout_s: float = 30.0, **arguments: object) -> Any:
        """One command's return value. Raises QmpError."""
        request: dict[str, object] = {"execute": command}
        if arguments:
            request["arguments"] = arguments
        try:
            self._connection.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise QmpError(f'QEMU took no command "{command}": {error.strerror}.') from error
        answer = self._wait_for("return", timeout_s, command=command)
        return answer["return"]

    def events(self) -> list[dict[str, Any]]:
        """Events received since the last call; does not wait."""
        self._receive(0)
        events, self._events = self._events, []
        return events

    def _wait_for(self, key: str, timeout_s: float, command: str = "greeting") -> dict[str, Any]:
        deadline = time.monotonic() + timeout_s
        while True:
            while self._answers:
                answer = self._answers.pop(0)
                if "error" in answer:
                    raise QmpError(f'QEMU refused "{command}": {answer["error"].get("desc")}')
                if key in answer:
                    return answer
            left_s = deadline - time.monotonic()
            if left_s <= 0 or not self._receive(left_s):
                raise QmpError(f'QEMU did not answer "{command}" within {timeout_s:g} s.')

    def _receive(self, timeout_s: float) -> bool:
        """Take in what has come; False when nothing came in time or QEMU is gone."""
        if not select.select([self._connection], [], [], timeout_s)[0]:
            return False
        try:
            chunk = self._connection.recv(65536)
        except ConnectionError:
            chunk = b""
        self._buffer += chunk
        *lines, self._buffer = self._buffer.split(b"\n")
        if len(self._buffer) > _MAX_LINE_BYTES:
            raise QmpError("QEMU sent a line of more than 4 MiB.")
        for line in filter(None, (line.strip() for line in lines)):
            message = json.loads(line)
            (self._events if "event" in message else self._answers).append(message)
        return bool(chunk)
