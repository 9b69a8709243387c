from vmdk2kvm.formats.escapes import one_line


def test_one_line_is_one_line() -> None:
    assert one_line("a\tb\nc\x00") == r"a\tb\nc\x00"
