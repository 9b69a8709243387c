"""grub.cfg: the commands of GRUB 2 that start a kernel (GRUB manual, "linux", "initrd", "module").

Only the kernel's arguments are shown. GRUB's own variables (`set root=`) and `search` are other
commands and never appear here.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from vmdk2kvm.formats import kernel_cmdline
from vmdk2kvm.formats.grubenv import ARGUMENT_VARIABLES
from vmdk2kvm.formats.kernel_cmdline import Arguments, Parameter
from vmdk2kvm.formats.shell_words import GRUB, Word, commands

_LINUX = frozenset({"linux", "linux16", "linuxefi"})
_INITRD = frozenset({"initrd", "initrd16", "initrdefi"})
_MODULE = frozenset({"module", "module2", "xen_module"})  # how multiboot and Xen load kernel and initramfs
_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_KEYWORDS = frozenset({"if", "elif", "then", "else", "while", "until", "do", "!"})


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelCommand:
    """One command that starts a kernel."""

    image: str
    parameters: tuple[Parameter, ...]
    has_initrd: bool


def kernel_commands(text: str) -> Iterator[KernelCommand]:
    """Raises GuestError where a quote is opened and never closed."""
    return _kernels(map(_without_keywords, commands(text, GRUB)))


def _kernels(found: Iterable[tuple[Word, ...]]) -> Iterator[KernelCommand]:
    waiting: tuple[Word, ...] | None = None  # a kernel whose initrd may still follow
    for words in found:
        ends_scope = words[:1] and words[0].value == "}"
        if waiting and (ends_scope or _starts_kernel(words)):
            yield _kernel(waiting, has_initrd=False)
            waiting = None
        if _starts_kernel(words):
            waiting = words
        elif waiting and _loads_initrd(words):
            yield _kernel(waiting, has_initrd=True)
            waiting = None
    if waiting:
        yield _kernel(waiting, has_initrd=False)


def arguments(text: str) -> Iterator[Arguments]:
    """Of every kernel, and of the variables that menus hand to kernels. Raises like `kernel_commands`.

    Photon writes `root=$rootpartition`; whether such a menu loads an initramfs only GRUB knows.
    """
    found = [_without_keywords(command) for command in commands(text, GRUB)]
    named: dict[str, str] = {}  # the parameter each variable is the value of
    for kernel in _kernels(found):
        yield Arguments(parameters=kernel.parameters, has_initrd=kernel.has_initrd)
        named |= dict(_variables(kernel.parameters))
    for words in found:
        if len(words) == 2 and words[0].value == "set":
            name, _, value = words[1].value.partition("=")
            if name in ARGUMENT_VARIABLES:
                yield Arguments(parameters=tuple(_in_word(words[1], value)))
            elif name in named:
                span = words[1].locate(len(name) + 1, len(name) + 1 + len(value))
                parameter = Parameter(name=named[name], value=value, span=span)
                yield Arguments(parameters=(parameter,), has_initrd=False)


def _variables(parameters: Iterable[Parameter]) -> Iterator[tuple[str, str]]:
    for each in parameters:
        if found := _VARIABLE.fullmatch(each.value or ""):
            yield found[1], each.name


def _in_word(word: Word, value: str) -> Iterator[Parameter]:
    """The parameters in `value`, the end of what a word says."""
    for inner in kernel_cmdline.parameters(word.value, len(word.value) - len(value)):
        span = word.locate(*inner.span) if inner.span else None
        yield Parameter(name=inner.name, value=inner.value, span=span)


def _without_keywords(command: tuple[Word, ...]) -> tuple[Word, ...]:
    while command and command[0].value in _KEYWORDS:
        command = command[1:]
    return command


def _starts_kernel(words: tuple[Word, ...]) -> bool:
    """`linux IMAGE …`, or a module that is given arguments, which an initramfs never is."""
    name = words[0].value if words else ""
    return name in _LINUX or (name in _MODULE and len(_operands(words)) > 1)


def _loads_initrd(words: tuple[Word, ...]) -> bool:
    name = words[0].value if words else ""
    return name in _INITRD or (name in _MODULE and len(_operands(words)) == 1)


def _operands(words: tuple[Word, ...]) -> tuple[Word, ...]:
    """The image and its arguments: all after the command's own options ("--nounzip")."""
    rest = words[1:]
    while rest and rest[0].value.startswith("--"):
        rest = rest[1:]
    return rest


def _kernel(words: tuple[Word, ...], *, has_initrd: bool) -> KernelCommand:
    image, *arguments = _operands(words) or words[:1]
    parameters = tuple(_parameter(word) for word in arguments)
    return KernelCommand(
        image=image.value,
        parameters=parameters,
        has_initrd=has_initrd or kernel_cmdline.has_initrd(parameters),
    )


def _parameter(word: Word) -> Parameter:
    """GRUB hands each word to the kernel as one parameter."""
    inner = kernel_cmdline.parameter(word.value, 0, len(word.value))
    span = word.locate(*inner.span) if inner.span else None
    return Parameter(name=inner.name, value=inner.value, span=span)
