"""The settings by which the tools for initramfs images are told what to put in.

initramfs-tools(7), dracut.conf(5), mkinitcpio.conf(5), mkinitfs.conf, SUSE's /etc/sysconfig/kernel.
Each edit changes one line or adds its own, and done twice it changes nothing more.
"""

import re
from collections.abc import Iterable, Sequence

from vmdk2kvm.formats.kernel_modules import normalised

OUR_COMMENT = "# drivers of KVM's disks and network"

_OMITTED = re.compile(r"""^([ \t]*omit_drivers\+?=)(["']?)([^"'\n#;]*)\2""", re.MULTILINE)
_INITRD_MODULES = re.compile(r'^(INITRD_MODULES=")([^"\n]*)(")', re.MULTILINE)
_PRESET_VALUE = re.compile(
    r"""^[ \t]*(\w+)_(config|image)=(?:"([^"\n]*)"|'([^'\n]*)'|([^\s"'#;]*))""", re.MULTILINE
)


def with_listed(text: str, names: Sequence[str]) -> str:
    """A list of modules, one and its parameters a line, that names all of `names`."""
    listed = {normalised(line.split()[0]) for line in text.split("\n") if line.split()}
    missing = [name for name in names if name not in listed]
    return _behind(text, [OUR_COMMENT, *missing]) if missing else text


def with_own_line(text: str, line: str) -> str:
    """A file the shell reads, with `line` below our comment; an older line of ours gives way."""
    lines = text.split("\n")
    if OUR_COMMENT not in lines:
        return _behind(text, [OUR_COMMENT, line])
    below = lines.index(OUR_COMMENT) + 1
    return "\n".join([*lines[:below], line, *lines[below + 1 :]]) + ("" if lines[below:] else "\n")


def without_omitted(text: str, names: Iterable[str]) -> str:
    """dracut's configuration, in which omit_drivers does not name any of `names`."""
    unwanted = frozenset(names)

    def kept(match: re.Match[str]) -> str:
        words = match[3].split()
        left = [word for word in words if normalised(word) not in unwanted]
        if left == words:
            return match[0]
        return f"{match[1]}{match[2] or chr(34)} {' '.join(left)} {match[2] or chr(34)}"

    return _OMITTED.sub(kept, text)


def with_initrd_modules(text: str, names: Sequence[str]) -> str:
    """SUSE's /etc/sysconfig/kernel, in which INITRD_MODULES names all of `names`; the last one counts."""
    found = list(_INITRD_MODULES.finditer(text))
    if not found:
        return _behind(text, [f'INITRD_MODULES="{" ".join(names)}"'])
    last = found[-1]
    words = last[2].split()
    missing = [name for name in names if name not in map(normalised, words)]
    if not missing:
        return text
    value = " ".join([*words, *missing])
    return text[: last.start()] + f"{last[1]}{value}{last[3]}" + text[last.end() :]


def config_of_image(preset: str, image: str) -> str | None:
    """The configuration a preset of mkinitcpio builds `image` with; None where it does not say.

    Raises KeyError where the preset is not of that image.
    """
    values = {
        (match[1], match[2]): match[3] or match[4] or match[5] for match in _PRESET_VALUE.finditer(preset)
    }
    name = next((name for (name, what), value in values.items() if what == "image" and value == image), None)
    if name is None:
        raise KeyError(image)
    return values.get((name, "config")) or values.get(("ALL", "config"))


def _behind(text: str, lines: Sequence[str]) -> str:
    joint = "" if not text or text.endswith("\n") else "\n"
    return text + joint + "".join(f"{line}\n" for line in lines)
