from vmdk2kvm.formats.grub_defaults import settings
from vmdk2kvm.formats.spans import splice


def test_kernel_arguments_stand_in_cmdline_settings_only() -> None:
    text = 'GRUB_CMDLINE_LINUX="root=/dev/sda1 ro"\nGRUB_TIMEOUT=5\nGRUB_CMDLINE_XEN="root=x"\n'
    found = list(settings(text))
    assert [(each.name, [one.name for one in each.parameters]) for each in found] == [
        ("GRUB_CMDLINE_LINUX", ["root", "ro"]),
        ("GRUB_TIMEOUT", []),
        ("GRUB_CMDLINE_XEN", []),
    ]
    assert [text[each.span.start : each.span.end] for each in found if each.span] == [
        "root=/dev/sda1 ro",
        "5",
        "root=x",
    ]


def test_arguments_are_edited_through_the_quotes_of_shell_and_kernel() -> None:
    text = 'GRUB_CMDLINE_LINUX="a root=\\"/dev/sda1\\""\' root=/dev/sda1\'\n'
    text += "GRUB_CMDLINE_LINUX_DEFAULT+=root=/dev/sda1\n"
    spans = [one.span for each in settings(text) for one in each.parameters if one.name == "root"]
    assert splice(text, {span: "U" for span in spans if span}) == text.replace("/dev/sda1", "U")
    assert len(spans) == 3


def test_a_value_split_by_quotes_cannot_be_located() -> None:
    (found,) = settings("GRUB_DEVICE=/dev/'sda1'")
    assert (found.value, found.span) == ("/dev/sda1", None)


def test_settings_of_other_generators() -> None:
    text = (
        'DEFAULT_APPEND="resume=/dev/sda1 splash=silent"\nDEFAULT_VGA="0x314"\n'
        "default_kernel_opts='quiet rootfstype=ext4'\nroot=/dev/sda3\nEXTLINUX_ROOT=root=/dev/sda1\n"
    )
    assert [(each.name, [one.name for one in each.parameters]) for each in settings(text)] == [
        ("DEFAULT_APPEND", ["resume", "splash"]),
        ("DEFAULT_VGA", []),
        ("default_kernel_opts", ["quiet", "rootfstype"]),
        ("root", []),
        ("EXTLINUX_ROOT", ["root"]),
    ]
