"""INSPECT: what is in the guest, and what of it would break on KVM."""

from dataclasses import dataclass

from vmdk2kvm.guest import inspection
from vmdk2kvm.guest.protocol import GuestSession
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.report import Finding
from vmdk2kvm.stages.forecast import forecast


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    os: GuestOs
    findings: tuple[Finding, ...]


def run(session: GuestSession) -> GuestOs:
    """Mount the guest and describe it. Raises NoOperatingSystem, GuestRefused, GuestError."""
    return inspection.inspect(session)


def with_forecast(session: GuestSession, os: GuestOs) -> Inspected:
    return Inspected(os=os, findings=tuple(forecast(session, os)))


def run_again(session: GuestSession, before: GuestOs) -> GuestOs:
    """The facts anew after changes to the guest, which is still mounted."""
    return inspection.inspect_again(session, before)
