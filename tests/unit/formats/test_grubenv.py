import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.grubenv import arguments, with_size
from vmdk2kvm.formats.spans import splice

SIZE = 1024


def block(*lines: str) -> str:
    return with_size("# GRUB Environment Block\n" + "".join(f"{line}\n" for line in lines), SIZE)


def edited(text: str, value: str) -> str:
    parameters = (one for each in arguments(text) for one in each.parameters)
    after = splice(text, {one.span: value for one in parameters if one.name == "root" and one.span})
    return with_size(after, SIZE)


def test_the_arguments_change_and_the_size_does_not() -> None:
    text = block("saved_entry=0a1b-4.18.0", "kernelopts=root=/dev/sda2 ro crashkernel=auto", "boot_success=0")
    after = edited(text, "UUID=3f1c2a4e-5b6d-4c7e-8f90-a1b2c3d4e5f6")
    assert after == block(
        "saved_entry=0a1b-4.18.0",
        "kernelopts=root=UUID=3f1c2a4e-5b6d-4c7e-8f90-a1b2c3d4e5f6 ro crashkernel=auto",
        "boot_success=0",
    )
    assert len(after) == SIZE
    assert edited(after, "/dev/sda2") == text


def test_only_variables_with_arguments_are_read() -> None:
    text = block("saved_entry=root=/dev/sda1", "tuned_params=skew_tick=1", "kernelopts=a b\\", " root=x \\\\")
    assert [[one.name for one in each.parameters] for each in arguments(text)] == [
        ["skew_tick"],
        ["a", "b\\", "root", "\\\\"],
    ]


@pytest.mark.parametrize("text", ["", "#" * 1024, "\0" * 1024, "# GRUB\nkernelopts=root=/dev/sda1\n" * 2])
def test_a_block_without_its_signature_holds_nothing(text: str) -> None:
    assert list(arguments(text)) == []


def test_a_block_that_is_full_is_refused() -> None:
    text = block("kernelopts=root=/dev/sda1 " + "x" * 960)
    assert text.count("#") < 20
    with pytest.raises(GuestError) as caught:
        edited(text, "UUID=3f1c2a4e-5b6d-4c7e-8f90-a1b2c3d4e5f6")
    assert "1024 bytes" in caught.value.message


def test_padding_is_only_what_ends_the_block() -> None:
    full = "a#\n" + "b" * 509
    assert with_size(full, 512) == full
    assert with_size(full[:-4], 512) == full[:-4] + "####"
    assert with_size(full + "##", 512) == full
    assert with_size("é\udcff" + "b" * 508, 512) == "é\udcff" + "b" * 508 + "#"
    with pytest.raises(GuestError):
        with_size("##" + full, 512)


def test_a_file_that_is_no_block_has_no_padding() -> None:
    assert with_size("# GRUB Environment Block\nphoton_cmdline=root=U\n", 511) == (
        "# GRUB Environment Block\nphoton_cmdline=root=U\n"
    )


@given(st.text(alphabet="#a\né\udcff", max_size=40), st.sampled_from([0, 512, 1024]))
def test_the_size_is_exact_or_the_text_refused(tail: str, size_bytes: int) -> None:
    text = "a" * 490 + tail
    try:
        after = with_size(text, size_bytes)
    except GuestError:
        return
    assert len(after.encode("utf-8", "surrogateescape")) == size_bytes
    assert after.rstrip("#") == text.rstrip("#")
