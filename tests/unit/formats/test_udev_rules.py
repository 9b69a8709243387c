import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.udev_rules import naming_rules, render_rule, without

MAC = "00:50:56:8a:10:01"
GENERATED = (
    "# This file was automatically generated.\n"
    "\n"
    "# PCI device 0x15ad:0x07b0 (vmxnet3)\n"
    'SUBSYSTEM=="net", ACTION=="add", DRIVERS=="?*", ATTR{address}=="00:50:56:8A:10:01", '
    'ATTR{dev_id}=="0x0", ATTR{type}=="1", KERNEL=="eth*", NAME="eth0"\n'
    "\n"
    'SUBSYSTEM=="net", DRIVERS=="vmxnet3", \\\n  KERNELS=="0000:0b:00.0", NAME="eth1"\n'
    'SUBSYSTEM=="net", SYSFS{address}=="00:50:56:8a:10:02", NAME="eth2"'
)


def test_rules_of_the_generator() -> None:
    found = naming_rules(GENERATED)
    assert [(rule.name, rule.mac, rule.hardware) for rule in found] == [
        ("eth0", MAC, None),
        ("eth1", None, "vmxnet3"),
        ("eth2", "00:50:56:8a:10:02", None),
    ]
    first = GENERATED[found[0].span.start : found[0].span.end]
    assert first.startswith("# PCI device") and first.endswith('NAME="eth0"\n')


def test_only_the_rules_named_go_away() -> None:
    found = naming_rules(GENERATED)
    after = without(GENERATED, found[:2])
    assert after == (
        "# This file was automatically generated.\n\n\n"
        'SUBSYSTEM=="net", SYSFS{address}=="00:50:56:8a:10:02", NAME="eth2"'
    )
    assert naming_rules(after)[0].name == "eth2"


@pytest.mark.parametrize(
    "line",
    [
        '# SUBSYSTEM=="net", NAME="eth0"',
        'SUBSYSTEM=="block", NAME="sda"',
        'SUBSYSTEM=="net", NAME=="eth0", RUN+="x"',
        'SUBSYSTEM=="net", NAME="%k"',
        'SUBSYSTEM=="net", NAME=eth0',
        'KERNEL=="eth*"',
    ],
)
def test_lines_that_name_no_card(line: str) -> None:
    assert naming_rules(line + "\n") == ()


@pytest.mark.parametrize(
    ("match", "hardware"),
    [
        ('DRIVERS=="?*"', None),
        ('DRIVERS=="vmxnet3|virtio_net"', None),
        ('DRIVERS!="vmxnet3"', None),
        ('DRIVERS=="e1000"', "e1000"),
        ('ID=="0000:02:00.0"', "0000:02:00.0"),
        ('KERNELS=="0000:03:00.0"', "0000:03:00.0"),
    ],
)
def test_what_only_vmware_has(match: str, hardware: str | None) -> None:
    (rule,) = naming_rules(f'SUBSYSTEM=="net", {match}, NAME="eth0"\n')
    assert rule.hardware == hardware


def test_what_is_written_is_read_again() -> None:
    (rule,) = naming_rules(render_rule("eth0", mac=MAC, drivers="virtio_net|e1000"))
    assert (rule.name, rule.mac, rule.hardware) == ("eth0", MAC, None)
    (rule,) = naming_rules(render_rule("eth0", mac=None, drivers="virtio_net|e1000"))
    assert (rule.name, rule.mac, rule.hardware) == ("eth0", None, None)


_LINES = st.lists(st.sampled_from(GENERATED.split("\n")) | st.text(alphabet='\\"=# \nAN,', max_size=9)).map(
    "\n".join
)


@given(_LINES)
def test_nothing_to_remove_changes_nothing(text: str) -> None:
    assert without(text, ()) == text


@given(_LINES)
def test_what_was_removed_is_gone_and_the_rest_is_there(text: str) -> None:
    rules = naming_rules(text)
    after = without(text, rules)
    assert naming_rules(after) == ()
    assert without(after, naming_rules(after)) == after
    kept = without(text, rules[1:])
    assert [rule.name for rule in naming_rules(kept)] == [rule.name for rule in rules[:1]]
