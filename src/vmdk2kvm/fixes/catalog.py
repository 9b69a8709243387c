"""All fixes, in the one order there is, and which of them a run takes.

Each fix plans on the guest as the fixes before it leave it: names are made stable first, the
initramfs comes after them because it takes the names along, and labels after all that makes files.
"""

import sys
from dataclasses import dataclass
from difflib import get_close_matches

from vmdk2kvm.errors import UsageError
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.fixes.linux.cloud_init import cloud_init_fix
from vmdk2kvm.fixes.linux.crypttab import CRYPTTAB_FIX
from vmdk2kvm.fixes.linux.device_map import DEVICE_MAP_FIX
from vmdk2kvm.fixes.linux.fstab import fstab_fix
from vmdk2kvm.fixes.linux.guest_agent import guest_agent_fix
from vmdk2kvm.fixes.linux.initramfs import INITRAMFS_VIRTIO_FIX
from vmdk2kvm.fixes.linux.initramfs_resume import INITRAMFS_RESUME_FIX
from vmdk2kvm.fixes.linux.kdump_target import KDUMP_TARGET_FIX
from vmdk2kvm.fixes.linux.kernel_cmdline import KERNEL_CMDLINE_FIX
from vmdk2kvm.fixes.linux.lvm_devices import LVM_DEVICES_FIX
from vmdk2kvm.fixes.linux.mdadm_conf import MDADM_CONF_FIX
from vmdk2kvm.fixes.linux.multipath import MULTIPATH_FIX
from vmdk2kvm.fixes.linux.network_names import NETWORK_NAMES_FIX
from vmdk2kvm.fixes.linux.selinux_labels import SELINUX_LABELS_FIX
from vmdk2kvm.fixes.linux.systemd_units import SYSTEMD_UNITS_FIX
from vmdk2kvm.fixes.linux.uefi_fallback import UEFI_FALLBACK_FIX
from vmdk2kvm.fixes.linux.vmware_tools import vmware_tools_fix
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.model.choices import CloudDatasource, FstabMode, PackageFile

FSTAB_FIX = fstab_fix(FstabMode.STABILIZE_ALL)
CLOUD_INIT_FIX = cloud_init_fix(None)
VMWARE_TOOLS_FIX = vmware_tools_fix(remove=False)
GUEST_AGENT_FIX = guest_agent_fix(install=False, packages=())

FIXES: tuple[Fix, ...] = (
    FSTAB_FIX,
    CRYPTTAB_FIX,
    SYSTEMD_UNITS_FIX,
    MDADM_CONF_FIX,
    LVM_DEVICES_FIX,
    MULTIPATH_FIX,
    KDUMP_TARGET_FIX,
    KERNEL_CMDLINE_FIX,
    DEVICE_MAP_FIX,
    UEFI_FALLBACK_FIX,
    NETWORK_NAMES_FIX,
    INITRAMFS_RESUME_FIX,
    INITRAMFS_VIRTIO_FIX,
    CLOUD_INIT_FIX,
    VMWARE_TOOLS_FIX,
    GUEST_AGENT_FIX,
    SELINUX_LABELS_FIX,
)

OF_THE_BOOT_LOADER = frozenset({KERNEL_CMDLINE_FIX.name, DEVICE_MAP_FIX.name, UEFI_FALLBACK_FIX.name})


@dataclass(frozen=True, slots=True, kw_only=True)
class FixOptions:
    """The operator's choice; `skip` are names of fixes."""

    fstab_mode: FstabMode = FstabMode.STABILIZE_ALL
    no_grub: bool = False
    no_regen_initramfs: bool = False
    remove_vmware_tools: bool = False
    cloud_init_datasource: CloudDatasource | None = None
    install_guest_agent: bool = False
    guest_agent_packages: tuple[PackageFile, ...] = ()
    skip: frozenset[str] = frozenset()


def chosen(options: FixOptions) -> tuple[Fix, ...]:
    """The fixes of a run, in order. Raises UsageError for a name that is no fix."""
    for name in sorted(options.skip):
        _check_name(name)
    left_out = set(options.skip)
    left_out |= OF_THE_BOOT_LOADER if options.no_grub else set()
    left_out |= {INITRAMFS_VIRTIO_FIX.name} if options.no_regen_initramfs else set()
    left_out |= {FSTAB_FIX.name} if options.fstab_mode is FstabMode.NOOP else set()
    return tuple(_as_asked(fix, options) for fix in FIXES if fix.name not in left_out)


def _as_asked(fix: Fix, options: FixOptions) -> Fix:
    if fix is FSTAB_FIX:
        return fstab_fix(options.fstab_mode)
    if fix is VMWARE_TOOLS_FIX:
        return vmware_tools_fix(remove=options.remove_vmware_tools)
    if fix is CLOUD_INIT_FIX:
        return cloud_init_fix(options.cloud_init_datasource)
    if fix is GUEST_AGENT_FIX:
        return guest_agent_fix(install=options.install_guest_agent, packages=options.guest_agent_packages)
    return fix


def _check_name(name: str) -> None:
    names = [fix.name for fix in FIXES]
    if name not in names:
        nearest = get_close_matches(name, names, n=1)
        guess = f'did you mean "{nearest[0]}"? ' if nearest else ""
        raise UsageError(f'"{visible(name)}" is no fix.', hint=f"{guess}the fixes are {', '.join(names)}.")


def render_page() -> str:
    """docs/fixes.md: one section for each fix, in order."""
    intro = (
        "# Fixes\n\n"
        "What `vmdk2kvm` repairs inside a guest, in this order. Each fix is left out with"
        " `--skip-fix NAME` (`skip_fix:` in YAML).\n"
    )
    return "\n".join([intro, *map(_section, FIXES)])


def _section(fix: Fix) -> str:
    families = ", ".join(sorted(family.value for family in fix.families))
    planner = getattr(fix.plan, "func", fix.plan)  # a fix with options is a partial of its planner
    about = (sys.modules[planner.__module__].__doc__ or "").strip()
    return f"## {fix.name}\n\nWhy: {fix.reason}.\n\n{about}\n\nFor: {families}.\n"
