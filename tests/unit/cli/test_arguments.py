from pathlib import Path

import pytest

from vmdk2kvm.cli.arguments import build_parser, opposite, parse
from vmdk2kvm.config.settings import TABLE, Command
from vmdk2kvm.errors import UsageError


def test_options_stand_before_or_after_the_command() -> None:
    before = parse(["--config", "a", "--json", "--vmdk", "local", "local", "--config=b", "-v"])
    after = parse(["local", "--config", "a", "--config", "b", "-v", "--json", "--vmdk", "local"])
    assert before == after
    assert before.config == (Path("a"), Path("b"))
    assert before.flags == {"cmd": "local", "vmdk": ["local"], "json": True, "verbose": True}


def test_the_command_may_be_left_to_a_file() -> None:
    assert parse(["--config", "plan", "--output-dir", "x"]).flags == {"output_dir": "x"}


def test_what_is_not_given_is_not_there() -> None:
    assert parse(["validate"]).flags == {"cmd": "validate"}


def test_images_stand_anywhere() -> None:
    assert parse(["validate", "a", "--timeout", "5", "b"]).flags["image"] == ["a", "b"]


def test_every_switch_has_an_opposite() -> None:
    assert parse(["local", "--no-grub", "--grub", "--compress", "--no-compress", "--trim"]).flags == {
        "cmd": "local",
        "no_grub": False,
        "compress": False,
        "trim": True,
    }
    opposites = [opposite(row) for row in TABLE.values() if row.kind is bool]
    options = {row.option for row in TABLE.values()}
    assert len(set(opposites)) == len(opposites)
    assert not options & set(opposites)


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["inspct"], '"inspct" is not a command', 'did you mean "inspect"?'),
        (["disk.vmdk"], '"disk.vmdk" is not a command', "the commands are local,"),
        (["local", "--vmdkk", "a"], 'does not know "--vmdkk"', "did you mean --vmdk?"),
        (["inspect", "--compress"], '"inspect" does not take "--compress"', "local, plan."),
        (["local", "--out", "x"], 'does not know "--out"', "--output-dir or --out-format?"),
        (["local", "disk.vmdk"], '"vmdk2kvm local" does not know "disk.vmdk"', "--vmdk FILE"),
        (["doctor", "stray"], '"vmdk2kvm doctor" does not know "stray"', "`vmdk2kvm doctor --help`"),
        (["local", "--vmdk"], "expected one argument", "`vmdk2kvm local --help`"),
        (["local", "--compress=yes"], "ignored explicit argument", "--help"),
    ],
)
def test_errors(words: list[str], message: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse(words)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_help_of_a_command_shows_its_own_options_only() -> None:
    text = build_parser(Command.VALIDATE).format_help()
    assert "--boot-bus" in text
    assert "IMAGE" in text
    assert "--vmdk" not in text


def test_help_names_every_option_and_command() -> None:
    text = build_parser(None).format_help()
    missing = [row.option for row in TABLE.values() if not row.flag.positional and row.option not in text]
    assert missing == []
    assert all(f"  {command.value} " in text for command in Command)
    assert max(len(line) for line in text.splitlines()) <= 100
    assert "Every option but --config" in text


def test_every_setting_is_taken_by_a_command_and_has_a_help_text() -> None:
    for row in TABLE.values():
        assert row.help and not row.help.endswith("."), row.key
        assert row.flag.commands or row.key == "cmd"
