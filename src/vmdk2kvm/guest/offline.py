"""A guest that is switched off, its disks open in a libguestfs appliance (guestfs(3)).

The only importer of guestfs. The appliance is a virtual machine without a network; a hostile
guest reaches nothing but its own overlays.
"""

import logging
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from vmdk2kvm.errors import ToolFailed, ToolMissing
from vmdk2kvm.guest.appliance import Appliance
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.model.disk import Overlay
from vmdk2kvm.tools.accelerator import Accelerator

log = logging.getLogger(__name__)

# QEMU keeps its translation of a page of code per address. Programs at random addresses are translated
# anew at every start, which makes an initramfs of 1,500 short processes take twice as long.
FIXED_ADDRESSES = "norandmaps"
MEMORY_MIB = 2048  # a guest's initramfs is unpacked and packed in there


@contextmanager
def open_guest(
    overlays: Sequence[Overlay | Path],
    *,
    scratch: Path,
    accelerator: Accelerator,
    appliances: int = 1,
    memory_mib: int = MEMORY_MIB,
) -> Iterator[OfflineGuest]:
    """Launch one appliance over a guest's qcow2 overlays, in the order of its disks.

    `scratch` takes temporary files; `appliances` is how many run at the same time. The overlays
    are written; when the block ends without an error they are flushed and complete.
    Raises ToolMissing, ToolFailed.
    """
    started = time.monotonic()
    paths = [overlay.path if isinstance(overlay, Overlay) else overlay for overlay in overlays]
    cpus = _cpus(accelerator, appliances)
    appliance = Appliance(_launch(paths, scratch.resolve(), accelerator, cpus, memory_mib))
    log.debug("the appliance runs after %.1f s with %d vCPUs", time.monotonic() - started, cpus)
    try:
        yield OfflineGuest(appliance, disk_count=len(paths), scratch=scratch)
    except BaseException:
        appliance.abandon()
        raise
    appliance.close()


def _cpus(accelerator: Accelerator, appliances: int) -> int:
    """Emulated vCPUs wait for each other: an initramfs takes as long with two as with one."""
    return 1 if accelerator is Accelerator.TCG else max(1, (os.cpu_count() or 1) // appliances)


def _launch(
    overlays: Sequence[Path], scratch: Path, accelerator: Accelerator, cpus: int, memory_mib: int
) -> Any:
    try:
        import guestfs
    except ImportError as error:
        raise ToolMissing("libguestfs") from error
    handle = guestfs.GuestFS(python_return_dict=True)
    try:
        _configure(handle, scratch, accelerator, cpus, memory_mib)
        for overlay in overlays:
            # A killed run starts again from a new overlay, so nothing is lost without a host cache flush.
            handle.add_drive(str(overlay), format="qcow2", discard="besteffort", cachemode="unsafe")
        handle.launch()
    except RuntimeError as error:
        handle.close()
        log.debug("libguestfs: %s", error)
        raise ToolFailed(
            ("libguestfs",),
            1,
            f"its appliance does not start: {str(error).partition(chr(10))[0]}",
            hint="run `libguestfs-test-tool`; it says what is missing.",
        ) from error
    return handle


def _configure(handle: Any, scratch: Path, accelerator: Accelerator, cpus: int, memory_mib: int) -> None:
    handle.set_backend("direct")
    if accelerator is Accelerator.TCG:
        handle.set_backend_setting("force_tcg", "1")
        handle.set_append(" ".join(filter(None, (handle.get_append(), FIXED_ADDRESSES))))
    else:
        handle.clear_backend_setting("force_tcg")
    handle.set_network(False)
    handle.set_tmpdir(str(scratch))
    handle.set_smp(cpus)
    handle.set_memsize(memory_mib)
