import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.initramfs_settings import (
    OUR_COMMENT,
    config_of_image,
    with_initrd_modules,
    with_listed,
    with_own_line,
    without_omitted,
)

NAMES = ["virtio_blk", "virtio_pci"]
texts = st.text(st.sampled_from('ab_ ="\n#\r' + "'"), max_size=60) | st.sampled_from(
    [
        'omit_drivers+=" virtio-blk a "\n',
        'INITRD_MODULES="a virtio_pci"\n',
        "virtio_blk x=1",
        f"{OUR_COMMENT}\n",
    ]
)


@given(texts)
def test_listing_twice_is_listing_once(text: str) -> None:
    once = with_listed(text, NAMES)
    assert with_listed(once, NAMES) == once
    assert once.startswith(text)
    assert with_listed(text, []) == text


@given(texts)
def test_a_line_of_ours_is_there_once(text: str) -> None:
    once = with_own_line(text, "X=1")
    assert with_own_line(once, "X=1") == once
    assert f"{OUR_COMMENT}\nX=1" in once
    assert "X=1" not in with_own_line(once, "Y=2")


@given(texts)
def test_omitting_less_twice_is_once(text: str) -> None:
    once = without_omitted(text, NAMES)
    assert without_omitted(once, NAMES) == once
    assert without_omitted(text, []) == text
    assert len(once) <= len(text) + 4


@given(texts)
def test_naming_modules_twice_is_once(text: str) -> None:
    once = with_initrd_modules(text, NAMES)
    assert with_initrd_modules(once, NAMES) == once
    assert with_initrd_modules(once, []) == once


def test_an_older_line_of_ours_gives_way() -> None:
    text = f"A=1\n{OUR_COMMENT}\nB=2\nC=3\n"
    assert with_own_line(text, "B=9") == f"A=1\n{OUR_COMMENT}\nB=9\nC=3\n"
    assert with_own_line(f"A=1\n{OUR_COMMENT}", "B=9") == f"A=1\n{OUR_COMMENT}\nB=9\n"
    assert with_own_line("A=1", "B=9") == f"A=1\n{OUR_COMMENT}\nB=9\n"


@pytest.mark.parametrize(
    ("line", "after"),
    [
        ('omit_drivers+=" virtio_blk floppy "', 'omit_drivers+=" floppy "'),
        ('omit_drivers+=" virtio-blk "', 'omit_drivers+="  "'),
        ("omit_drivers='virtio_pci nouveau'", "omit_drivers=' nouveau '"),
        ("  omit_drivers+=virtio_blk", '  omit_drivers+="  "'),
        ('omit_drivers+=" virtio_net "', 'omit_drivers+=" virtio_net "'),
        ('#omit_drivers+=" virtio_blk "', '#omit_drivers+=" virtio_blk "'),
        ('add_drivers+=" virtio_blk "', 'add_drivers+=" virtio_blk "'),
    ],
)
def test_what_is_omitted(line: str, after: str) -> None:
    assert without_omitted(f"hostonly=yes\n{line}\n", NAMES) == f"hostonly=yes\n{after}\n"


def test_the_last_setting_counts() -> None:
    text = 'INITRD_MODULES="a"\n# x\nINITRD_MODULES="mptspi virtio-pci"\nDOMU=""\n'
    assert with_initrd_modules(text, NAMES) == text.replace("virtio-pci", "virtio-pci virtio_blk")
    assert with_initrd_modules("", NAMES) == 'INITRD_MODULES="virtio_blk virtio_pci"\n'


PRESET = """\
# mkinitcpio preset file for the 'linux' package
ALL_kver="/boot/vmlinuz-linux"
PRESETS=('default' 'fallback')
#default_config="/etc/mkinitcpio.conf"
default_image="/boot/initramfs-linux.img"
fallback_config='/etc/fallback.conf'
fallback_image=/boot/initramfs-linux-fallback.img  # large
"""


def test_the_configuration_of_a_preset() -> None:
    assert config_of_image(PRESET, "/boot/initramfs-linux.img") is None
    assert config_of_image(PRESET, "/boot/initramfs-linux-fallback.img") == "/etc/fallback.conf"
    for_all = f'{PRESET}ALL_config="/etc/all.conf"\n'
    assert config_of_image(for_all, "/boot/initramfs-linux.img") == "/etc/all.conf"
    assert config_of_image(for_all, "/boot/initramfs-linux-fallback.img") == "/etc/fallback.conf"
    with pytest.raises(KeyError):
        config_of_image(PRESET, "/boot/initramfs-lts.img")
