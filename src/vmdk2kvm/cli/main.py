"""The command `vmdk2kvm`: reads what is wanted, runs one command, ends in an exit code.

Exit codes are those of vmdk2kvm.errors. This is the one place with a broad `except`: what is none
of our errors is our bug, told in one line, with the traceback in the log.
"""

import importlib
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

from vmdk2kvm.cli import render
from vmdk2kvm.cli.arguments import Arguments, parse
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import Cancelled, Vmdk2KvmError

log = logging.getLogger(__name__)


class _InternalError(Vmdk2KvmError):
    exit_code = 1

    def __init__(self, error: Exception) -> None:
        super().__init__(
            f'internal error: "{type(error).__name__}": {error}.',
            hint="run it again with -v for the traceback, and report it.",
        )


def entry() -> NoReturn:
    signal.signal(signal.SIGTERM, _stop)
    sys.exit(main(sys.argv[1:]))


def _stop(_signum: int, _frame: FrameType | None) -> NoReturn:
    raise KeyboardInterrupt


@dataclass(slots=True)
class _Voice:
    """How errors are told; known for sure once the configuration is read."""

    as_json: bool
    until_the_end: ExitStack

    def obey(self, settings: Settings) -> None:
        self.as_json = settings.as_json
        if settings.verbose:
            self.until_the_end.enter_context(render.log_on_stderr(as_json=settings.as_json))


def main(argv: Sequence[str]) -> int:
    """Run one command line; the exit code. `--help` and `--version` end in 0 too."""
    with ExitStack() as until_the_end:
        voice = _Voice(as_json="--json" in argv, until_the_end=until_the_end)
        try:
            return _run(argv, voice)
        except SystemExit as wanted:  # argparse has printed the help
            return int(wanted.code or 0)
        except BrokenPipeError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or Python complains at exit
            return Cancelled.exit_code
        except KeyboardInterrupt:
            return _told(Cancelled(), voice)
        except Vmdk2KvmError as error:
            log.debug("the run ends in an error", exc_info=True)
            return _told(error, voice)
        except Exception as error:
            log.debug("internal error", exc_info=True)
            return _told(_InternalError(error), voice)


def _told(error: Vmdk2KvmError, voice: _Voice) -> int:
    render.show_error(error, as_json=voice.as_json)
    return error.exit_code


def _run(argv: Sequence[str], voice: _Voice) -> int:
    arguments = parse(argv)
    if arguments.dump_schema or arguments.dump_args:
        _dump(arguments)
        return 0
    from vmdk2kvm.config.layers import require_command
    from vmdk2kvm.config.load import dump, load

    loaded = load(arguments.config, os.environ, arguments.flags, Path.cwd())
    if arguments.dump_config:
        render.show(dump(loaded))
        return 0
    voice.obey(loaded.settings)
    require_command(loaded.settings)
    return _run_command(loaded.settings)


def _dump(arguments: Arguments) -> None:
    if arguments.dump_schema:
        from vmdk2kvm.config.schema import render_schema

        render.show(render_schema())
    else:
        from vmdk2kvm.config.load import dump_mapping

        render.show(dump_mapping({"config": [str(file) for file in arguments.config], **arguments.flags}))


def _run_command(settings: Settings) -> int:
    assert settings.cmd is not None
    command = importlib.import_module(f"vmdk2kvm.cli.{settings.cmd.value}")
    return int(command.run(settings))
