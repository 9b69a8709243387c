"""Every path of an open guest with all that undo promises to restore."""

from vmdk2kvm.guest.offline_guest import OfflineGuest

# Times are not listed: a folder's changes with what is made in it. Nor is the size of a folder, which
# grows and does not shrink.
_SCRIPT = r"""
cd /sysroot
find . ! -type d -printf '%P\t%y %s %#m %U %G %l\0'
find . -type d -printf '%P\t%y - %#m %U %G\0'
printf '\1'
find . -type f -print0 | sort -z | xargs -0r sha256sum -z
printf '\1'
getfattr -R -P -h -d -m - -e hex . 2>/dev/null
"""


def path_list(session: OfflineGuest) -> dict[str, tuple[str, ...]]:
    """Type, size, mode, owner and link target; SHA-256; extended attributes: by path."""
    listed, sums, attributes = session._appliance.shell(_SCRIPT, timeout_s=900).text.split("\x01")
    found = {path: [facts] for path, _, facts in (row.partition("\t") for row in listed.split("\0")) if facts}
    for row in filter(None, sums.split("\0")):
        digest, _, path = row.partition("  ")
        found[path.removeprefix("./")].append(digest)
    for block in attributes.strip().split("\n\n"):
        name, *lines = block.split("\n")
        path = name.removeprefix("# file: ").encode().decode("unicode_escape")
        found["" if path == "." else path].extend(sorted(lines))
    return {path: tuple(facts) for path, facts in found.items()}
