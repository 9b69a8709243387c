"""Shell files whose settings the generators of boot loader configurations read.

/etc/default/grub and its drop-ins (GRUB manual, "Simple configuration handling"), SUSE's
/etc/sysconfig/bootloader, Alpine's update-extlinux.conf, Debian's defaults of extlinux and u-boot-menu.
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vmdk2kvm.formats import kernel_cmdline
from vmdk2kvm.formats.kernel_cmdline import Arguments, Parameter
from vmdk2kvm.formats.shell_words import Assignment, assignments
from vmdk2kvm.formats.spans import Span

_GRUB_ARGUMENTS = "GRUB_CMDLINE_LINUX"
_ARGUMENTS = frozenset(
    {
        *("DEFAULT_APPEND", "FAILSAFE_APPEND", "XEN_KERNEL_APPEND"),
        *("default_kernel_opts", "EXTLINUX_PARAMETERS", "EXTLINUX_ROOT"),
        *("U_BOOT_PARAMETERS", "U_BOOT_ROOT"),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One assignment; `span` is where its value is written, None where quotes split it.

    `parameters` are the kernel arguments in the value of a setting made for them, () in any other.
    """

    name: str
    value: str
    span: Span | None
    parameters: tuple[Parameter, ...]


def settings(text: str) -> Iterator[Setting]:
    """All assignments in order. Raises GuestError where a quote is opened and never closed."""
    for assignment in assignments(text):
        holds_arguments = assignment.name.startswith(_GRUB_ARGUMENTS) or assignment.name in _ARGUMENTS
        yield Setting(
            name=assignment.name,
            value=assignment.value,
            span=assignment.locate(0, len(assignment.value)),
            parameters=tuple(_parameters(assignment)) if holds_arguments else (),
        )


def arguments(text: str) -> Iterator[Arguments]:
    """Raises like `settings`."""
    return (Arguments(parameters=each.parameters) for each in settings(text) if each.parameters)


def _parameters(assignment: Assignment) -> Iterator[Parameter]:
    for inner in kernel_cmdline.parameters(assignment.value):
        span = assignment.locate(*inner.span) if inner.span else None
        yield Parameter(name=inner.name, value=inner.value, span=span)
