"""An archive behind an initramfs that adds kernel modules to it (buffer format: later files win).

The kernel unpacks every archive of an image over the ones before. modprobe(8) finds a module only
through modules.dep.bin, so the archive holds those indexes anew, for the image's modules and the
added ones; and the list of what to load, where the image's own init looks for it. A folder is named
only where it is real: an entry for a folder replaces a link of that name, and "lib" often is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

from vmdk2kvm.formats.cpio import ALIGNMENT, NewMember, render_archive
from vmdk2kvm.formats.decompress import LZ4_BLOCK_BYTES, LZ4_LEGACY_MAGIC
from vmdk2kvm.formats.initramfs import InitramfsContents
from vmdk2kvm.formats.kernel_modules import (
    ModuleFile,
    alias_key,
    module_of_path,
    parse_aliases,
    parse_files,
)
from vmdk2kvm.formats.module_index import Entry, is_index
from vmdk2kvm.formats.module_index import parse as parse_index
from vmdk2kvm.formats.module_index import render as render_index
from vmdk2kvm.model.guest_os import InitramfsTool

OWN_FOLDER = "vmdk2kvm"
Aliases = Sequence[tuple[str, str]]


class AppendForm(Enum):
    """How an archive stands behind an image: as it is, or as a block of the lz4 frame before it."""

    BARE = "bare"
    LZ4 = "lz4"


class NoAppendix(ValueError):
    """Why an image cannot be added to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Addition:
    """`names` with the file each has in the guest and the aliases of theirs."""

    names: Sequence[str]
    files: Mapping[str, ModuleFile]
    aliases: Aliases


def form_of(contents: InitramfsContents) -> AppendForm:
    """How the kernel takes an archive behind this image. Raises NoAppendix."""
    if contents.compression == "lzma":
        raise NoAppendix("kernels lose their place behind an lzma archive")
    if contents.compression != "lz4":
        return AppendForm.BARE
    # Before Linux 5.15 a zero behind an lz4 archive ended in an error, so ours has to follow at once.
    if contents.trailing_bytes or contents.last_unpacked_bytes % ALIGNMENT:
        raise NoAppendix("its lz4 archive does not end where another could begin")
    return AppendForm.LZ4


def folder_of(contents: InitramfsContents, kernel: str) -> str:
    """The image's own "lib/modules/VERSION". Raises NoAppendix."""
    found = sorted(folder for folder in contents.module_folders if folder.rpartition("/")[2] == kernel)
    if len(found) != 1:
        raise NoAppendix(f"it holds {len(found)} folders for the modules of that kernel")
    return found[0]


def place_of(folder: str, name: str) -> str:
    """Where an added module lies in the image."""
    return f"{folder}/{OWN_FOLDER}/{name}.ko"


def dependencies(contents: InitramfsContents, folder: str) -> dict[str, ModuleFile] | None:
    """modules.dep as modprobe in the image reads it, None where it has none. Raises ValueError."""
    binary = contents.indexes.get(f"{folder}/modules.dep.bin")
    if binary is not None and is_index(binary):
        return parse_files("\n".join(entry.value for entry in parse_index(binary)))
    text = contents.indexes.get(f"{folder}/modules.dep")
    return None if text is None else parse_files(_text(text))


def indexes(contents: InitramfsContents, folder: str, addition: Addition) -> dict[str, bytes]:
    """modprobe's indexes for the image's own modules and the added ones, by place in the image."""
    try:
        known = dependencies(contents, folder) or {}
        if contents.modules - known.keys():
            raise NoAppendix("its own list of modules does not name all of them")
        files = _with_added(known, addition)
        aliases = [*_aliases(contents, folder), *addition.aliases]
        return {
            f"{folder}/modules.dep": "".join(f"{_line(file)}\n" for file in files.values()).encode(*_CODING),
            f"{folder}/modules.dep.bin": render_index(
                Entry(priority=nth, key=name, value=_line(file))
                for nth, (name, file) in enumerate(files.items())
            ),
            f"{folder}/modules.alias": "".join(f"alias {a} {module}\n" for a, module in aliases).encode(
                *_CODING
            ),
            f"{folder}/modules.alias.bin": render_index(
                Entry(priority=nth, key=alias_key(a), value=module) for nth, (a, module) in enumerate(aliases)
            ),
        }
    except NoAppendix:
        raise
    except ValueError as error:
        raise NoAppendix(f"its lists of modules cannot be read: {error}") from error


_CODING = ("utf-8", "surrogateescape")


def load_lists(contents: InitramfsContents, names: Sequence[str]) -> dict[str, bytes]:
    """The files by which the image's init is told to load `names`. Raises NoAppendix."""
    listed = "".join(f"{name}\n" for name in names)
    match contents.builder:
        case InitramfsTool.INITRAMFS_TOOLS:
            return {"conf/modules": _behind(contents, "conf/modules", listed)}
        case InitramfsTool.DRACUT:
            argument = f"rd.driver.pre={','.join(names)}\n"
            return {
                "etc/cmdline.d/90-vmdk2kvm.conf": argument.encode(),
                "etc/modules-load.d/vmdk2kvm.conf": listed.encode(),
            }
        case InitramfsTool.MKINITCPIO:
            line = f'MODULES="$MODULES {" ".join(names)}"\n'
            return {
                "config": _behind(contents, "config", line),
                "etc/modules-load.d/vmdk2kvm.conf": listed.encode(),
            }
        case InitramfsTool.MKINITFS:
            return {"etc/modules": _behind(contents, "etc/modules", listed)}
        case _:
            raise NoAppendix("nothing is known of how its init loads modules")


def archive(files: Mapping[str, bytes], real_folders: Iterable[str]) -> bytes:
    """One archive of `files`, with the folders that have to be made for them."""
    folders = sorted({name.rpartition("/")[0] for name in files} & set(real_folders))
    members = [NewMember(name=folder, content=None) for folder in folders]
    return render_archive([*members, *(NewMember(name=name, content=files[name]) for name in files)])


def folders_made(folder: str) -> tuple[str, ...]:
    """The folders an appendix may have to make; no image has a link of these names."""
    return (f"{folder}/{OWN_FOLDER}", "etc/cmdline.d", "etc/modules-load.d")


def appendix(content: bytes, *, image_bytes: int, form: AppendForm) -> bytes:
    """`content`, an archive, as it has to stand behind an image of `image_bytes`."""
    if form is AppendForm.LZ4:
        return LZ4_LEGACY_MAGIC + b"".join(map(_lz4_block, _pieces(content, LZ4_BLOCK_BYTES)))
    return bytes(-image_bytes % ALIGNMENT) + content


def _pieces(content: bytes, size: int) -> Iterable[bytes]:
    return (content[start : start + size] for start in range(0, len(content), size))


def _lz4_block(content: bytes) -> bytes:
    """A block of the legacy frame that holds its content as it is (lz4 block format, literals only)."""
    length, more = len(content), b""
    if length >= 15:
        more = b"\xff" * ((length - 15) // 255) + bytes(((length - 15) % 255,))
    block = bytes((min(length, 15) << 4,)) + more + content
    return len(block).to_bytes(4, "little") + block


def _with_added(known: Mapping[str, ModuleFile], addition: Addition) -> dict[str, ModuleFile]:
    added = {name: f"{OWN_FOLDER}/{name}.ko" for name in addition.names}
    paths = {name: file.path for name, file in known.items()} | added
    files = {name: file for name, file in known.items() if name not in added}
    for name, path in added.items():
        needed = map(module_of_path, addition.files[name].needs)
        files[name] = ModuleFile(path=path, needs=tuple(_path(paths, each) for each in needed))
    return files


def _path(paths: Mapping[str, str], name: str | None) -> str:
    if name is None or name not in paths:
        raise NoAppendix(f"a module it would need is neither in it nor added: {name}")
    return paths[name]


def _aliases(contents: InitramfsContents, folder: str) -> Aliases:
    text = contents.indexes.get(f"{folder}/modules.alias")
    if text is not None:
        return parse_aliases(_text(text))
    binary = contents.indexes.get(f"{folder}/modules.alias.bin")
    if binary is None or not is_index(binary):
        return []
    return [(entry.key, entry.value) for entry in parse_index(binary)]


def _behind(contents: InitramfsContents, name: str, lines: str) -> bytes:
    old = contents.indexes.get(name, b"")
    joint = b"" if not old or old.endswith(b"\n") else b"\n"
    return old + joint + lines.encode()


def _line(file: ModuleFile) -> str:
    return f"{file.path}: {' '.join(file.needs)}".rstrip() if file.needs else f"{file.path}:"


def _text(content: bytes) -> str:
    return content.decode(*_CODING)
