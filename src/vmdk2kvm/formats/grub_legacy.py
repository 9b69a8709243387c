"""menu.lst and grub.conf of GRUB legacy (GRUB 0.97 manual, "Commands").

Only what the kernel is given. GRUB's own names (`root (hd0,0)`) belong to other commands and never
appear here. Debian's update-grub keeps its settings in comments of the file (`# kopt=root=…`).
"""

import re
from collections.abc import Iterator

from vmdk2kvm.formats.kernel_cmdline import Arguments, Parameter, has_initrd, parameters

_LINE = re.compile(
    r"^[ \t]*(?:(?P<command>title|kernel|initrd|module)[ \t=]+|#[ \t]*(?P<setting>(?:xen)?kopt\w*)=)"
    r"(?P<rest>[^\\\n]*(?:\\.[^\\\n]*)*)",
    re.MULTILINE | re.DOTALL,
)


def arguments(text: str) -> Iterator[Arguments]:
    """One for each kernel, in order, and one for each of Debian's settings."""
    waiting: list[tuple[Parameter, ...]] = []  # of one title, whose initrd may still follow
    for line in _LINE.finditer(text):
        given = tuple(parameters(text, line.start("rest"), line.end("rest")))
        command = line["command"]
        if command == "title":
            yield from _kernels(waiting, loads_initrd=False)
            waiting = []
        elif command is None:
            yield Arguments(parameters=given)
        elif command == "initrd" or (command == "module" and len(given) == 1):
            yield from _kernels(waiting, loads_initrd=True)
            waiting = []
        else:
            waiting.append(_without_image(given))
    yield from _kernels(waiting, loads_initrd=False)


def _kernels(waiting: list[tuple[Parameter, ...]], *, loads_initrd: bool) -> Iterator[Arguments]:
    for given in waiting:
        yield Arguments(parameters=given, has_initrd=loads_initrd or has_initrd(given))


def _without_image(given: tuple[Parameter, ...]) -> tuple[Parameter, ...]:
    """All after the command's own options ("--type=linux") and the kernel's file."""
    rest = list(given)
    while rest and rest[0].name.startswith("--"):
        rest.pop(0)
    return tuple(rest[1:])
