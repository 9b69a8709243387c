"""VMware's tools go, and what they left: only with `remove_vmware_tools`; without it each is a finding.

Packages go by dpkg, rpm, apk or pacman, none of which removes what needs them (a metapackage such as
ubuntu-server); VMware's tarball by its own uninstaller, kept from building initramfs images. Shared folders
in /etc/fstab become comments, repositories of the tools are turned off, the X server gets a display
driver that is there, and udev rules and module settings that are about VMware alone are removed.
"""

from functools import partial

from vmdk2kvm.fixes.fix import Fix, Planned, PlannedGuest
from vmdk2kvm.fixes.stable_names import bounded
from vmdk2kvm.fixes.vmware_leftovers import leftovers
from vmdk2kvm.fixes.vmware_packages import tools
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs


def vmware_tools_fix(*, remove: bool) -> Fix:
    return Fix(
        name="vmware-tools",
        reason="folders, drivers and repositories of VMware's are not there on KVM",
        families=LINUX_FAMILIES,
        plan=partial(_plan, remove),
    )


def _plan(remove: bool, guest: PlannedGuest, os: GuestOs) -> Planned:
    del os
    found = (*leftovers(guest), *tools(guest))  # the tools last: their files are unknown afterwards
    for one in found:
        if remove:
            yield from one.changes
    yield from bounded((one.finding for one in found if not (remove and one.changes)), "/etc")
