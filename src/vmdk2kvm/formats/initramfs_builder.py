"""Which tool built an initramfs, told by a file that only its images hold.

initramfs-tools(7), dracut(8), mkinitcpio(8), mkinitfs(1), SUSE's mkinitrd(8), booster(1).
"""

import re

from vmdk2kvm.model.guest_os import InitramfsTool

_MARKS = (
    (InitramfsTool.INITRAMFS_TOOLS, re.compile(r"conf/initramfs\.conf")),
    (InitramfsTool.DRACUT, re.compile(r"(?:usr/)?lib/(?:dracut/.+|dracut-lib\.sh)")),
    (InitramfsTool.MKINITCPIO, re.compile(r"buildconfig")),
    (InitramfsTool.MKINITFS, re.compile(r"(?:usr/)?sbin/nlplug-findfs")),
    (InitramfsTool.MKINITRD, re.compile(r"run_all\.sh")),
    (InitramfsTool.BOOSTER, re.compile(r"etc/booster\.init\.yaml")),
)


def builder_of(name: str) -> InitramfsTool | None:
    """The tool whose mark the member `name` (without a leading "/") is."""
    return next((tool for tool, mark in _MARKS if mark.fullmatch(name)), None)
