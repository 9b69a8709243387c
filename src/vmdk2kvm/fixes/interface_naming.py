"""How a guest's udev names network cards: by .link files, by rules alone, or not at all (mdev).

systemd.link(5), systemd.net-naming-scheme(7). An interface that was named in the initramfs keeps that
name on systemd before 240, so there the .link files have to lie in the initramfs as well.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text
from vmdk2kvm.guest.protocol import FileType, GuestReader
from vmdk2kvm.model.guest_os import Initramfs

NET_SETUP_LINK = "80-net-setup-link.rules"
OUR_LINKS = "/etc/systemd/network/10-vmdk2kvm-*.link"
DRIVERS = ("virtio_net", "e1000", "e1000e", "vmxnet3")  # of the cards a KVM host emulates, VMware's included

_SHARED = re.compile(r".*/libsystemd-shared-(\d{3})\b.*\.so")
_DEBIAN_TRIPLETS = ("x86_64", "i386", "aarch64")
_SHARED_PATTERNS = (
    "/usr/lib/systemd/libsystemd-shared-*.so",
    "/usr/lib64/systemd/libsystemd-shared-*.so",
    *(f"/usr/lib/{triplet}-linux-gnu/systemd/libsystemd-shared-*.so" for triplet in _DEBIAN_TRIPLETS),
    "/lib/systemd/libsystemd-shared-*.so",
)
_UDEV = (
    "/usr/lib/systemd/systemd-udevd",
    "/lib/systemd/systemd-udevd",
    "/usr/bin/udevadm",
    "/bin/udevadm",
    "/sbin/udevadm",
    "/usr/sbin/udevadm",
    "/sbin/udevd",
    "/lib/udev/udevd",
)
_LISTS_SINCE = 230  # Driver= takes several
_PERMANENT_SINCE = 245  # PermanentMACAddress=
_RENAMES_AGAIN_SINCE = 240


class Namer(Enum):
    LINK_FILES = "link-files"
    RULES = "rules"
    NONE = "none"


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """`systemd` is its version, 0 where it is older than the file that tells it (231)."""

    namer: Namer
    systemd: int = 0

    @property
    def drivers(self) -> str:
        if self.namer is Namer.RULES:
            return "|".join(DRIVERS)
        return " ".join(DRIVERS) if self.systemd >= _LISTS_SINCE else DRIVERS[0]

    @property
    def by_permanent_mac(self) -> bool:
        """Bonds, bridges and VLANs carry the MAC of the card below them, but have no permanent one."""
        return self.systemd >= _PERMANENT_SINCE

    @property
    def keeps_first_name(self) -> bool:
        return self.namer is Namer.LINK_FILES and self.systemd < _RENAMES_AGAIN_SINCE


def find_naming(guest: GuestReader) -> Naming:
    version = _systemd_version(guest)
    folders = ("/usr/lib/udev/rules.d", "/lib/udev/rules.d")
    if any(guest.exists(f"{folder}/{NET_SETUP_LINK}") for folder in folders) and not _is_masked(guest):
        return Naming(namer=Namer.LINK_FILES, systemd=version)
    if any(map(guest.exists, _UDEV)):
        return Naming(namer=Namer.RULES, systemd=version)
    return Naming(namer=Namer.NONE)


def lacks_link_files(guest: GuestReader, image: Initramfs) -> bool:
    """Whether `image` would name a card otherwise than the guest's .link files, and that name would stay."""
    files = dict(image.files)
    names_cards = any(path.endswith(NET_SETUP_LINK) for path in files) and image.modules & set(DRIVERS)
    if not names_cards or not find_naming(guest).keeps_first_name or not _takes_links(guest, files):
        return False
    ours = {path.lstrip("/"): guest.read_bytes(path) for path in guest.glob(OUR_LINKS)}
    return any(files.get(path) != content for path, content in ours.items())


def _takes_links(guest: GuestReader, files: Mapping[str, bytes]) -> bool:
    """initramfs-tools copies .link files where its hook does; dracut installs what it is told to."""
    if "conf/initramfs.conf" not in files:
        return True
    hook = read_guest_text(guest, "/usr/share/initramfs-tools/hooks/udev")
    return isinstance(hook, GuestText) and "/etc/systemd/network" in hook.text


def _systemd_version(guest: GuestReader) -> int:
    paths = (path for pattern in _SHARED_PATTERNS for path in guest.glob(pattern))
    return max((int(found[1]) for path in paths if (found := _SHARED.fullmatch(path))), default=0)


def _is_masked(guest: GuestReader) -> bool:
    """An empty file or a link to /dev/null in /etc switches the rules off."""
    path = f"/etc/udev/rules.d/{NET_SETUP_LINK}"
    try:
        stat = guest.stat(path)
        return stat.type is FileType.SYMLINK or stat.size_bytes == 0
    except (FileNotFoundError, GuestError):
        return False
