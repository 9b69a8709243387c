"""The table of files with kernel arguments, and what holds for every language in it."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.boot_files import (
    BOOT_FILES,
    GENERATOR_PATHS,
    Language,
    arguments,
    language_of,
    patterns,
)
from vmdk2kvm.formats.kernel_cmdline import Arguments
from vmdk2kvm.formats.spans import splice
from vmdk2kvm.model.guest_os import BootLoaderKind

EDITED = sorted(set(Language) - {Language.FOREIGN}, key=lambda each: each.value)
every_language = pytest.mark.parametrize("language", EDITED, ids=lambda each: each.value)

PIECES = [
    *("root=/dev/sda1", 'root="/dev/sda1"', '"root=/dev/sda1"', "resume=/dev/sda5", "root=", "ro", "quiet"),
    *("title a", "kernel", "kernel /vmlinuz", "initrd", "initrd /i", "module /x", "--type=linux", "# kopt="),
    *("LABEL l", "append", "APPEND", "KERNEL vmlinuz", "INITRD i", "initrd=i", "options", "linux /k"),
    *("# GRUB Environment Block", "kernelopts=", "saved_entry=x", "set kernelopts=", "GRUB_CMDLINE_LINUX="),
    *("\n", "\n", "\n", "\r\n", "\t", " ", "\\", "\\\n", '"', "'", "#", "###", "=", "$kernelopts"),
    *("é\udcff", "}"),
]
texts = st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join) | st.lists(
    st.sampled_from(PIECES), max_size=40
).map("".join)
blocks = texts.map(lambda text: "# GRUB Environment Block\n" + text)


def read(language: Language, text: str) -> list[Arguments] | None:
    try:
        return list(arguments(language, text))
    except GuestError:
        return None


def seen(found: list[Arguments]) -> list[tuple[str, str | None]]:
    return [(one.name, one.value) for each in found for one in each.parameters]


def with_root(language: Language, text: str, value: str) -> str:
    parameters = (one for each in arguments(language, text) for one in each.parameters)
    return splice(text, {one.span: value for one in parameters if one.name == "root" and one.span})


@every_language
@given(text=texts | blocks)
def test_nothing_to_change_changes_nothing(language: Language, text: str) -> None:
    found = read(language, text) or []
    same = {one.span: one.value or "" for each in found for one in each.parameters if one.span}
    assert splice(text, same) == text


@every_language
@given(text=texts | blocks)
def test_editing_twice_is_editing_once_and_changes_nothing_else(language: Language, text: str) -> None:
    before = read(language, text)
    if before is None:
        return
    once = with_root(language, text, "UUID=1")
    assert with_root(language, once, "UUID=1") == once
    after = read(language, once)
    assert after is not None
    assert [each.has_initrd for each in after] == [each.has_initrd for each in before]
    assert seen(after) == [
        (one.name, "UUID=1" if one.name == "root" and one.span else one.value)
        for each in before
        for one in each.parameters
    ]


@every_language
def test_a_hundred_thousand_arguments_take_linear_time(language: Language) -> None:
    heads = {
        Language.GRUB_SCRIPT: "linux /k ",
        Language.GRUB_ENVIRONMENT: "# GRUB Environment Block\nkernelopts=",
        Language.GRUB_LEGACY: "kernel /k ",
        Language.BOOT_ENTRY: "options ",
        Language.SYSLINUX: "append ",
        Language.SETTINGS: 'GRUB_CMDLINE_LINUX="',
        Language.ARGUMENTS: "",
    }
    tail = '"' if language is Language.SETTINGS else ""
    started = time.monotonic()
    found = arguments(language, heads[language] + "root=/dev/sda1 " * 100_000 + tail)
    assert len(seen(list(found))) == 100_000
    for hostile in ("\\\n", "kernel=", "\n", " \t", "label ", "\\"):
        list(arguments(language, heads[language] + hostile * 100_000 + tail))
    assert time.monotonic() - started < 30


@pytest.mark.parametrize(
    ("path", "language"),
    [
        ("/boot/grub/grub.cfg", Language.GRUB_SCRIPT),
        ("/boot/efi/EFI/redhat/grub.cfg", Language.GRUB_SCRIPT),
        ("/efi/efi/Debian/GRUB.CFG", Language.GRUB_SCRIPT),
        ("/boot/efi/EFI/redhat/grubenv", Language.GRUB_ENVIRONMENT),
        ("/boot/grub2/grubenv", Language.GRUB_ENVIRONMENT),
        ("/boot/grub/menu.lst", Language.GRUB_LEGACY),
        ("/boot/efi/EFI/redhat/grub.conf", Language.GRUB_LEGACY),
        ("/boot/loader/entries/0123-6.1.conf", Language.BOOT_ENTRY),
        ("/efi/loader/entries/arch.conf", Language.BOOT_ENTRY),
        ("/boot/extlinux/extlinux.conf", Language.SYSLINUX),
        ("/boot/extlinux.conf", Language.SYSLINUX),
        ("/efi/EFI/BOOT/syslinux.cfg", Language.SYSLINUX),
        ("/etc/default/grub.d/50.cfg", Language.SETTINGS),
        ("/etc/sysconfig/bootloader", Language.SETTINGS),
        ("/etc/kernel/cmdline", Language.ARGUMENTS),
        ("/etc/zipl.conf", Language.FOREIGN),
        ("/etc/fstab", None),
        ("/home/etc/default/grub", None),
        ("/boot/loader/loader.conf", None),
    ],
)
def test_the_language_of_a_file(path: str, language: Language | None) -> None:
    assert language_of(path) is language


def test_every_loader_has_its_files_and_each_language_is_one_kind() -> None:
    assert {kind for each in BOOT_FILES for kind in each.loaders} == set(BootLoaderKind)
    assert sorted(each.language.value for each in BOOT_FILES) == sorted(each.value for each in Language)
    assert {"/etc/default/grub", "/etc/kernel/cmdline", "/etc/zipl.conf"} <= set(GENERATOR_PATHS)


def test_patterns_name_every_esp() -> None:
    (entries,) = (each for each in BOOT_FILES if each.language is Language.BOOT_ENTRY)
    found = patterns(entries, ("/efi", "/boot"))
    assert found[0] == "/boot/loader/entries/*.conf"
    assert [each.partition("/[")[0] for each in found[1:]] == ["/efi", "/boot"]
