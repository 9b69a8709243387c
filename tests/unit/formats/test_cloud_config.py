from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats import yaml_subset
from vmdk2kvm.formats.cloud_config import (
    datasources,
    disables_network,
    identified,
    render_pin,
    without_identified,
)
from vmdk2kvm.model.choices import CloudDatasource


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("datasource_list: [ NoCloud, None ]\n", ("NoCloud", "None")),
        (
            "a: |\n  datasource_list: [X]\ndatasource_list:\n- VMware\n# c\n- 'OVF'\nb: *x\n",
            ("VMware", "OVF"),
        ),
        ("datasource_list: [A]\nusers:\n - x\ndatasource_list: [B]\n", ("B",)),
        ("datasource_list: VMware\n", ("VMware",)),
        ("datasource_list: []\n", ()),
        ("datasource_list:\n", None),
        (" datasource_list: [A]\n", None),
        ("datasource:\n  None: {}\n", None),
        ("", None),
    ],
)
def test_the_datasources_of_a_file(text: str, wanted: tuple[str, ...] | None) -> None:
    assert datasources(text) == wanted


def test_a_list_that_is_not_read_is_no_guess() -> None:
    with pytest.raises(GuestError):
        datasources("datasource_list: [ A\n")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("network: {config: disabled}\n", True),
        ("network:\n  config: disabled\n", True),
        ("network:\n  version: 2\n", False),
        ("network: disabled\n", False),
        ("x:\n  network: {config: disabled}\n", False),
    ],
)
def test_whether_the_network_is_left_alone(text: str, wanted: bool) -> None:
    assert disables_network(text) is wanted


@pytest.mark.parametrize("choice", CloudDatasource)
def test_a_pin_says_what_was_chosen_and_keeps_the_machine(choice: CloudDatasource) -> None:
    text = render_pin(choice.value)
    assert datasources(text) == tuple(dict.fromkeys((choice.value, "None")))
    read = yaml_subset.parse(text)
    assert isinstance(read, dict)
    assert (read["preserve_hostname"], read["ssh_deletekeys"]) == ("true", "false")
    keeps_all = choice is CloudDatasource.NONE
    assert disables_network(text) is keeps_all
    assert (read.get("manual_cache_clean") == "true") is keeps_all


def test_what_ds_identify_was_told() -> None:
    text = "# datasource: A\npolicy: enabled\r\n datasource:  OVF\r\n"
    assert identified(text) == "OVF"
    after = without_identified(text)
    assert after == "# datasource: A\npolicy: enabled\r\n#  datasource:  OVF\r\n"
    assert identified(after) is None


@given(st.text())
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(GuestError):
        datasources(text)
        disables_network(f"network:{text}")
        datasources(f"datasource_list:{text}")
    assert without_identified(without_identified(text)) == without_identified(text)
