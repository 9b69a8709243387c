"""Every error an operator can see, with the exit code it ends in.

    Vmdk2KvmError                    1   (only its subclasses are raised)
    ├── UsageError                   2   the command line or the configuration
    │   ├── ConfigError              2   … a YAML key or value, with file and line
    │   └── FolderLocked             2   another run works in the same VM folder
    ├── InputNotFound                3   a source file or host that is not there
    ├── SourceDiskError              4   what the source disk is made of
    │   ├── DescriptorError          4   … a VMDK descriptor or sparse header
    │   ├── ExtentError              4   … an extent: missing, cut off, outside the folder
    │   └── ChainError               4   … a snapshot chain: parent, CID, cycle
    ├── GuestError                   5   what is inside the guest
    │   ├── NoOperatingSystem        5
    │   ├── GuestRefused             5   a guest this tool will not touch, with the reason
    │   ├── NoRoomInGuest            5
    │   ├── StalePlan                5   a file changed between plan and apply
    │   ├── ChangedSinceRepair       5   files to be put back that changed after the repair
    │   ├── DoesNotConverge          5   a second plan after apply is not empty
    │   └── RebuildUnproven          5   a rebuilt initramfs does not hold what it must
    ├── OutputError                  6   where the result goes
    │   ├── OutputNotWritable        6
    │   └── OutputFull               6
    ├── ValidationFailed             7   the result did not prove itself
    ├── ToolError                    8   a program this tool stands on
    │   ├── ToolMissing              8
    │   └── ToolFailed               8
    └── Cancelled                  130

The message is one sentence that names the object in quotes; the hint is the operator's next step.
"""

from collections.abc import Sequence
from pathlib import Path


class Vmdk2KvmError(Exception):
    """Root of the tree; `message` names the object and the reason, `hint` the next step."""

    exit_code = 1

    def __init__(self, message: str, *, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(Vmdk2KvmError):
    exit_code = 2


class ConfigError(UsageError):
    """A bad configuration key or value; `file` and `line` say where, when a file holds it."""

    def __init__(self, message: str, *, hint: str, file: Path | None = None, line: int | None = None) -> None:
        where = "" if file is None else f"{file}:{line}: " if line else f"{file}: "
        super().__init__(where + message, hint=hint)
        self.file = file
        self.line = line


class FolderLocked(UsageError):
    def __init__(self, folder: Path) -> None:
        super().__init__(
            f'another run is working in "{folder}".',
            hint="wait for it to end, or give this run another --output-dir.",
        )
        self.folder = folder


class InputNotFound(Vmdk2KvmError):
    exit_code = 3

    def __init__(self, message: str, *, hint: str, path: Path | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class SourceDiskError(Vmdk2KvmError):
    """The source disk cannot be trusted; `path` is the file at fault."""

    exit_code = 4

    def __init__(self, message: str, *, hint: str, path: Path | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class DescriptorError(SourceDiskError):
    """`line` is the 1-based line of the descriptor, when one line is at fault."""

    def __init__(self, message: str, *, hint: str, path: Path | None = None, line: int | None = None) -> None:
        super().__init__(message, hint=hint, path=path)
        self.line = line


class ExtentError(SourceDiskError):
    pass


class ChainError(SourceDiskError):
    pass


class GuestError(Vmdk2KvmError):
    exit_code = 5


class NoOperatingSystem(GuestError):
    pass


class GuestRefused(GuestError):
    pass


class NoRoomInGuest(GuestError):
    def __init__(self, message: str, *, hint: str, mountpoint: str, needed_bytes: int) -> None:
        super().__init__(message, hint=hint)
        self.mountpoint = mountpoint
        self.needed_bytes = needed_bytes


class StalePlan(GuestError):
    def __init__(self, path: str) -> None:
        super().__init__(
            f'"{path}" in the guest changed after the plan was made.',
            hint="make the plan again and review it.",
        )
        self.path = path


class ChangedSinceRepair(GuestError):
    """`paths` are the files that are neither as the repair left them nor as they were before."""

    def __init__(self, message: str, *, hint: str, paths: tuple[str, ...]) -> None:
        super().__init__(message, hint=hint)
        self.paths = paths


class DoesNotConverge(GuestError):
    def __init__(self, message: str, *, hint: str, paths: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.paths = paths


class RebuildUnproven(GuestError):
    def __init__(self, message: str, *, hint: str, path: str) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class OutputError(Vmdk2KvmError):
    exit_code = 6

    def __init__(self, message: str, *, hint: str, path: Path | None = None) -> None:
        super().__init__(message, hint=hint)
        self.path = path


class OutputNotWritable(OutputError):
    pass


class OutputFull(OutputError):
    pass


class ValidationFailed(Vmdk2KvmError):
    """`reason` is the named failure ("initramfs shell", "emergency mode", …)."""

    exit_code = 7

    def __init__(self, message: str, *, hint: str, reason: str) -> None:
        super().__init__(message, hint=hint)
        self.reason = reason


class ToolError(Vmdk2KvmError):
    exit_code = 8


class ToolMissing(ToolError):
    def __init__(self, program: str) -> None:
        super().__init__(
            f'the program "{program}" is not installed.',
            hint="run `vmdk2kvm doctor`; it names the command that installs it.",
        )
        self.program = program


class ToolFailed(ToolError):
    """A program ended with a status other than 0; `stderr` holds the end of what it said."""

    def __init__(self, argv: Sequence[str], status: int, stderr: str, *, hint: str | None = None) -> None:
        last = stderr.strip().splitlines()[-1] if stderr.strip() else "it said nothing"
        super().__init__(
            f'"{argv[0]}" ended with status {status}: {last}',
            hint=hint or "the log in .vmdk2kvm/log holds the whole command and its output.",
        )
        self.argv = tuple(argv)
        self.status = status
        self.stderr = stderr


class Cancelled(Vmdk2KvmError):
    exit_code = 130

    def __init__(self) -> None:
        super().__init__("the run was cancelled.", hint="run the same command again; it continues.")
