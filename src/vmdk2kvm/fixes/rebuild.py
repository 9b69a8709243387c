"""How a boot file is built anew: the guest's own command, its environment and what it writes.

update-initramfs(8), dracut(8). Nothing here runs anything.
"""

from dataclasses import dataclass

from vmdk2kvm.model.changes import Rebuild
from vmdk2kvm.model.guest_os import InitramfsTool

# The tools a recipe exists for.
REBUILDERS = frozenset({InitramfsTool.INITRAMFS_TOOLS, InitramfsTool.DRACUT})

TIMEOUT_S = 1800.0  # an emulated appliance needs minutes for a large image

# TMPDIR is a tmpfs in the appliance, so the unpacked tree does not grow the overlay. A fixed
# SOURCE_DATE_EPOCH makes two builds of the same guest equal. LC_ALL keeps messages readable.
ENVIRONMENT = {"TMPDIR": "/tmp", "SOURCE_DATE_EPOCH": "1000000000", "LC_ALL": "C"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    argv: tuple[str, ...]
    may_write: tuple[str, ...]


def recipe(rebuild: Rebuild, *, anew: bool = False) -> Recipe:
    """The command for `rebuild`; `anew` where the old image does not stand in its place."""
    if rebuild.tool is InitramfsTool.INITRAMFS_TOOLS:
        # -u refuses where no image stands, -c where one does.
        argv = ("update-initramfs", "-c" if anew else "-u", "-k", rebuild.kernel)
        return Recipe(argv=argv, may_write=(rebuild.path, "/var/lib/initramfs-tools/", "/tmp/", "/run/"))
    if rebuild.tool is InitramfsTool.DRACUT:
        argv = ("dracut", "--force", rebuild.path, rebuild.kernel)
        return Recipe(argv=argv, may_write=(rebuild.path, "/var/tmp/", "/var/log/dracut", "/tmp/", "/run/"))
    raise ValueError(f"no recipe for {rebuild.tool.value}")
