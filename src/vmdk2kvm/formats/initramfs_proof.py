"""Whether an initramfs can really load what it holds: each module, and all that modprobe loads for it."""

from vmdk2kvm.formats.initramfs import InitramfsContents
from vmdk2kvm.formats.initramfs_appendix import dependencies
from vmdk2kvm.formats.kernel_modules import module_of_path, parse_builtin


def lacking(contents: InitramfsContents, kernel: str, must_hold: frozenset[str]) -> frozenset[str]:
    """Modules of `must_hold` and of what they need that are absent, or that modprobe would not find.

    An image without indexes is judged by its modules alone.
    """
    absent = must_hold - contents.modules
    for folder in contents.module_folders:
        if folder.rpartition("/")[2] == kernel:
            absent |= _unfound(contents, folder, must_hold)
    return absent


def _unfound(contents: InitramfsContents, folder: str, must_hold: frozenset[str]) -> frozenset[str]:
    try:
        known = dependencies(contents, folder)
    except ValueError:
        return must_hold  # an index that cannot be read finds nothing
    if known is None:
        return frozenset()
    needed = {module_of_path(path) for name in must_hold & known.keys() for path in known[name].needs}
    builtin = parse_builtin(contents.indexes.get(f"{folder}/modules.builtin", b"").decode("utf-8", "replace"))
    absent = frozenset(name for name in needed if name) - contents.modules
    return (must_hold - known.keys() - builtin) | (absent - builtin)
