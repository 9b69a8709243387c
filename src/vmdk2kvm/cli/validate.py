"""`vmdk2kvm validate IMAGE…`: boot a finished image on a throwaway overlay and prove that it came up."""

from vmdk2kvm.cli import render
from vmdk2kvm.cli.local import show_report
from vmdk2kvm.config.settings import Settings


def run(settings: Settings) -> int:
    from vmdk2kvm.pipeline.migrate import validate

    with render.open_listener(settings) as listener:
        report = validate(settings, listener)
    return show_report(settings, report)
