"""A new machine's firmware knows no boot entries: it starts \\EFI\\BOOT\\BOOTX64.EFI, or nothing.

The guest's own entry stays behind in VMware's NVRAM (UEFI specification 2.10, 3.5.1.1, "Removable Media
Boot Behavior"). Where that file is missing, the distribution's loader is copied there: shim, and beside it
the GRUB that shim starts, else GRUB or systemd-boot alone. A GRUB that looks for its configuration beside
itself gets one that leads to the distribution's. What lies in \\EFI\\BOOT already is never replaced.
"""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Fix, Planned
from vmdk2kvm.formats.device_names import is_plain
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.fat_names import any_case
from vmdk2kvm.formats.grub_image import prefix_folder
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import CopyWithin, WriteFile
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, Firmware, GuestOs
from vmdk2kvm.model.report import Finding, Level

_SUFFIXES = {"x86_64": "x64", "aarch64": "aa64"}  # of the names of 64-bit programs
_FOLDERS = {  # where the distribution's folder is not called like it
    "rhel": "redhat",
    "ol": "redhat",
    "sled": "sles",
    "sles_sap": "sles",
    "opensuse-leap": "opensuse",
    "opensuse-tumbleweed": "opensuse",
}
_REDIRECT = "# GRUB was started from here; its configuration is the distribution's.\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class _Loader:
    """What has to lie in \\EFI\\BOOT: copies by name, the loader first, and perhaps GRUB's way home."""

    folder: str  # "/boot/efi/EFI/debian"
    sources: dict[str, str]
    redirect: str | None = None
    own_configuration: bool = False  # a copy that kernel updates do not reach

    @property
    def name(self) -> str:
        return self.folder.rpartition("/")[2]

    @property
    def program(self) -> str:
        return next(iter(self.sources.values()))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Esp:
    mountpoint: str
    boot: str  # its \EFI\BOOT, as the name is written there
    started: str | None  # what stands where the firmware looks
    loaders: tuple[_Loader, ...]


def _plan(guest: GuestReader, os: GuestOs) -> Planned:
    if os.firmware is not Firmware.UEFI:
        return
    suffix = _SUFFIXES.get(os.arch)
    if suffix is None:
        yield _not_done("uefi-fallback-other-architecture", f"no loader for {visible(os.arch)} is known")
        return
    esps = [_look(guest, mountpoint, suffix) for mountpoint in _esp_mountpoints(guest, os)]
    if not any(esp.started or esp.loaders for esp in esps):
        yield _not_done(
            "uefi-fallback-no-loader", "no EFI system partition with a known boot loader was found"
        )
    for esp in esps:
        yield from _complete(guest, os, esp, suffix)


UEFI_FALLBACK_FIX = Fix(
    name="uefi-fallback-loader",
    reason="the guest's UEFI boot entry stays behind in VMware's NVRAM",
    families=LINUX_FAMILIES,
    plan=_plan,
)


# what is there


def _esp_mountpoints(guest: GuestReader, os: GuestOs) -> Iterator[str]:
    for mount in os.mounts:
        if mount.type == "vfat" and guest.glob(f"{mount.mountpoint}{any_case('/EFI')}"):
            yield mount.mountpoint


def _look(guest: GuestReader, mountpoint: str, suffix: str) -> _Esp:
    (efi, *_) = guest.glob(f"{mountpoint}{any_case('/EFI')}")
    boot = _existing(guest, efi, "BOOT") or f"{efi}/BOOT"
    folders = [path for path in guest.glob(f"{efi}/*") if path != boot]
    return _Esp(
        mountpoint=mountpoint,
        boot=boot,
        started=_existing(guest, boot, f"BOOT{suffix}.EFI"),
        loaders=tuple(
            loader for path in folders if (loader := _loader_in(guest, mountpoint, path, suffix)) is not None
        ),
    )


def _existing(guest: GuestReader, folder: str, *names: str) -> str | None:
    """The first of these that is there, in whatever case FAT has it."""
    found = (path for name in names for path in guest.glob(f"{folder}/{any_case(name)}"))
    return next(found, None)


def _loader_in(guest: GuestReader, mountpoint: str, folder: str, suffix: str) -> _Loader | None:
    started = f"BOOT{suffix.upper()}.EFI"
    shim = _existing(guest, folder, f"shim{suffix}.efi", "shim.efi")
    grub = _existing(guest, folder, f"grub{suffix}.efi", "grub.efi")
    legacy = _existing(guest, folder, "grub.conf")
    if shim and grub:
        beside = filter(None, (_existing(guest, folder, name) for name in (f"grub{suffix}.efi", "grub.efi")))
        sources = {started: shim} | {path.rpartition("/")[2]: path for path in beside}
        return _Loader(folder=folder, sources=sources, redirect=_redirect(guest, mountpoint, folder, grub))
    if grub and legacy:
        sources = {started: grub, f"BOOT{suffix.upper()}.conf": legacy}
        return _Loader(folder=folder, sources=sources, own_configuration=True)
    if grub:
        redirect = _redirect(guest, mountpoint, folder, grub)
        return _Loader(folder=folder, sources={started: grub}, redirect=redirect)
    systemd = _existing(guest, folder, f"systemd-boot{suffix}.efi")
    if systemd and _has_entries(guest, mountpoint):
        return _Loader(folder=folder, sources={started: systemd})
    return None


def _has_entries(guest: GuestReader, mountpoint: str) -> bool:
    """Whether systemd-boot finds anything to start."""
    patterns = [f"{mountpoint}{any_case(each)}" for each in ("/loader/entries/*.conf", "/EFI/Linux/*.efi")]
    return any(guest.glob(pattern) for pattern in (*patterns, "/boot/loader/entries/*.conf"))


def _redirect(guest: GuestReader, mountpoint: str, folder: str, grub: str) -> str | None:
    """A configuration for a GRUB that, started from \\EFI\\BOOT, would not find its own.

    Debian's and Red Hat's hold a fixed prefix (/EFI/debian), grub-install's the real /boot/grub;
    SUSE's signed GRUB has none and looks beside itself.
    """
    try:
        with guest.open(grub) as stream:
            prefix = prefix_folder(stream)
    except (FileNotFoundError, GuestError):
        return None
    if prefix is None or (prefix and not prefix.lower().startswith("/efi/")):
        return None
    home = mountpoint.rstrip("/") + any_case(f"{prefix or '/EFI/BOOT'}/grub.cfg")
    if guest.glob(home) or not _existing(guest, folder, "grub.cfg"):
        return None
    below = folder.removeprefix(mountpoint.rstrip("/"))
    return f"{_REDIRECT}set prefix=($root){below}\nconfigfile $prefix/grub.cfg\n" if is_plain(below) else None


# what is missing


def _complete(guest: GuestReader, os: GuestOs, esp: _Esp, suffix: str) -> Planned:
    if esp.started is None:
        loader = _choose(os, esp.loaders)
        if loader is not None:
            yield from _put(guest, esp, loader)
        elif esp.loaders:
            names = ", ".join(f'"{visible(each.name)}"' for each in esp.loaders)
            yield _not_done("uefi-fallback-ambiguous", f"several loaders could be the guest's: {names}")
        return
    content = _content(guest, esp.started)
    ours = [each for each in esp.loaders if content and content == _content(guest, each.program)]
    if esp.loaders and not ours:
        yield _left(esp.started, esp.loaders)
    elif len(ours) == 1 and not _existing(guest, esp.boot, f"fb{suffix}.efi", "fallback.efi"):
        yield from _put(guest, esp, ours[0])


def _choose(os: GuestOs, loaders: tuple[_Loader, ...]) -> _Loader | None:
    """The only one, else the only one of the distribution that is installed."""
    if len(loaders) == 1:
        return loaders[0]
    if any(each.name.lower() == "systemd" for each in loaders):
        return None  # any of two boot managers may have been in use
    name = _FOLDERS.get(os.id, os.id)
    named = [each for each in loaders if each.name.lower() == name]
    return named[0] if len(named) == 1 else None


def _put(guest: GuestReader, esp: _Esp, loader: _Loader) -> Planned:
    """All that is missing of one loader, or nothing where another's file is in the way."""
    copies: list[CopyWithin] = []
    for name, source in loader.sources.items():
        copy = _copy(guest, esp, loader, name, source)
        if isinstance(copy, Finding):
            yield copy
            return
        copies += [copy] if copy else []
    yield from copies
    if loader.redirect and not _existing(guest, esp.boot, "grub.cfg"):
        yield WriteFile(path=f"{esp.boot}/grub.cfg", before=None, after=loader.redirect.encode())
    if loader.own_configuration:
        yield _copied_configuration(loader)


def _copy(
    guest: GuestReader, esp: _Esp, loader: _Loader, name: str, source: str
) -> CopyWithin | Finding | None:
    """None where the file is there already."""
    content = _content(guest, source)
    if content is None:
        return _not_done("uefi-fallback-unread", f'"{visible(source)}" cannot be read')
    present = _existing(guest, esp.boot, name)
    if present is not None:
        return None if _content(guest, present) == content else _left(present, (loader,))
    digest = hashlib.sha256(content).hexdigest()
    return CopyWithin(path=f"{esp.boot}/{name}", source=source, size_bytes=len(content), sha256=digest)


def _content(guest: GuestReader, path: str) -> bytes | None:
    try:
        return guest.read_bytes(path)
    except (FileNotFoundError, GuestError):
        return None


# findings


def _not_done(problem: str, why: str) -> Finding:
    return Finding(
        id=problem,
        level=Level.ERROR,
        message=f"no loader was put where the firmware of a new machine looks for one: {why}.",
        remedy="copy the guest's loader to \\EFI\\BOOT (`bootctl install`, `grub-install --removable`),"
        " or add a boot entry with efibootmgr after the move.",
    )


def _left(path: str, loaders: tuple[_Loader, ...]) -> Finding:
    names = ", ".join(f'"{visible(each.name)}"' for each in loaders)
    return Finding(
        id="uefi-fallback-of-another",
        level=Level.WARNING,
        message=f'"{visible(path)}" is not the loader in {names} and stays as it is.',
        remedy="if the machine then starts another system, or none, add a boot entry with efibootmgr.",
    )


def _copied_configuration(loader: _Loader) -> Finding:
    return Finding(
        id="uefi-fallback-copied-configuration",
        level=Level.WARNING,
        message=f'GRUB reads a copy of "{visible(loader.folder)}/grub.conf", which kernel updates miss.',
        remedy="add a boot entry with efibootmgr after the move, or copy grub.conf there after each update.",
    )
