"""`vmdk2kvm doctor`: what this host lacks, and the command that installs it."""

from typing import TYPE_CHECKING

from vmdk2kvm.cli import render
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import ToolError

if TYPE_CHECKING:
    from vmdk2kvm.pipeline.host import HostCheck


def run(settings: Settings) -> int:
    """0, or the exit code of a missing tool where something required is missing."""
    from vmdk2kvm.pipeline.host import State, check_host, install_command

    checks = check_host()
    command = install_command(checks)
    ready = all(check.state is not State.MISSING for check in checks)
    if settings.as_json:
        render.show_json({"ready": ready, "checks": [_fields(one) for one in checks], "install": command})
    else:
        render.show("".join(f"{line}\n" for check in checks for line in _lines(check)))
        if command:
            render.show(f"\nto install what is missing:\n  {command}\n")
        render.show("\nready\n" if ready else "\nnot ready\n")
    return 0 if ready else ToolError.exit_code


def _fields(check: "HostCheck") -> dict[str, str | None]:
    return {
        "name": check.name,
        "state": check.state.value,
        "message": check.message,
        "remedy": check.remedy,
    }


def _lines(check: "HostCheck") -> list[str]:
    line = f"{check.state.value:<8} {check.name:<19} {check.message}"
    return [line, f"{'':<28} → {check.remedy}"] if check.remedy else [line]
