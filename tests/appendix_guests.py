"""Guests whose initramfs has to be added to: images as each tool marks them, and modules to take from."""

import gzip
from collections.abc import Mapping

from tests.initramfs_images import image
from tests.linux_guests import MODULES_DEP, VERSION, VMWARE_ONLY, image_path, run_program
from vmdk2kvm.formats.kernel_modules import module_of_path, parse_files
from vmdk2kvm.formats.module_index import Entry
from vmdk2kvm.formats.module_index import render as render_index
from vmdk2kvm.guest.memory import MemoryGuest, Node, Programs
from vmdk2kvm.model.guest_os import InitramfsTool

FOLDER = f"usr/lib/modules/{VERSION}"
MODULES = f"/lib/modules/{VERSION}"
FILES = parse_files(MODULES_DEP)
ALIASES = """\
# Aliases extracted from modules themselves.
alias pci:v00001AF4d*sv*sd*bc*sc*i* virtio_pci
alias virtio:d00000002v* virtio_blk
alias virtio:d00000008v* virtio_scsi
alias scsi:t-0x00* sd_mod
alias pci:v000015ADd000007C0sv*sd*bc*sc*i* vmw_pvscsi
"""
MARKS: dict[InitramfsTool, Mapping[str, bytes]] = {
    InitramfsTool.INITRAMFS_TOOLS: {"conf/initramfs.conf": b"MODULES=dep\n", "conf/modules": b"vmw_pvscsi\n"},
    InitramfsTool.DRACUT: {"usr/lib/dracut/build-parameter.txt": b""},
    InitramfsTool.MKINITCPIO: {"buildconfig": b"", "config": b'MODULES="vmw_pvscsi"\nHOOKS="udev"\n'},
    InitramfsTool.MKINITFS: {"sbin/nlplug-findfs": b"", "etc/modules": b"af_packet"},
}


def index_text(held: tuple[str, ...]) -> str:
    """modules.dep of an image that holds `held`."""
    lines = []
    for name in held:
        needs = [module_of_path(path) for path in FILES[name].needs]
        needed = "".join(f" kernel/drivers/{each}.ko" for each in needs if each in held)
        lines.append(f"kernel/drivers/{name}.ko:{needed}\n")
    return "".join(lines)


def indexes(held: tuple[str, ...], *, binary: bool, text: bool) -> dict[str, bytes]:
    lines = index_text(held).split("\n")[:-1]
    entries = [Entry(priority=nth, key=name, value=lines[nth]) for nth, name in enumerate(held)]
    aliases = [line.split() for line in ALIASES.split("\n") if line.endswith(held)]
    found: dict[str, bytes] = {}
    if text:
        found[f"{FOLDER}/modules.dep"] = index_text(held).encode()
        found[f"{FOLDER}/modules.alias"] = "".join(f"{' '.join(words)}\n" for words in aliases).encode()
    if binary:
        found[f"{FOLDER}/modules.dep.bin"] = render_index(entries)
        found[f"{FOLDER}/modules.alias.bin"] = render_index(
            Entry(priority=nth, key=words[1], value=words[2]) for nth, words in enumerate(aliases)
        )
    return found


def built_by(
    tool: InitramfsTool | None,
    *,
    held: tuple[str, ...] = VMWARE_ONLY,
    compression: str = "zstd",
    binary: bool = True,
    text: bool = True,
    more: Mapping[str, bytes] | None = None,
) -> bytes:
    marks = MARKS[tool] if tool else {}
    files = {**marks, **indexes(held, binary=binary, text=text), **(more or {})}
    return image(held, files, compression=compression)


def module_content(name: str) -> bytes:
    return b"\x7fELF" + name.encode() * 40


def guest_with(
    old: bytes, files: Mapping[str, bytes | str | Node] | None = None, *, programs: Programs = run_program
) -> MemoryGuest:
    """A guest whose modules can be taken; one of them is compressed, as some distributions have them."""
    modules: dict[str, bytes | str | Node] = {
        f"{MODULES}/{file.path}": module_content(name) for name, file in FILES.items()
    }
    packed = MODULES_DEP.replace("virtio_blk.ko", "virtio_blk.ko.gz")
    modules[f"{MODULES}/{FILES['virtio_blk'].path}.gz"] = gzip.compress(module_content("virtio_blk"), mtime=0)
    del modules[f"{MODULES}/{FILES['virtio_blk'].path}"]
    return MemoryGuest(
        {
            **modules,
            f"{MODULES}/modules.dep": packed,
            f"{MODULES}/modules.alias": ALIASES,
            image_path(): old,
            **(files or {}),
        },
        programs=programs,
    )
