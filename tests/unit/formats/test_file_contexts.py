import re
import time
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.file_contexts import FOLDER, LINK, REGULAR, FileContexts, parse
from vmdk2kvm.formats.linear_pattern import NotRead

# lines as selinux-policy-targeted of Fedora has them, in its order
TARGETED = """\
/.*\tsystem_u:object_r:default_t:s0
/[^/]+\t--\tsystem_u:object_r:etc_runtime_t:s0
/etc/.*\tsystem_u:object_r:etc_t:s0
/usr/.*\tsystem_u:object_r:usr_t:s0
/var/.*\tsystem_u:object_r:var_t:s0
/usr/(.*/)?bin(/.*)?\tsystem_u:object_r:bin_t:s0
/usr/lib/systemd/system(/.*)?\tsystem_u:object_r:systemd_unit_file_t:s0
/etc/udev/rules.d(/.*)?\tsystem_u:object_r:udev_rules_t:s0
/var/lib(/.*)?\tsystem_u:object_r:var_lib_t:s0
/proc/.*\t<<none>>
/etc\t-d\tsystem_u:object_r:etc_t:s0
/etc/fstab\t--\tsystem_u:object_r:etc_t:s0
/etc/fstab\\.old\t--\tsystem_u:object_r:etc_old_t:s0
/etc/resolv\\.conf.*\t--\tsystem_u:object_r:net_conf_t:s0
"""
SUBS_DIST = """\
/run /var/run
/run/systemd/system /usr/lib/systemd/system
/etc/systemd/system /usr/lib/systemd/system
/lib /usr/lib
"""


def label(path: str, type: str = REGULAR, contexts: FileContexts | None = None) -> str | None:
    found = (contexts or parse([TARGETED], ["", SUBS_DIST])).label(path, type)
    return found and found.split(":")[2]


@pytest.mark.parametrize(
    ("path", "type", "wanted"),
    [
        ("/etc/fstab", REGULAR, "etc_t"),
        ("/etc/fstab.old", REGULAR, "etc_old_t"),
        ("/etc/fstabXold", REGULAR, "etc_t"),
        ("/etc", FOLDER, "etc_t"),
        ("/etc/resolv.conf.save", REGULAR, "net_conf_t"),
        ("/etc/resolv.conf", LINK, "etc_t"),
        ("/etc/udev/rules.d", FOLDER, "udev_rules_t"),
        ("/etc/udev/rules.d/70-x.rules", REGULAR, "udev_rules_t"),
        ("/etc/systemd/system/x.service", REGULAR, "systemd_unit_file_t"),
        ("/etc/systemd/systemd", REGULAR, "etc_t"),
        ("/run/systemd/system/x.service", REGULAR, "systemd_unit_file_t"),
        ("/lib/systemd/system", FOLDER, "systemd_unit_file_t"),
        ("/usr/local/bin/x", REGULAR, "bin_t"),
        ("/.autorelabel", REGULAR, "etc_runtime_t"),
        ("/other", FOLDER, "default_t"),
        ("/proc/1", FOLDER, None),
        ("etc", FOLDER, None),
    ],
)
def test_the_label_of_a_path(path: str, type: str, wanted: str | None) -> None:
    assert label(path, type) == wanted


def test_local_lines_come_after_those_of_the_policy() -> None:
    local = "/etc/udev/rules.d/70-.*  system_u:object_r:mine_t:s0\n/etc/.* -- system_u:object_r:late_t:s0\n"
    contexts = parse([TARGETED, "", local])
    assert label("/etc/udev/rules.d/70-x", contexts=contexts) == "late_t"
    assert label("/etc/udev/rules.d/70-x", LINK, contexts) == "mine_t"
    assert label("/etc/fstab", contexts=contexts) == "etc_t"  # an exact line is still the last


def test_local_substitutions_come_first() -> None:
    contexts = parse([TARGETED], ["/srv/units /run/systemd/system\n/new /\n", SUBS_DIST])
    assert label("/srv/units/x.service", contexts=contexts) == "systemd_unit_file_t"
    assert label("/new/etc/fstab", contexts=contexts) == "etc_t"


def test_a_line_that_may_hold_and_is_not_read_is_no_guess() -> None:
    contexts = parse([TARGETED + "/etc/(?!x).*\ta:b:special_t:s0\n"])
    with pytest.raises(NotRead):
        contexts.label("/etc/group", REGULAR)
    assert label("/var/lib/x", contexts=contexts) == "var_lib_t"
    assert label("/etc/fstab", contexts=contexts) == "etc_t"


def test_lines_made_to_take_for_ever_are_given_up() -> None:
    started = time.monotonic()
    lines = "".join(f"(/|a?){{1,400}}(.*a.*)*{number} u:r:t\n" for number in range(20_000))
    with pytest.raises(NotRead):
        parse([lines]).label("/" + "a" * 200, REGULAR)
    assert time.monotonic() - started < 20


def test_what_is_no_line_is_passed_over() -> None:
    noise = "# /etc/.* a:b:c\n\n/etc/.*\n/etc/x -y a:b:c\n/etc/x -- a b c\n\x0c\n"
    assert parse([noise]).lines == ()


def test_a_choice_at_the_top_has_no_start() -> None:
    contexts = parse(["/etc/a|/var/b\tu:r:choice_t:s0\n/etc/ab?c*d{1}\tu:r:short_t:s0\n"])
    assert label("/var/b", contexts=contexts) == "choice_t"
    assert label("/etc/ad", contexts=contexts) == "short_t"


@given(st.text(), st.text(), st.sampled_from([REGULAR, FOLDER, LINK]))
def test_any_text_is_read(text: str, path: str, type: str) -> None:
    with suppress(NotRead):
        parse([text], [text]).label(path, type)


@given(
    st.lists(st.sampled_from(TARGETED.splitlines()), min_size=1, max_size=6),
    st.sampled_from(["/etc/fstab", "/usr/bin/x"]),
)
def test_the_last_line_that_fits_holds(lines: list[str], path: str) -> None:
    """Against the plain reading: exact lines moved to the end, then from the last to the first."""
    exact = [line for line in lines if re.fullmatch(r"(?:[^.^$?*+|(\[{\\]|\\.)*", line.split()[0])]
    wanted = None
    for line in reversed([one for one in lines if one not in exact] + exact):
        words = line.split()
        if re.fullmatch(words[0], path) and words[1] in ("--", words[-1]):
            wanted = None if words[-1] == "<<none>>" else words[-1]
            break
    assert parse(["\n".join(lines)]).label(path, REGULAR) == wanted
