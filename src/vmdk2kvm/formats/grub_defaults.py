"""/etc/default/grub and /etc/default/grub.d/*.cfg: shell files that grub-mkconfig reads.

(GRUB manual, "Simple configuration handling".)
"""

from collections.abc import Iterator
from dataclasses import dataclass

from vmdk2kvm.formats import kernel_cmdline
from vmdk2kvm.formats.kernel_cmdline import Parameter
from vmdk2kvm.formats.shell_words import Assignment, assignments
from vmdk2kvm.formats.spans import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One assignment; `span` is where its value is written, None where quotes split it.

    `parameters` are the kernel arguments in a GRUB_CMDLINE_LINUX* value, () in any other.
    """

    name: str
    value: str
    span: Span | None
    parameters: tuple[Parameter, ...]


def settings(text: str) -> Iterator[Setting]:
    """All assignments in order. Raises GuestError where a quote is opened and never closed."""
    for assignment in assignments(text):
        holds_arguments = assignment.name.startswith("GRUB_CMDLINE_LINUX")
        yield Setting(
            name=assignment.name,
            value=assignment.value,
            span=assignment.locate(0, len(assignment.value)),
            parameters=tuple(_parameters(assignment)) if holds_arguments else (),
        )


def _parameters(assignment: Assignment) -> Iterator[Parameter]:
    for inner in kernel_cmdline.parameters(assignment.value):
        span = assignment.locate(*inner.span) if inner.span else None
        yield Parameter(name=inner.name, value=inner.value, span=span)
