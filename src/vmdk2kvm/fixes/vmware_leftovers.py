"""What VMware's tools leave in a guest beside their packages: each with how to take it away, or why not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text, read_linked_text, with_text
from vmdk2kvm.formats import fstab, package_repositories, vmware_leftovers, xorg_conf
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.package_repositories import is_vmware_tools
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import Change, RemoveFile
from vmdk2kvm.model.report import Finding, Level

ASK = "let FIX take it away: remove_vmware_tools."
_DISPLAY_DRIVERS = ("modesetting", "fbdev", "vesa")
_DRIVER_FOLDERS = ("/usr/lib*/xorg/modules/drivers", "/usr/lib/*/xorg/modules/drivers")
_HGFS = ("vmhgfs", "vmhgfs-fuse", "fuse.vmhgfs-fuse", "fuse.vmhgfs")
_REPOSITORIES = (
    ("/etc/yum.repos.d/*.repo", package_repositories.without_yum),
    ("/etc/zypp/repos.d/*.repo", package_repositories.without_yum),
    ("/etc/apt/sources.list", package_repositories.without_sources),
    ("/etc/apt/sources.list.d/*.list", package_repositories.without_sources),
    ("/etc/apt/sources.list.d/*.sources", package_repositories.without_deb822),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """`changes` take it away, () where nothing here can; `finding` is said where it stays."""

    changes: tuple[Change, ...]
    finding: Finding


def leftovers(guest: GuestReader) -> Iterator[Leftover]:
    yield from _shared_folders(guest)
    yield from _mount_units(guest)
    yield from _repositories(guest)
    yield from _displays(guest)
    yield from _whole_files(guest, "/etc/udev/rules.d/*.rules", vmware_leftovers.is_vmware_rules)
    yield from _whole_files(guest, "/etc/modprobe.d/*", vmware_leftovers.is_vmware_modprobe)
    yield from _module_lists(guest)


def _shared_folders(guest: GuestReader) -> Iterator[Leftover]:
    file = read_guest_text(guest, "/etc/fstab")
    if not isinstance(file, GuestText):
        return  # told by fstab-stable-names
    found = [entry for entry in fstab.entries(file.text) if entry.type in _HGFS]
    if not found:
        return
    text = fstab.commented_out(file.text, {entry.line for entry in found})
    stops = any(_stops_the_boot(entry) for entry in found)
    places = ", ".join(f'"{visible(entry.mountpoint)}"' for entry in found[:5])
    yield Leftover(
        changes=(with_text(file, text),),
        finding=_finding(
            "vmware-shared-folder",
            f'"/etc/fstab" mounts folders that VMware shares at {places}; on KVM there are none'
            + (", and the boot stops there." if stops else "."),
            ASK,
            Level.ERROR if stops else Level.WARNING,
        ),
    )


def _stops_the_boot(entry: fstab.Entry) -> bool:
    return not {"nofail", "noauto"}.intersection(fstab.split_options(entry.options or ""))


def _mount_units(guest: GuestReader) -> Iterator[Leftover]:
    for path in guest.glob("/etc/systemd/system/*.mount"):
        file = read_linked_text(guest, path)
        if isinstance(file, GuestText) and any(f"Type={name}" in file.text.split() for name in _HGFS):
            remedy = f"disable it in the guest: systemctl disable {visible(path.rpartition('/')[2])}."
            message = f'"{visible(path)}" mounts a folder that VMware shares; on KVM there is none.'
            yield Leftover(changes=(), finding=_finding("vmware-shared-folder", message, remedy))


def _repositories(guest: GuestReader) -> Iterator[Leftover]:
    for pattern, edit in _REPOSITORIES:
        for file in _texts(guest, pattern):
            text = edit(file.text, is_vmware_tools)
            if text != file.text:
                message = f'"{visible(file.path)}" takes packages from VMware.'
                yield Leftover(
                    changes=(with_text(file, text),), finding=_finding("vmware-repository", message, ASK)
                )


def _displays(guest: GuestReader) -> Iterator[Leftover]:
    for file in (*_texts(guest, "/etc/X11/xorg.conf"), *_texts(guest, "/etc/X11/xorg.conf.d/*.conf")):
        names = [(one.section, one.name.lower()) for one in xorg_conf.drivers(file.text)]
        if ("device", "vmware") in names:
            yield _display(guest, file)
        if ("inputdevice", "vmmouse") in names:
            message = f'"{visible(file.path)}" takes VMware\'s driver for the mouse.'
            remedy = "nothing while the machine has QEMU's vmport; else name evdev or libinput there."
            yield Leftover(changes=(), finding=_finding("xorg-mouse-driver", message, remedy, Level.INFO))


def _display(guest: GuestReader, file: GuestText) -> Leftover:
    driver = next((name for name in _DISPLAY_DRIVERS if _has_driver(guest, name)), None)
    message = (
        f'"{visible(file.path)}" takes VMware\'s display driver; the X server does not start with it on KVM.'
    )
    if driver is None:
        remedy = "install the X server's driver modesetting in the guest, or take the line away."
        return Leftover(changes=(), finding=_finding("xorg-vmware-driver", message, remedy))
    text = xorg_conf.with_display_driver(file.text, "vmware", driver)
    return Leftover(changes=(with_text(file, text),), finding=_finding("xorg-vmware-driver", message, ASK))


def _has_driver(guest: GuestReader, name: str) -> bool:
    return any(guest.glob(f"{folder}/{name}_drv.so") for folder in _DRIVER_FOLDERS)


def _whole_files(guest: GuestReader, pattern: str, is_vmwares: Callable[[str], bool]) -> Iterator[Leftover]:
    for file in _texts(guest, pattern):
        if is_vmwares(file.text):
            message = f'"{visible(file.path)}" is for VMware\'s devices only.'
            yield Leftover(
                changes=(RemoveFile(path=file.path, before=file.before),),
                finding=_finding("vmware-settings", message, ASK, Level.INFO),
            )
        elif "vmware" in file.path.rpartition("/")[2]:
            message = f'"{visible(file.path)}" is named after VMware and holds other things, too; it stays.'
            remedy = "look at it in the guest, and take away what is VMware's."
            yield Leftover(changes=(), finding=_finding("vmware-settings-mixed", message, remedy, Level.INFO))


def _module_lists(guest: GuestReader) -> Iterator[Leftover]:
    for file in (*_texts(guest, "/etc/modules"), *_texts(guest, "/etc/modules-load.d/*.conf")):
        text = vmware_leftovers.without_tool_modules(file.text)
        if text != file.text:
            message = f'"{visible(file.path)}" loads modules of VMware\'s tools, which go with them.'
            yield Leftover(
                changes=(with_text(file, text),), finding=_finding("vmware-modules", message, ASK, Level.INFO)
            )


def _texts(guest: GuestReader, pattern: str) -> Iterator[GuestText]:
    """Links and oversized files are no one's leftovers."""
    for path in guest.glob(pattern):
        file = read_guest_text(guest, path)
        if isinstance(file, GuestText):
            yield file


def _finding(id: str, message: str, remedy: str, level: Level = Level.WARNING) -> Finding:
    return Finding(id=id, level=level, message=message, remedy=remedy)
