from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.grub_config import KernelCommand, arguments, kernel_commands
from vmdk2kvm.formats.spans import splice


def seen(text: str) -> list[tuple[str, list[tuple[str, str | None]], bool]]:
    return [
        (each.image, [(one.name, one.value) for one in each.parameters], each.has_initrd)
        for each in kernel_commands(text)
    ]


def with_root(text: str, value: str) -> str:
    spans = [one.span for each in kernel_commands(text) for one in each.parameters if one.name == "root"]
    return splice(text, {span: value for span in spans if span})


def test_only_kernel_arguments_are_shown() -> None:
    text = """
    set root='hd0,msdos1'
    search --fs-uuid --set=root abc
    echo linux /no root=/dev/sda1
    linux /vmlinuz root=/dev/sda1 ro
    initrd /initrd
    """
    assert seen(text) == [("/vmlinuz", [("root", "/dev/sda1"), ("ro", None)], True)]
    assert with_root(text, "UUID=1") == text.replace("/vmlinuz root=/dev/sda1", "/vmlinuz root=UUID=1")


def test_every_command_that_starts_a_kernel() -> None:
    text = "linux16 /a x\ninitrd16 /i\nlinuxefi /b y\ninitrdefi /i\nmodule /c z\nmodule /i\nlinux /d"
    assert [(image, initrd) for image, _, initrd in seen(text)] == [
        ("/a", True),
        ("/b", True),
        ("/c", True),
        ("/d", False),
    ]


def test_an_initrd_belongs_to_the_kernel_before_it() -> None:
    text = 'menuentry "a" { linux /a x; }\nmenuentry "b" { initrd /i; }\nlinux /b\nlinux /c\ninitrd /i'
    assert [(image, initrd) for image, _, initrd in seen(text)] == [
        ("/a", False),
        ("/b", False),
        ("/c", True),
    ]


def test_initrd_in_a_condition_and_as_an_argument() -> None:
    assert [initrd for _, _, initrd in seen("linux /a\nif [ -f /i ]; then initrd /i; fi")] == [True]
    assert [initrd for _, _, initrd in seen("linux /a initrd=/i")] == [True]
    assert seen("if true; then linux /a root=x; else linux /b; fi") == [
        ("/a", [("root", "x")], False),
        ("/b", [], False),
    ]


def test_options_of_the_command_are_no_image() -> None:
    assert seen("module2 --nounzip /k root=/dev/sda1") == [("/k", [("root", "/dev/sda1")], False)]
    assert seen("linux") == [("linux", [], False)]


def test_quoted_paths_and_arguments() -> None:
    text = "linux '/my kernel' \"root=/dev/sda1\" root='/dev/sda1' ro\\\not=1 r\\oot=/dev/sda1"
    text += ' root=/dev/"sda1"'
    (command,) = kernel_commands(text)
    assert command.image == "/my kernel"
    assert [one.name for one in command.parameters] == ["root", "root", "root", "root", "root"]
    assert [one.span is None for one in command.parameters] == [False, False, False, False, True]
    assert (
        with_root(text, "U")
        == "linux '/my kernel' \"root=U\" root='U' ro\\\not=U r\\oot=U root=/dev/\"sda1\""
    )


@given(st.text(alphabet="linuxrotd =/'\"\\\n\t{};$#a", max_size=200).map(lambda text: "linux /k " + text))
def test_editing_twice_is_editing_once(text: str) -> None:
    try:
        once = with_root(text, "UUID=1")
        before: list[KernelCommand] = list(kernel_commands(text))
    except GuestError:
        return
    assert with_root(once, "UUID=1") == once
    assert [each.image for each in kernel_commands(once)] == [each.image for each in before]
    same = {one.span: one.value or "" for each in before for one in each.parameters if one.span}
    assert splice(text, same) == text


def test_variables_that_menus_hand_to_kernels_are_arguments() -> None:
    text = (
        'if [ -z "${kernelopts}" ]; then\n  set kernelopts="root=/dev/sda2 ro "\nfi\n'
        "set root='hd0,msdos1'\nset default_kernelopts=root=/dev/sda2\nset tuned_params=\"\"\n"
        "linux /k $kernelopts\ninitrd /i\n"
    )
    found = list(arguments(text))
    assert [[(one.name, one.value) for one in each.parameters] for each in found] == [
        [("$kernelopts", None)],
        [("root", "/dev/sda2"), ("ro", None)],
        [("root", "/dev/sda2")],
        [],
    ]
    spans = {one.span for each in found for one in each.parameters if one.span}
    assert splice(text, dict.fromkeys(spans, "U")) == text.replace("/dev/sda2", "U")


def test_a_keyword_alone_between_kernel_and_initrd() -> None:
    text = "linux /vmlinuz root=/dev/sda1\nif true\nthen\ninitrd /initrd.img\nfi\n"
    assert [(each.image, each.has_initrd) for each in kernel_commands(text)] == [("/vmlinuz", True)]


def test_a_variable_that_is_a_parameters_value_is_followed() -> None:
    text = "set rootpartition=/dev/sda2\nset other=/dev/sda3\nmenuentry Photon {\n linux /$photon_linux"
    text += ' root=$rootpartition resume="${swap}" $photon_cmdline\n initrd /$photon_initrd\n}\n'
    text += 'set swap="/dev/sda4"\n'
    found = [[(one.name, one.value) for one in each.parameters] for each in arguments(text)]
    assert found[1:] == [[("root", "/dev/sda2")], [("resume", "/dev/sda4")]]
    assert [each.has_initrd for each in arguments(text)] == [True, False, False]
    spans = {one.span for each in list(arguments(text))[1:] for one in each.parameters if one.span}
    assert [text[span.start : span.end] for span in sorted(spans)] == ["/dev/sda2", "/dev/sda4"]
