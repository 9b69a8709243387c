from vmdk2kvm.formats.boot_entry import Entry, arguments, parse
from vmdk2kvm.formats.spans import splice

FEDORA = """\
title Fedora Linux (6.5.6-300.fc39.x86_64) 39 (Server Edition)
version 6.5.6-300.fc39.x86_64
linux /vmlinuz-6.5.6-300.fc39.x86_64
initrd /initramfs-6.5.6-300.fc39.x86_64.img $tuned_initrd
options root=/dev/sda2 ro rhgb quiet $tuned_params
grub_users $grub_users
grub_arg --unrestricted
grub_class fedora
"""


def test_options_are_arguments_and_nothing_else_is() -> None:
    (found,) = arguments(FEDORA)
    names = [(each.name, each.value) for each in found.parameters]
    assert names == [
        ("root", "/dev/sda2"),
        ("ro", None),
        ("rhgb", None),
        ("quiet", None),
        ("$tuned_params", None),
    ]
    assert found.has_initrd
    span = found.parameters[0].span
    assert span and splice(FEDORA, {span: "UUID=1"}) == FEDORA.replace("/dev/sda2", "UUID=1")


def test_options_may_stand_on_several_lines_with_tabs_and_dos_line_ends() -> None:
    text = "linux\t/k\r\noptions\troot=/dev/sda1\r\n# options x\r\n  options resume=/dev/sda2 \r\n"
    found = list(arguments(text))
    assert [[(one.name, one.value) for one in each.parameters] for each in found] == [
        [("root", "/dev/sda1")],
        [("resume", "/dev/sda2")],
    ]
    assert [each.has_initrd for each in found] == [False, False]


def test_an_initramfs_may_be_named_in_the_options() -> None:
    text = "linux /k\noptions initrd=\\i.img root=/dev/sda1\noptions ro\n"
    assert [each.has_initrd for each in arguments(text)] == [True, True]


def test_other_keys_are_not_options() -> None:
    assert list(arguments("title options root=/dev/sda1\noptionsroot=x\noptions\nOPTIONS root=x\n")) == []


def test_what_an_entry_starts() -> None:
    assert parse(FEDORA) == Entry(
        version="6.5.6-300.fc39.x86_64",
        linux="/vmlinuz-6.5.6-300.fc39.x86_64",
        initrds=("/initramfs-6.5.6-300.fc39.x86_64.img", "$tuned_initrd"),
    )
    assert parse("initrd /a\ninitrd \\b\\c\nlinux\n") == Entry(version="", linux="", initrds=("/a", "/b/c"))
