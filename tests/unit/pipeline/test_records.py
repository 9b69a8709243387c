import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats import plain
from vmdk2kvm.model.report import Finding, StageName, StageResult, StageStatus
from vmdk2kvm.pipeline.records import (
    Record,
    drop_record,
    fingerprint,
    mark,
    read_record,
    read_result,
    still_there,
    write_record,
)

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


STAGE = StageResult(name=StageName.FIX, status=StageStatus.OK, seconds=1.5)


def record(**changes):
    values = {"stage": StageName.CONVERT, "fingerprint": "f" * 64, "result": {"disks": [1]}}
    return Record(**values | changes)


@given(result=st.dictionaries(st.text(), JSON, max_size=4))
def test_a_record_reads_back_as_it_was_written(tmp_path_factory, result):
    folder = tmp_path_factory.mktemp("records")
    write_record(folder, record(result=result))
    assert read_record(folder, StageName.CONVERT, "f" * 64) == record(result=result)


def test_a_result_counts_while_it_fits_and_its_files_are_untouched(tmp_path):
    image = tmp_path / "image"
    image.write_bytes(b"1")
    write_record(tmp_path, record(result=plain.write(STAGE), files=(mark(image),)))
    wanted = (tmp_path, StageName.CONVERT, "f" * 64)
    assert read_result(*wanted, StageResult) == STAGE
    assert read_result(*wanted, Finding) is None
    image.write_bytes(b"22")
    assert read_result(*wanted, StageResult) is None


def test_a_record_for_other_inputs_does_not_count(tmp_path):
    write_record(tmp_path, record())
    assert read_record(tmp_path, StageName.CONVERT, "0" * 64) is None


@pytest.mark.parametrize(
    "content", ["", "{", "[]", "null", '{"schema": 1}', '{"schema": 99, "fingerprint": ""}']
)
def test_a_record_that_cannot_be_read_does_not_count(tmp_path, content):
    (tmp_path / "convert.json").write_text(content)
    assert read_record(tmp_path, StageName.CONVERT, "") is None


def test_a_half_written_record_never_replaces_a_whole_one(tmp_path):
    write_record(tmp_path, record())
    (tmp_path / "convert.json.part").write_text("{")
    assert read_record(tmp_path, StageName.CONVERT, "f" * 64) == record()


def test_a_dropped_record_is_gone(tmp_path):
    write_record(tmp_path, record())
    drop_record(tmp_path, StageName.CONVERT)
    drop_record(tmp_path, StageName.CONVERT)
    assert read_record(tmp_path, StageName.CONVERT, "f" * 64) is None


def test_a_touched_file_is_not_the_same_any_more(tmp_path):
    file = tmp_path / "disk"
    file.write_bytes(b"one")
    marks = (mark(file),)
    assert still_there(marks)
    file.write_bytes(b"other")
    assert not still_there(marks)
    file.unlink()
    assert not still_there(marks)


def test_fingerprints_tell_order_and_values_apart():
    assert fingerprint(1, 2) == fingerprint(1, 2)
    assert len({fingerprint(1, 2), fingerprint(2, 1), fingerprint([1, 2]), fingerprint(1, "2")}) == 4
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})


def test_a_record_says_which_files_it_vouches_for(tmp_path):
    file = tmp_path / "disk"
    file.write_bytes(b"one")
    write_record(tmp_path, record(files=(mark(file),)))
    stored = json.loads((tmp_path / "convert.json").read_text())
    assert stored["files"] == [[str(file), 3, file.stat().st_mtime_ns]]
