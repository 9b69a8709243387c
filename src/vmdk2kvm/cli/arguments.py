"""argparse, built from the table of settings.

The command is found first and taken out of the words, so that every option may stand before or
after it and `--help` of a command shows its own options only. Without a command every option is
accepted, for a configuration file may name the command.
"""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from vmdk2kvm import __version__
from vmdk2kvm.config.layers import nearest
from vmdk2kvm.config.settings import TABLE, Command, Entry, Group
from vmdk2kvm.errors import UsageError

SUMMARIES = {
    Command.LOCAL: "move a VM whose disks are here",
    Command.INSPECT: "what is in it, what would break on KVM, and why",
    Command.PLAN: "the exact changes, as diffs; nothing is changed",
    Command.VALIDATE: "boot an existing image and prove it",
    Command.UNDO: "put a guest's files back as they were before the repair",
    Command.DOCTOR: "what this host lacks, and the command that installs it",
}
_PROGRAM_FLAGS = ("dump_config", "dump_args", "dump_schema")
_WITH_VALUE = frozenset({"--config", *(entry.option for entry in TABLE.values() if entry.kind is not bool)})

_EPILOG = """\
Every switch can be turned round: --no-compress, --grub.
Every option but --config, --dump-…, --help and --version is also a key of a configuration file
(out_format: raw) and an environment variable (VMDK2KVM_OUT_FORMAT=raw). Defaults, files in order,
environment, flags: the later one wins."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arguments:
    """What the command line says: configuration files, flags by key, and what to print instead."""

    config: tuple[Path, ...]
    flags: dict[str, Any]
    dump_config: bool
    dump_args: bool
    dump_schema: bool


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise UsageError(
            f'the command line of "{self.prog}" is not right: {message}.', hint=_help_hint(self.prog)
        )


def parse(argv: Sequence[str]) -> Arguments:
    """Raises UsageError; `--help` and `--version` print and raise SystemExit."""
    command, words = _take_command(argv)
    parser = build_parser(command)
    namespace, extra = parser.parse_known_intermixed_args(words)
    if extra:
        raise _unknown(extra[0], command, parser.prog)
    flags = {key: value for key, value in vars(namespace).items() if key in TABLE and value != []}
    if command is not None:
        flags["cmd"] = command.value
    wanted = {name: bool(getattr(namespace, name, False)) for name in _PROGRAM_FLAGS}
    return Arguments(config=tuple(map(Path, getattr(namespace, "config", ()))), flags=flags, **wanted)


def _take_command(argv: Sequence[str]) -> tuple[Command | None, list[str]]:
    """The first word that is neither an option nor an option's value, and the words without it."""
    is_value = False
    for index, word in enumerate(argv):
        if is_value or word.startswith("-"):
            is_value = not is_value and word in _WITH_VALUE
            continue
        return _command(word), [*argv[:index], *argv[index + 1 :]]
    return None, list(argv)


def _command(word: str) -> Command:
    names = [command.value for command in Command]
    if word in names:
        return Command(word)
    near = nearest(word, names)
    raise UsageError(
        f'"{word}" is not a command.',
        hint=f'did you mean "{near}"?' if near else f"the commands are {', '.join(names)}.",
    )


def _unknown(word: str, command: Command | None, prog: str) -> UsageError:
    option = word.partition("=")[0]
    known = {entry.option: entry for entry in TABLE.values() if not entry.flag.positional}
    if command is not None and option in known:
        takers = ", ".join(one.value for one in Command if one in known[option].flag.commands)
        return UsageError(
            f'"{command.value}" does not take "{option}".', hint=f"these commands do: {takers}."
        )
    if command is not None and command in TABLE["vmdk"].flag.commands and not word.startswith("-"):
        return UsageError(
            f'"{prog}" does not know "{word}".', hint=f"name a disk with --vmdk FILE; {_help_hint(prog)}"
        )
    begun = [name for name in known if option.startswith("--") and name.startswith(option)]
    near = " or ".join(begun) if begun else nearest(option, known) if option.startswith("-") else None
    return UsageError(
        f'"{prog}" does not know "{word}".', hint=f"did you mean {near}?" if near else _help_hint(prog)
    )


def _help_hint(prog: str) -> str:
    return f"`{prog} --help` lists what it takes."


def build_parser(command: Command | None) -> argparse.ArgumentParser:
    prog = "vmdk2kvm" if command is None else f"vmdk2kvm {command.value}"
    parser = _Parser(
        prog=prog,
        usage=f"{prog} [option]…" if command else "vmdk2kvm [--config FILE]… COMMAND [option]…",
        description=SUMMARIES[command] if command else _overview(),
        epilog=_EPILOG,
        formatter_class=_Formatter,
        allow_abbrev=False,
        argument_default=argparse.SUPPRESS,
    )
    _add_program_flags(parser)
    for group in Group:
        rows = [row for row in TABLE.values() if row.flag.group is group and _takes(command, row)]
        heading = parser.add_argument_group(group.value) if rows else parser
        for row in rows:
            _add(heading, row)
    return parser


class _Formatter(argparse.RawDescriptionHelpFormatter):
    def __init__(self, prog: str) -> None:
        super().__init__(prog, max_help_position=34, width=100)


def _overview() -> str:
    commands = "\n".join(f"  {command.value:<10} {summary}" for command, summary in SUMMARIES.items())
    return (
        "Move a VMware machine to KVM so that it boots the first time, and prove it.\n\n"
        f"commands (each has its own --help):\n{commands}"
    )


def _takes(command: Command | None, row: Entry) -> bool:
    if command is None:
        return not row.flag.positional
    return command in row.flag.commands


def _add_program_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", action="append", metavar="FILE", help="a YAML file of settings; a later one wins"
    )
    parser.add_argument(
        "--dump-config", action="store_true", help="print the merged settings and their origins"
    )
    parser.add_argument("--dump-args", action="store_true", help="print what the command line says")
    parser.add_argument(
        "--dump-schema", action="store_true", help="print the JSON Schema of configuration files"
    )
    parser.add_argument("--version", action="version", version=f"vmdk2kvm {__version__}")


def _add(heading: argparse._ActionsContainer, row: Entry) -> None:
    if row.flag.positional:
        heading.add_argument(row.key, nargs="*", metavar=row.flag.metavar, help=_help(row))
    elif row.kind is bool:
        _add_switch(heading, row)
    else:
        heading.add_argument(
            row.option,
            dest=row.key,
            action="append" if row.many else "store",
            metavar=row.flag.metavar or "|".join(row.choices),
            help=_help(row),
        )


def _add_switch(heading: argparse._ActionsContainer, row: Entry) -> None:
    names = [row.flag.short, row.option] if row.flag.short else [row.option]
    heading.add_argument(*names, dest=row.key, action="store_true", help=_help(row))
    heading.add_argument(opposite(row), dest=row.key, action="store_false", help=argparse.SUPPRESS)


def opposite(row: Entry) -> str:
    """`--compress` → `--no-compress`, `--no-grub` → `--grub`."""
    return "--" + row.option[5:] if row.option.startswith("--no-") else "--no-" + row.option[2:]


def _help(row: Entry) -> str:
    text = row.help.replace("%", "%%")
    default = getattr(row.default, "value", row.default)
    told = not row.many and row.kind is not bool and default is not None
    return f"{text} (default: {default})" if told else text
