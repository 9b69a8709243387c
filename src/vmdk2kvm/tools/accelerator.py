"""Whether this host can run a virtual CPU in hardware.

/dev/kvm may exist and be writable and still not work (nested without support, filtered ioctls):
QEMU then aborts when the first vCPU starts, or only when the CPU is the host's own model, the one
every guest of ours gets. So such a vCPU is started, with a firmware of three instructions that
write to QEMU's debug-exit port, and its exit status is the answer.
"""

import functools
import logging
import os
from enum import Enum
from pathlib import Path

from vmdk2kvm.tools.run import run

log = logging.getLogger(__name__)

DEVICE = Path("/dev/kvm")
TIMEOUT_S = 5.0

# At the reset vector F000:FFF0: mov al,0x10; out 0xf4,al; hlt. QEMU then ends with (value << 1) | 1.
_CODE = bytes.fromhex("b010 e6f4 f4")
_FIRMWARE = _CODE.rjust(0xFFF0 + len(_CODE), b"\xf4").ljust(0x10000, b"\xf4")
_PROOF = 0x10 << 1 | 1


class Accelerator(Enum):
    KVM = "kvm"
    TCG = "tcg"  # software emulation, about ten times slower

    @property
    def cpu(self) -> str:
        """QEMU's `-cpu`: all that the host, or the emulator, can do."""
        return "host" if self is Accelerator.KVM else "max"


@functools.cache
def probe() -> Accelerator:
    """KVM where a vCPU really starts, else emulation; asked once per process. Raises ToolMissing."""
    if not os.access(DEVICE, os.R_OK | os.W_OK):
        log.info("%s cannot be used; guests run in software emulation", DEVICE)
        return Accelerator.TCG
    if _runs_a_vcpu(Accelerator.KVM):
        return Accelerator.KVM
    log.info("%s is there but a virtual CPU does not start; guests run in software emulation", DEVICE)
    return Accelerator.TCG


def _runs_a_vcpu(accelerator: Accelerator) -> bool:
    with os.fdopen(os.memfd_create("firmware"), "wb") as firmware:  # nothing is left, however we end
        firmware.write(_FIRMWARE)
        firmware.flush()
        path = f"/proc/{os.getpid()}/fd/{firmware.fileno()}"
        argv = (
            "qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none", "-m", "1",
            "-machine", "pc", "-accel", accelerator.value, "-cpu", accelerator.cpu, "-bios", path,
            "-device", "isa-debug-exit,iobase=0xf4,iosize=1",
        )  # fmt: skip
        try:
            return run(argv, timeout_s=TIMEOUT_S, check=False).status == _PROOF
        except TimeoutError:
            return False
