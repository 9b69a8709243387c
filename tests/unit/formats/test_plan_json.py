import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import ConfigError
from vmdk2kvm.fixes.engine import apply
from vmdk2kvm.formats.plan_json import parse, plan_of, render
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.changes import (
    AppendInitramfs,
    Change,
    CopyWithin,
    MakeSymlink,
    PlannedChange,
    Rebuild,
    RebuildKind,
    Relabel,
    RemoveFile,
    RemoveLink,
    RunCommand,
    SetLabel,
    WriteFile,
)
from vmdk2kvm.model.guest_os import InitramfsTool
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Finding, Level

texts = st.one_of(
    st.text(max_size=30), st.binary(max_size=30).map(lambda raw: raw.decode("utf-8", "surrogateescape"))
)
contents = st.binary(max_size=60) | st.text(max_size=60).map(lambda text: text.encode("utf-8", "replace"))
word_tuples = st.lists(texts, max_size=3).map(tuple)
changes: st.SearchStrategy[Change] = st.one_of(
    st.builds(
        WriteFile, path=texts, before=st.none() | contents, after=contents, mode=st.integers(0, 0o7777)
    ),
    st.builds(RemoveFile, path=texts, before=contents),
    st.builds(MakeSymlink, path=texts, before=st.none() | texts, target=texts),
    st.builds(RemoveLink, path=texts, before=texts),
    st.builds(CopyWithin, path=texts, source=texts, size_bytes=st.integers(0, 1 << 30), sha256=texts),
    st.builds(
        AppendInitramfs,
        path=texts,
        kernel=texts,
        files=st.dictionaries(texts, texts, max_size=3).map(lambda files: tuple(files.items())),
        must_hold=st.frozensets(texts, max_size=3),
        before_bytes=st.integers(0, 1 << 40),
        before_sha256=texts,
        after_bytes=st.integers(0, 1 << 40),
        after_sha256=texts,
    ),
    st.builds(SetLabel, path=texts, label=texts),
    st.builds(
        RunCommand,
        argv=word_tuples,
        done_when=st.none() | texts,
        may_write=word_tuples,
        may_remove=word_tuples,
        gone=word_tuples,
        optional=st.booleans(),
    ),
    st.builds(Relabel, path=texts, unlabelled=word_tuples),
    st.builds(
        Rebuild,
        what=st.sampled_from(RebuildKind),
        tool=st.sampled_from(InitramfsTool),
        kernel=texts,
        path=texts,
        must_hold=st.frozensets(texts, max_size=3),
        estimated_bytes=st.integers(0, 1 << 40),
        arguments=word_tuples,
        stale_names=st.booleans(),
    ),
)
plans = st.builds(
    plan_of,
    st.lists(st.builds(PlannedChange, fix=texts, change=changes), max_size=4),
    st.lists(
        st.builds(Finding, id=texts, level=st.sampled_from(Level), message=texts, remedy=texts), max_size=2
    ),
)


@given(plans)
def test_a_plan_survives(plan: Plan) -> None:
    assert parse(render(plan)) == plan
    assert len(plan.id) == 12


def edit(path: str, before: bytes | None, after: bytes) -> PlannedChange:
    return PlannedChange(fix="f", change=WriteFile(path=path, before=before, after=after))


def test_text_stands_as_text_and_bytes_as_base64() -> None:
    fields = json.loads(render(plan_of([edit("/etc/x", b"caf\xe9", "café\r\n".encode())], [])))
    (change,) = fields["changes"]
    assert change["after"]["text"] == "café\r\n"
    assert change["before"]["base64"] == "Y2Fm6Q=="
    assert len(change["before"]["sha256"]) == 64
    assert (fields["schema"], change["kind"], change["mode"]) == (1, "write-file", "0644")


def test_the_id_depends_on_the_content_alone() -> None:
    one, two = plan_of([edit("/a", None, b"x")], []), plan_of([edit("/a", None, b"y")], [])
    assert one.id != two.id
    assert one.id == plan_of([edit("/a", None, b"x")], []).id


def altered(**fields: object) -> str:
    return json.dumps(json.loads(render(plan_of([edit("/a", b"b", b"x")], []))) | fields)


def with_change(**fields: object) -> str:
    plan = json.loads(render(plan_of([edit("/a", b"b", b"x")], [])))
    plan["changes"][0] |= fields
    return json.dumps(plan)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not a plan"),
        ("[]", "not a plan"),
        ("{}", "not a plan"),
        ("[" * 100_000, "not a plan"),
        (altered(schema=2), "schema 2"),
        (altered(id="000000000000"), "altered"),
        (altered(changes=[]), "altered"),
        (altered(changes=None), "not a plan"),
        (with_change(path="/etc/shadow"), "altered"),
        (with_change(path=3), "not a plan"),
        (with_change(kind="format-disk"), "not a plan"),
        (with_change(mode="rw"), "not a plan"),
        (with_change(after={"text": "y", "sha256": "0"}), "not a plan"),
        (with_change(after={"base64": "!", "sha256": "0"}), "not a plan"),
    ],
)
def test_anything_else_is_refused(text: str, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason):
        parse(text)


def test_a_plan_read_back_gives_exactly_its_changes() -> None:
    before = {"/etc/fstab": b"old\xff", "/etc/device.map": b"x"}
    remove = PlannedChange(fix="f", change=RemoveFile(path="/etc/device.map", before=b"x"))
    plan = plan_of([edit("/etc/fstab", b"old\xff", b"new\r\n"), edit("/etc/n", None, b""), remove], [])
    one, two = MemoryGuest(before), MemoryGuest(before)
    apply(plan, one, backup=True)
    apply(parse(render(plan)), two, backup=True)
    assert one.snapshot() == two.snapshot()
    assert two.read_bytes("/etc/fstab") == b"new\r\n"
