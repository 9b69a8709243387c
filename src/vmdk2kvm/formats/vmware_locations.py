"""/etc/vmware-tools/locations: what the tarball of VMware Tools installed, and what its installer was told.

Lines are added only: "answer KEY VALUE" holds until "remove_answer KEY" or another answer, "file PATH
[TIME]" until "remove_file PATH".
"""

_RAMDISK = "RESTORE_RAMDISK_"  # …_CMD, _KERNELS, _ONECALL: the images the uninstaller would build anew


def answers(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in text.split("\n"):
        verb, _, rest = line.removesuffix("\r").partition(" ")
        key, _, value = rest.partition(" ")
        if verb == "answer" and key:
            found[key] = value
        elif verb == "remove_answer":
            found.pop(rest, None)
    return found


def files(text: str) -> tuple[str, ...]:
    """In the order they were installed."""
    found: dict[str, None] = {}
    for line in text.split("\n"):
        verb, _, rest = line.removesuffix("\r").partition(" ")
        path = rest.rpartition(" ")[0] if rest.rpartition(" ")[2].isdigit() else rest
        if verb == "file" and path.startswith("/"):
            found[path] = None
        elif verb == "remove_file":
            found.pop(rest, None)
    return tuple(found)


def without_ramdisk_restore(text: str) -> str:
    """The uninstaller then leaves initramfs images alone."""
    told = [key for key in answers(text) if key.startswith(_RAMDISK)]
    if not told:
        return text
    gap = "" if text.endswith("\n") or not text else "\n"
    return text + gap + "".join(f"remove_answer {key}\n" for key in told)
