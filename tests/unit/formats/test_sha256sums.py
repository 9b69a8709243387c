import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats import sha256sums

DIGEST = "0123456789abcdef" * 4
NAMES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cs",), exclude_characters="/\0"), min_size=1
) | st.binary(min_size=1).map(os.fsdecode).filter(lambda name: "/" not in name and "\0" not in name)


@given(st.dictionaries(NAMES, st.just(DIGEST)))
def test_what_is_rendered_reads_back(digests):
    assert sha256sums.parse(sha256sums.render(digests)) == digests


def test_the_lines_are_those_of_sha256sum():
    rendered = sha256sums.render({"b": DIGEST, "a\\b\n": DIGEST})
    assert rendered.decode() == f"\\{DIGEST}  a\\\\b\\n\n{DIGEST}  b\n"


@pytest.mark.parametrize("line", ["", "# comment", "0123  short", f"{DIGEST}", f"{DIGEST.upper()}  x"])
def test_a_line_that_is_no_sum_is_left_out(line):
    assert sha256sums.parse(f"{line}\n{DIGEST} *kept\n".encode()) == {"kept": DIGEST}
