"""INSPECT: what is in the guest, and what of it would break on KVM."""

from dataclasses import dataclass, replace

from vmdk2kvm.guest import inspection
from vmdk2kvm.guest.protocol import GuestSession
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.network import Nic
from vmdk2kvm.model.report import Finding
from vmdk2kvm.stages.forecast import forecast
from vmdk2kvm.stages.preflight import preflight


@dataclass(frozen=True, slots=True, kw_only=True)
class Inspected:
    os: GuestOs
    findings: tuple[Finding, ...]


def run(session: GuestSession, nics: tuple[Nic, ...] = ()) -> Inspected:
    """Mount the guest and describe it. Raises NoOperatingSystem, GuestRefused, GuestError."""
    os = inspection.inspect(session, nics)
    return Inspected(os=os, findings=tuple(preflight(session, os)))


def with_forecast(session: GuestSession, found: Inspected) -> Inspected:
    return replace(found, findings=(*found.findings, *forecast(session, found.os)))


def run_again(session: GuestSession, before: GuestOs) -> GuestOs:
    """The facts anew after changes to the guest, which is still mounted."""
    return inspection.inspect_again(session, before)
