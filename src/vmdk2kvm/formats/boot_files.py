"""Which files of a guest hold kernel arguments, and in which language each is written.

The one table of them: INSPECT looks for these files, the repair edits them, the forecast reads them.
Patterns are a shell's. EFI system partitions are mounted in many places, so what lies on them is
named from their own root.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from vmdk2kvm.formats import boot_entry, grub_config, grub_defaults, grub_legacy, grubenv, kernel_cmdline
from vmdk2kvm.formats import syslinux as syslinux_config
from vmdk2kvm.formats.fat_names import any_case
from vmdk2kvm.formats.kernel_cmdline import Arguments
from vmdk2kvm.model.guest_os import BootLoaderKind


class Language(Enum):
    GRUB_SCRIPT = "grub-script"
    GRUB_ENVIRONMENT = "grub-environment"
    GRUB_LEGACY = "grub-legacy"
    BOOT_ENTRY = "boot-entry"
    SYSLINUX = "syslinux"
    SETTINGS = "settings"  # a shell file
    ARGUMENTS = "arguments"  # nothing else in the file
    FOREIGN = "foreign"  # of a loader that does not read it when it starts


@dataclass(frozen=True, slots=True, kw_only=True)
class BootFile:
    """A kind of file. `loaders` read it at boot; none: the next generated configuration takes it up."""

    language: Language
    paths: tuple[str, ...]
    on_esp: tuple[str, ...] = ()
    loaders: frozenset[BootLoaderKind] = frozenset()


_GRUB2 = frozenset({BootLoaderKind.GRUB2})
BOOT_FILES = (
    BootFile(
        language=Language.GRUB_SCRIPT,
        loaders=_GRUB2,
        paths=(
            *("/boot/grub/grub.cfg", "/boot/grub2/grub.cfg"),
            *("/boot/grub2/custom.cfg", "/boot/grub/custom.cfg"),
        ),
        on_esp=("/EFI/*/grub.cfg", "/EFI/*/custom.cfg", "/grub/grub.cfg", "/grub2/grub.cfg"),
    ),
    BootFile(
        language=Language.BOOT_ENTRY,
        loaders=frozenset({BootLoaderKind.GRUB2, BootLoaderKind.SYSTEMD_BOOT}),
        paths=("/boot/loader/entries/*.conf",),
        on_esp=("/loader/entries/*.conf",),
    ),
    BootFile(
        language=Language.GRUB_ENVIRONMENT,
        loaders=_GRUB2,
        paths=("/boot/grub/grubenv", "/boot/grub2/grubenv", "/boot/photon.cfg", "/boot/linux-*.cfg"),
        on_esp=("/EFI/*/grubenv", "/grub/grubenv", "/grub2/grubenv"),
    ),
    BootFile(
        language=Language.GRUB_LEGACY,
        loaders=frozenset({BootLoaderKind.GRUB_LEGACY}),
        paths=("/boot/grub/menu.lst", "/boot/grub/grub.conf"),
        on_esp=("/EFI/*/grub.conf", "/EFI/*/BOOTX64.conf"),
    ),
    BootFile(
        language=Language.SYSLINUX,
        loaders=frozenset({BootLoaderKind.EXTLINUX}),
        paths=(
            *("/boot/extlinux/*.conf", "/boot/extlinux/*.cfg", "/boot/extlinux.conf", "/extlinux/*.conf"),
            *("/boot/syslinux/*.cfg", "/boot/syslinux.cfg"),
        ),
        on_esp=("/EFI/*/syslinux.cfg", "/syslinux/*.cfg", "/syslinux.cfg", "/extlinux/*.conf"),
    ),
    BootFile(
        language=Language.SETTINGS,
        paths=(
            *("/etc/default/grub", "/etc/default/grub.d/*.cfg"),
            *("/etc/sysconfig/grub", "/etc/sysconfig/bootloader"),
            *("/etc/update-extlinux.conf", "/etc/default/extlinux", "/etc/default/u-boot"),
        ),
    ),
    BootFile(language=Language.ARGUMENTS, paths=("/etc/kernel/cmdline",)),
    BootFile(
        language=Language.FOREIGN,
        paths=("/etc/zipl.conf", "/etc/lilo.conf", "/etc/elilo.conf", "/boot/refind_linux.conf"),
        on_esp=("/EFI/*/elilo.conf",),
    ),
)
GENERATOR_PATHS = tuple(path for each in BOOT_FILES if not each.loaders for path in each.paths)

_READERS: dict[Language, Callable[[str], Iterator[Arguments]]] = {
    Language.GRUB_SCRIPT: grub_config.arguments,
    Language.GRUB_ENVIRONMENT: grubenv.arguments,
    Language.GRUB_LEGACY: grub_legacy.arguments,
    Language.BOOT_ENTRY: boot_entry.arguments,
    Language.SYSLINUX: syslinux_config.arguments,
    Language.SETTINGS: grub_defaults.arguments,
    Language.ARGUMENTS: kernel_cmdline.arguments,
    Language.FOREIGN: lambda _: iter(()),
}


def language_of(path: str) -> Language | None:
    """How the file at `path` is written, None for one that is not in the table."""
    name = PurePosixPath(path)
    return next((each.language for each in BOOT_FILES if _fits(each, name)), None)


def arguments(language: Language, text: str) -> Iterator[Arguments]:
    """The kernel arguments in a file, by place. Raises GuestError for what its own loader refuses."""
    return _READERS[language](text)


def patterns(kind: BootFile, esps: tuple[str, ...]) -> tuple[str, ...]:
    """Where such files may lie in a guest whose EFI system partitions are mounted at `esps`."""
    on_esps = (f"{esp.rstrip('/')}{any_case(pattern)}" for esp in esps for pattern in kind.on_esp)
    return (*kind.paths, *on_esps)


def _fits(kind: BootFile, path: PurePosixPath) -> bool:
    if any(path.match(pattern) for pattern in kind.paths):
        return True
    return any(path.match(any_case(pattern.lstrip("/"))) for pattern in kind.on_esp)
