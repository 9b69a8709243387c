"""Small editors for what VMware's tools leave: no byte more changes than has to."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats import fstab, vmware_locations, xorg_conf
from vmdk2kvm.formats.package_repositories import (
    is_vmware_tools,
    without_deb822,
    without_sources,
    without_yum,
)
from vmdk2kvm.formats.vmware_leftovers import is_vmware_modprobe, is_vmware_rules, without_tool_modules

URL = "http://packages.vmware.com/tools/x"
PIECES = [
    "[main]\n",
    "[vmware-tools]\n",
    f"baseurl={URL}\n",
    f"  {URL}\n",
    "enabled=1\n",
    "enabled = 0\r\n",
    "Enabled: yes\n",
    f"URIs: {URL}\n",
    f"deb {URL} a main\n",
    f"# deb {URL} a\n",
    "deb https://deb.debian.org/d b main\n",
    "\n",
    "\r\n",
    "Types: deb\n",
    "baseurl=https://x.org/\n",
    'Section "Device"\n',
    '  Driver "vmware"\n',
    "EndSection\n",
    '  BusID "PCI:0:15:0"\n',
    'Section "InputDevice"\n',
    "vmhgfs\n",
    "  vmw-balloon\n",
    "é\udcff\n",
    "answer RESTORE_RAMDISK_CMD a b\n",
    "remove_answer RESTORE_RAMDISK_CMD\n",
    "answer X\n",
    "file /a 12\n",
    "/ .host:/ vmhgfs\n",
    ".host:/ /mnt vmhgfs a\r\n",
    "x",
]
texts = st.lists(st.sampled_from(PIECES), max_size=14).map("".join)
EDITS: list[Callable[[str], str]] = [
    lambda text: without_yum(text, is_vmware_tools),
    lambda text: without_deb822(text, is_vmware_tools),
    lambda text: without_sources(text, is_vmware_tools),
    lambda text: xorg_conf.with_display_driver(text, "vmware", "modesetting"),
    without_tool_modules,
    vmware_locations.without_ramdisk_restore,
    lambda text: fstab.commented_out(
        text, {entry.line for entry in fstab.entries(text) if entry.type == "vmhgfs"}
    ),
]


@pytest.mark.parametrize("edit", EDITS)
@given(text=texts)
def test_edited_twice_is_edited_once(edit: Callable[[str], str], text: str) -> None:
    assert edit(edit(text)) == edit(text)


@pytest.mark.parametrize("edit", EDITS)
@given(text=st.text("[]=:\n\r\t #deb\udc80/"))
def test_where_nothing_is_vmwares_every_byte_stays(edit: Callable[[str], str], text: str) -> None:
    assert edit(text) == text


@pytest.mark.parametrize("edit", EDITS)
@given(text=texts)
def test_no_line_goes_away(edit: Callable[[str], str], text: str) -> None:
    assert edit(text).count("\n") >= text.count("\n")


@pytest.mark.parametrize(
    ("url", "wanted"),
    [
        (URL, True),
        ("https://user:pw@packages.vmware.com:8443/tools/esx/6.0/rhel6/", True),
        ("https://packages-prod.broadcom.com/tools/releases/", True),
        ("https://packages.vmware.com/photon/4.0/x", False),
        ("https://packages.vmware.com/mytools/", False),
        ("https://packages.vmware.com.example.org/tools/", False),
        ("https://notvmware.com/tools/", False),
        ("https://example.org/packages.vmware.com/tools/", False),
        ("https://packages.broadcom.com/artifactory/saltproject-rpm", False),
        ("file:///tools/", False),
    ],
)
def test_which_repositories_are_those_of_the_tools(url: str, wanted: bool) -> None:
    assert is_vmware_tools(url) is wanted


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f"[a]\nbaseurl={URL}\nenabled=1\n[b]\nenabled=1\n",
            f"[a]\nbaseurl={URL}\nenabled=0\n[b]\nenabled=1\n",
        ),
        (f"[a]\r\nbaseurl = {URL}\r\n", f"[a]\r\nenabled=0\r\nbaseurl = {URL}\r\n"),
        (f"[a]\nEnabled =  true \nmirrorlist=x\n {URL}\n", f"[a]\nEnabled =  0 \nmirrorlist=x\n {URL}\n"),
        (f"[a]\nbaseurl={URL}\nenabled=no\n", f"[a]\nbaseurl={URL}\nenabled=no\n"),
        (f"[a]\n#baseurl={URL}\nname={URL}\n", f"[a]\n#baseurl={URL}\nname={URL}\n"),
        (f"baseurl={URL}\n", f"baseurl={URL}\n"),
    ],
)
def test_a_yum_repository_is_turned_off(before: str, after: str) -> None:
    assert without_yum(before, is_vmware_tools) == after


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            f"# c\nTypes: deb\nURIs: {URL}\n\nTypes: deb\n",
            f"# c\nEnabled: no\nTypes: deb\nURIs: {URL}\n\nTypes: deb\n",
        ),
        (f"URIs: https://x.org\n {URL}\nenabled: yes", f"URIs: https://x.org\n {URL}\nenabled: no"),
        (f"#URIs: {URL}\n", f"#URIs: {URL}\n"),
    ],
)
def test_a_deb822_source_is_turned_off(before: str, after: str) -> None:
    assert without_deb822(before, is_vmware_tools) == after


def test_a_source_line_becomes_a_comment() -> None:
    text = f"deb [arch=amd64] {URL} a main\n  deb-src {URL} a # x\ndeb https://x.org a # {URL}\n"
    assert without_sources(text, is_vmware_tools) == (
        f"# deb [arch=amd64] {URL} a main\n#   deb-src {URL} a # x\ndeb https://x.org a # {URL}\n"
    )


def test_the_display_driver_is_changed_and_freed_of_its_slot() -> None:
    text = (
        'Section "InputDevice"\n Driver "vmware"\nEndSection\n section "device"\n'
        '  busid "PCI:0:15:0"\n  DRIVER\t"VMware" # x\n  Driver vmware\nEndSection\n Driver "vmware"\n'
    )
    after = text.replace('"VMware" # x', '"fbdev" # x').replace("busid", "# busid")
    assert xorg_conf.with_display_driver(text, "vmware", "fbdev") == after


def test_what_the_tarball_was_told() -> None:
    text = "answer A 1\nanswer B 2 3\nanswer A 4\r\nremove_answer B\n"
    text += "file /a b 12\nfile /c\nremove_file /c\nfile d\n"
    assert vmware_locations.answers(text) == {"A": "4"}
    assert vmware_locations.files(text) == ("/a b",)
    assert vmware_locations.without_ramdisk_restore("answer RESTORE_RAMDISK_X y") == (
        "answer RESTORE_RAMDISK_X y\nremove_answer RESTORE_RAMDISK_X\n"
    )


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ('# c\nATTRS{vendor}=="VMware*", \\\n  RUN+="x"\n', True),
        ('ATTRS{vendor}=="VMware*"\nKERNEL=="sda"\n', False),
        ("# VMware\n", False),
        ("", False),
    ],
)
def test_rules_for_vmware_alone(text: str, wanted: bool) -> None:
    assert is_vmware_rules(text) is wanted


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("# x\nalias eth0 vmxnet3\nblacklist vmw-balloon\noptions vmxnet3 a=1\n", True),
        ("alias vmxnet pcnet32\n", False),
        ("blacklist vmw_balloon\nblacklist floppy\n", False),
        ("blacklist\n", False),
        ("include vmxnet\n", False),
        ("", False),
    ],
)
def test_settings_for_vmware_drivers_alone(text: str, wanted: bool) -> None:
    assert is_vmware_modprobe(text) is wanted


def test_modules_of_the_tools_are_not_loaded() -> None:
    assert without_tool_modules("loop\n vmhgfs x\n#vmhgfs\nvmw_balloon") == (
        "loop\n#  vmhgfs x\n#vmhgfs\nvmw_balloon"
    )
