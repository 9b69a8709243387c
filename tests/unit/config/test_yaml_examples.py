"""Every example of docs/yaml-examples.md goes through the real command line and loader."""

import re
from pathlib import Path

import pytest

from tests.yaml_examples import PAGE, Example, read_examples
from vmdk2kvm.cli.main import main
from vmdk2kvm.config.layers import merge
from vmdk2kvm.config.load import parse_layer
from vmdk2kvm.config.schema import render_schema
from vmdk2kvm.config.settings import TABLE, Entry
from vmdk2kvm.fixes.catalog import FixOptions, chosen

EXAMPLES = read_examples()
LANGUAGES = {"yaml", "console"}


def one_spaced(text: str) -> list[str]:
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.title)
def test_example(
    example: Example,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Where the page shows no error, the settings are at least loaded, by `--dump-config`."""
    example.write(tmp_path)
    monkeypatch.chdir(tmp_path)
    for step in example.steps:
        fails = any(line.startswith("vmdk2kvm: ") for line in step.expected)
        words = [*step.words] if fails or "--dump-config" in step.words else [*step.words, "--dump-config"]
        with monkeypatch.context() as patch:
            for name, value in step.environment.items():
                patch.setenv(name, value)
            status = main(words)
        told = capsys.readouterr()
        assert status == (2 if fails else 0), told.err
        if not fails:
            for name in set(step.words) & set(example.files):
                chosen(FixOptions(skip=frozenset(skipped(example.files[name]))))
        said = one_spaced(told.err if fails else told.out)
        for line in step.expected:
            wanted = " ".join(line.split())
            assert any(one == wanted or one.startswith(f"{wanted} #") for one in said), (wanted, said)


def skipped(text: str) -> tuple[str, ...]:
    """The fixes that a file leaves out: the loader takes any name, a run none that it does not know."""
    return merge([parse_layer(text, Path("file.yaml"))], Path("/")).settings.skip_fix


def test_every_block_of_the_page_belongs_to_an_example() -> None:
    text = PAGE.read_text()
    blocks = re.findall(r"^```(\w*)$", text, re.MULTILINE)
    assert set(blocks[::2]) == LANGUAGES
    assert blocks[::2].count("yaml") == sum(len(example.files) for example in EXAMPLES)
    used = {name for example in EXAMPLES for name in example.files}
    commands = " ".join(word for example in EXAMPLES for step in example.steps for word in step.words)
    assert {name for name in used if name not in commands} == set()


def test_every_key_has_an_example() -> None:
    text = PAGE.read_text().split("## All keys")[0]
    blocks = "".join(re.findall(r"^```\w+\n(.*?)^```$", text, re.DOTALL | re.MULTILINE))
    missing = [
        key
        for key, row in TABLE.items()
        if not re.search(rf"^{key}:", blocks, re.MULTILINE) and row.option not in blocks
    ]
    assert missing == []


def test_the_list_of_keys_is_current() -> None:
    """On failure the wanted text is what the assertion shows on the right."""
    assert PAGE.read_text().split("## All keys\n\n")[1] == key_table()


def key_table() -> str:
    rows = "".join(_row(row) for row in TABLE.values())
    return "| key | value | default | meaning |\n|---|---|---|---|\n" + rows


def _row(row: Entry) -> str:
    kind = " \\| ".join(row.choices) or {"bool": "true \\| false", "int": "number", "str": "text"}.get(
        row.kind.__name__, f"{{{', '.join(row.inner)}}}" if row.inner else "path"
    )
    default = "all" if row.key == "stages" else _default(row)
    return f"| `{row.key}` | {'list of ' if row.many else ''}{kind} | {default} | {row.help} |\n"


def _default(row: Entry) -> str:
    value = getattr(row.default, "value", row.default)
    return "" if value is None or value == () else str(value).lower() if row.kind is bool else str(value)


def test_the_schema_in_docs_is_current() -> None:
    """`vmdk2kvm --dump-schema > docs/config.schema.json` brings it up to date."""
    assert (PAGE.parent / "config.schema.json").read_text() == render_schema()


def test_the_schema_knows_every_key_and_forbids_others() -> None:
    import json

    schema = json.loads(render_schema())
    assert schema["additionalProperties"] is False
    assert list(schema["properties"]) == list(TABLE)
    assert all(one.get("description") for one in schema["properties"].values())
