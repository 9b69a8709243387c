"""How a boot file is built anew: the guest's own command, its environment and what it writes.

update-initramfs(8), dracut(8), mkinitcpio(8), mkinitfs(1), SUSE's mkinitrd(8). Nothing here runs anything.
"""

from collections.abc import Callable
from dataclasses import dataclass

from vmdk2kvm.model.changes import Rebuild
from vmdk2kvm.model.guest_os import InitramfsTool

TIMEOUT_S = 1800.0  # an emulated appliance needs minutes for a large image

# TMPDIR is a tmpfs in the appliance, so the unpacked tree does not grow the overlay. A fixed
# SOURCE_DATE_EPOCH makes two builds of the same guest equal. LC_ALL keeps messages readable.
# Hooks of the tools call kernel-install, which would write boot entries with this machine's arguments.
ENVIRONMENT = {
    "TMPDIR": "/tmp",
    "SOURCE_DATE_EPOCH": "1000000000",
    "LC_ALL": "C",
    "KERNEL_INSTALL_BYPASS": "1",
}

_TEMPORARY = ("/tmp/", "/run/")


@dataclass(frozen=True, slots=True, kw_only=True)
class Recipe:
    argv: tuple[str, ...]
    may_write: tuple[str, ...]


def recipe(rebuild: Rebuild, *, anew: bool = False) -> Recipe:
    """The command for `rebuild`; `anew` where the old image does not stand in its place."""
    if rebuild.copy_of is not None:
        return Recipe(argv=("cp", rebuild.copy_of, rebuild.path), may_write=(rebuild.path,))
    return _RECIPES[rebuild.tool](rebuild, anew)


def _initramfs_tools(rebuild: Rebuild, anew: bool) -> Recipe:
    # -u refuses where no image stands, -c where one does.
    argv = ("update-initramfs", "-c" if anew else "-u", "-k", rebuild.kernel)
    return Recipe(argv=argv, may_write=(rebuild.path, "/var/lib/initramfs-tools/", *_TEMPORARY))


def _dracut(rebuild: Rebuild, anew: bool) -> Recipe:
    del anew
    argv = ("dracut", "--force", *rebuild.arguments, rebuild.path, rebuild.kernel)
    return Recipe(argv=argv, may_write=(rebuild.path, "/var/tmp/", "/var/log/dracut", *_TEMPORARY))


def _mkinitcpio(rebuild: Rebuild, anew: bool) -> Recipe:
    del anew
    # The hook "autodetect" would leave out all that the appliance has not, which is not the guest's
    # machine; without it, "kms" would take the firmware of every graphics card in.
    skipped = ("-S", "autodetect,kms")
    argv = ("mkinitcpio", *rebuild.arguments, *skipped, "-k", rebuild.kernel, "-g", rebuild.path)
    return Recipe(argv=argv, may_write=(rebuild.path, "/var/tmp/", *_TEMPORARY))


def _mkinitfs(rebuild: Rebuild, anew: bool) -> Recipe:
    del anew
    argv = ("mkinitfs", *rebuild.arguments, "-o", rebuild.path, rebuild.kernel)
    return Recipe(argv=argv, may_write=(rebuild.path, *_TEMPORARY))


def _mkinitrd(rebuild: Rebuild, anew: bool) -> Recipe:
    del anew
    folder, _, image = rebuild.path.rpartition("/")
    # -B: the boot loader's configuration is not to be written anew
    argv = ("mkinitrd", "-B", *rebuild.arguments, "-b", folder, "-i", image)
    link = f"{folder}/initrd"  # which it makes anew for the kernel that /boot/vmlinuz is a link to
    return Recipe(argv=argv, may_write=(rebuild.path, link, "/var/log/YaST2/", "/dev/shm/", *_TEMPORARY))


_RECIPES: dict[InitramfsTool, Callable[[Rebuild, bool], Recipe]] = {
    InitramfsTool.INITRAMFS_TOOLS: _initramfs_tools,
    InitramfsTool.DRACUT: _dracut,
    InitramfsTool.MKINITCPIO: _mkinitcpio,
    InitramfsTool.MKINITFS: _mkinitfs,
    InitramfsTool.MKINITRD: _mkinitrd,
}
REBUILDERS = frozenset(_RECIPES)
