"""`vmdk2kvm undo IMAGE…`: put a guest's files back as they were before the repair."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

from vmdk2kvm.cli import render
from vmdk2kvm.cli.render import finding_lines
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.formats.escapes import one_line

if TYPE_CHECKING:
    from vmdk2kvm.fixes.undo import Undone


def run(settings: Settings) -> int:
    from vmdk2kvm.pipeline.undo import undo

    with render.open_listener(settings) as listener:
        undone = undo(settings, listener)
    if settings.as_json:
        render.show_json(_fields(undone))
    else:
        render.show("".join(f"{line}\n" for line in _lines(undone)))
    return 0


def _fields(undone: "Undone") -> dict[str, object]:
    from vmdk2kvm.formats.plan_json import finding_fields

    return {
        "plans": list(undone.plans),
        "restored": list(undone.restored),
        "removed": list(undone.removed),
        "left": list(undone.left),
        "findings": [finding_fields(finding) for finding in undone.findings],
    }


def _lines(undone: "Undone") -> Iterator[str]:
    if not undone.plans:
        yield "nothing to undo: the guest holds no journal of a repair"
    for verb, paths in (("restored", undone.restored), ("removed", undone.removed)):
        yield from (f"{verb} {one_line(path)}" for path in paths)
    if undone.left:
        yield "written by programs of the repair, and left as they are:"
        yield from (f"  {one_line(path)}" for path in undone.left)
    for finding in undone.findings:
        yield from finding_lines(finding)
    if undone.plans:
        yield f"undone: {', '.join(one_line(plan) for plan in undone.plans)}"
