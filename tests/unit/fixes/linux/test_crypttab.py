"""/etc/crypttab that is not there, is no file, or is far too much; the cases show the others."""

import pytest

from tests.linux_guests import debian, guest_os
from vmdk2kvm.fixes.engine import plan
from vmdk2kvm.fixes.linux.crypttab import CRYPTTAB_FIX
from vmdk2kvm.guest.memory import File, Folder, Link, Node
from vmdk2kvm.model.plan import Plan
from vmdk2kvm.model.report import Level


def planned(node: Node | None) -> Plan:
    guest = debian({} if node is None else {"/etc/crypttab": node})  # type: ignore[dict-item]
    return plan([CRYPTTAB_FIX], guest, guest_os(guest))


def test_most_guests_have_none() -> None:
    assert planned(None).changes == planned(None).findings == ()


@pytest.mark.parametrize(
    "node", [Link(target="/etc/passwd"), Folder(), File(content=b"a /dev/sda5\n" * 100_000)]
)
def test_what_is_no_crypttab_is_left_alone(node: Node) -> None:
    found = planned(node)
    assert found.changes == ()
    assert [(each.id, each.level) for each in found.findings] == [("file-left-unread", Level.ERROR)]


def test_a_hostile_one_floods_no_report() -> None:
    found = planned(File(content=b"".join(b"n /dev/sdz%d none\n" % number for number in range(50_000))))
    assert found.changes == ()
    assert len(found.findings) == 21
    assert found.findings[-1].id == "findings-cut-off"
