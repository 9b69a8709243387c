"""The one place that chooses adapters: stages know protocols only."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from vmdk2kvm.errors import NoOperatingSystem
from vmdk2kvm.guest.offline import open_guest
from vmdk2kvm.guest.protocol import GuestSession
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.pipeline.context import Context
from vmdk2kvm.stages import inspect
from vmdk2kvm.tools.accelerator import Accelerator, probe


def accelerator(run: Context) -> Accelerator:
    """KVM where a vCPU really starts, else emulation; said once a run."""
    found = probe()
    if found is Accelerator.TCG:
        run.note("KVM cannot start a vCPU on this host; software emulation is used, which is slower.")
    return found


def look_into(run: Context, session: GuestSession) -> GuestOs:
    """INSPECT, with the operator's own name for disks that hold no system. Raises GuestError."""
    try:
        return inspect.run(session)
    except NoOperatingSystem as error:
        disks = ", ".join(f'"{path.name}"' for path in (run.settings.vmdk or run.settings.image))
        raise NoOperatingSystem(f"{disks}: {error.message}", hint=error.hint) from error


@contextmanager
def opened(run: Context, overlays: Sequence[Path]) -> Iterator[GuestSession]:
    """All disks of one guest in one appliance."""
    with open_guest(overlays, scratch=run.folder.tmp, accelerator=accelerator(run)) as session:
        yield session
