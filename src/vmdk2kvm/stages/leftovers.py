"""What of VMware is left in a guest, and where cloud-init would look for its data."""

from collections.abc import Iterator

from vmdk2kvm.fixes.catalog import CLOUD_INIT_FIX, VMWARE_TOOLS_FIX
from vmdk2kvm.fixes.pending import PendingGuest
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.report import Finding


def leftovers(guest: GuestReader, os: GuestOs) -> Iterator[Finding]:
    for fix in (VMWARE_TOOLS_FIX, CLOUD_INIT_FIX):
        if os.family in fix.families:
            items = fix.plan(PendingGuest(guest), os)
            yield from (item for item in items if isinstance(item, Finding))
