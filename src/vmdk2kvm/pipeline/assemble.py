"""The one place that chooses adapters: stages know protocols only."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path

from vmdk2kvm.errors import NoOperatingSystem
from vmdk2kvm.guest.offline import MEMORY_MIB, open_guest
from vmdk2kvm.guest.protocol import GuestSession
from vmdk2kvm.guest.unlock import MoreMemoryNeeded, unlock
from vmdk2kvm.pipeline.context import Context
from vmdk2kvm.stages import inspect
from vmdk2kvm.stages.inspect import Inspected
from vmdk2kvm.tools.accelerator import Accelerator, probe


def accelerator(run: Context) -> Accelerator:
    """KVM where a vCPU really starts, else emulation; said once a run."""
    found = probe()
    if found is Accelerator.TCG:
        run.note("KVM cannot start a vCPU on this host; software emulation is used, which is slower.")
    return found


def look_into(run: Context, session: GuestSession) -> Inspected:
    """INSPECT, with the operator's own name for disks that hold no system. Raises GuestError."""
    try:
        return inspect.run(session, run.nics)
    except NoOperatingSystem as error:
        disks = ", ".join(f'"{path.name}"' for path in (run.settings.vmdk or run.settings.image))
        raise NoOperatingSystem(f"{disks}: {error.message}", hint=error.hint) from error


@contextmanager
def opened(run: Context, overlays: Sequence[Path]) -> Iterator[GuestSession]:
    """All disks of one guest in one appliance, its encrypted volumes open as far as keys were given."""
    with ExitStack() as stack:
        yield _unlocked(run, overlays, stack, MEMORY_MIB)


def _unlocked(run: Context, overlays: Sequence[Path], stack: ExitStack, memory_mib: int) -> GuestSession:
    opening = open_guest(
        overlays, scratch=run.folder.tmp, accelerator=accelerator(run), memory_mib=memory_mib
    )
    session = stack.enter_context(opening)
    try:
        unused = unlock(session, run.luks_keys, memory_mib=memory_mib)
    except MoreMemoryNeeded as needed:
        # only a header says how much; few ask for more than every appliance has
        stack.close()
        run.note(f"the appliance is started anew with {needed.memory_mib} MiB, as a LUKS header asks for.")
        return _unlocked(run, overlays, stack, needed.memory_mib)
    for setting in unused:
        run.note(f"{setting} gives a key, and no LUKS volume here is meant by it.")
    return session
