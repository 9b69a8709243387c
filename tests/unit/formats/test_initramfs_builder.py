import pytest

from vmdk2kvm.formats.initramfs_builder import builder_of
from vmdk2kvm.model.guest_os import InitramfsTool


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("conf/initramfs.conf", InitramfsTool.INITRAMFS_TOOLS),
        ("usr/lib/dracut/dracut-057-53", InitramfsTool.DRACUT),
        ("lib/dracut/hooks/cmdline/00-x.sh", InitramfsTool.DRACUT),
        ("lib/dracut-lib.sh", InitramfsTool.DRACUT),
        ("buildconfig", InitramfsTool.MKINITCPIO),
        ("sbin/nlplug-findfs", InitramfsTool.MKINITFS),
        ("usr/sbin/nlplug-findfs", InitramfsTool.MKINITFS),
        ("run_all.sh", InitramfsTool.MKINITRD),
        ("etc/booster.init.yaml", InitramfsTool.BOOSTER),
        ("conf/modules", None),
        ("usr/lib/dracut", None),
        ("var/buildconfig", None),
        ("", None),
    ],
)
def test_the_mark_of_each_tool(name: str, tool: InitramfsTool | None) -> None:
    assert builder_of(name) is tool
