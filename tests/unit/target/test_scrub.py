"""No piece of evidence holds a passphrase, however it came."""

from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.model.luks import Secret
from vmdk2kvm.target.scrub import Scrubber

_BYTES = st.binary(max_size=30) | st.text("ab", max_size=30).map(str.encode)
_SECRETS = st.lists(st.text("ab", min_size=1, max_size=4).map(str.encode), max_size=3)


@given(st.lists(_BYTES, max_size=8), _SECRETS)
def test_no_secret_comes_through_in_pieces(chunks: list[bytes], secrets: list[bytes]) -> None:
    one = Scrubber(map(Secret, secrets))
    shown = b"".join(map(one.feed, chunks)) + one.flush()
    assert not any(secret in shown for secret in secrets)
    if not any(secret in b"".join(chunks) for secret in secrets):
        assert shown == b"".join(chunks)


def test_a_text_without_secrets_stays_to_the_letter() -> None:
    text = "a\udcff\nb"
    assert Scrubber([Secret(b"hunter2"), Secret(b"")]).text(text) is text
    assert Scrubber([]).text("hunter2") == "hunter2"


def test_the_longest_secret_goes_first() -> None:
    assert Scrubber([Secret(b"pass"), Secret(b"password")]).text("password pass") == "*** ***"
