"""LUKS volumes opened inside the appliance (cryptsetup(8)).

A key goes into the appliance's memory through a file that has no name on the host, and is removed
there as soon as cryptsetup has read it: it stands in no argument list and on no disk.
"""

import os
import shlex

from vmdk2kvm.errors import GuestError, ToolMissing
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.appliance import Appliance, ShellResult
from vmdk2kvm.model.luks import LuksKey, Secret
from vmdk2kvm.model.units import MIB

_KEY = "/run/vmdk2kvm/key"
_TIMEOUT_S = 900.0  # argon2 is made to be slow, and emulation makes it slower
_WRONG_KEY = 2  # cryptsetup's exit statuses
_NO_MEMORY = 3
_NO_PROGRAM = 127


class LuksVolumes:
    """Opens volumes and remembers which keys did, and which did not."""

    def __init__(self, appliance: Appliance) -> None:
        self._appliance = appliance
        self._fitting: dict[str, LuksKey] = {}
        self._refused: dict[str, tuple[LuksKey, ...]] = {}

    def keys(self, device: str) -> tuple[LuksKey | None, tuple[LuksKey, ...]]:
        return self._fitting.get(device), self._refused.get(device, ())

    def open(self, inner: str, device: str, name: str, key: LuksKey) -> bool:
        """Open `inner`, called `device` outside, as /dev/mapper/NAME with the volume groups in it."""
        fits = _open(self._appliance, inner, device, name, key.secret)
        if fits:
            self._fitting[device] = key
        else:
            self._refused[device] = (*self.keys(device)[1], key)
        return fits

    def rename(self, inner: str, name: str) -> None:
        """Give an open volume ("/dev/dm-0") another name below /dev/mapper."""
        command = shlex.join(["dmsetup", "rename", inner, name])
        result = self._appliance.shell(f"{command} && udevadm settle")
        if result.status != 0:
            raise GuestError(
                f'the volume "{visible(inner)}" cannot be called "{visible(name)}": {_last_line(result)}',
                hint="look at the names in /etc/crypttab in the guest.",
            )


def read_device(appliance: Appliance, inner: str, offset: int, size_bytes: int) -> bytes:
    end = offset + size_bytes
    # a message of the appliance holds less than 4 MiB
    pieces = ((start, min(MIB, end - start)) for start in range(offset, end, MIB))
    return b"".join(_read_piece(appliance, inner, start, size) for start, size in pieces)


def _read_piece(appliance: Appliance, inner: str, start: int, size_bytes: int) -> bytes:
    """Not by libguestfs' own call: "/dev/sda" is the first disk to it, whatever the kernel calls that."""
    counted = f"bs=64K iflag=skip_bytes,count_bytes skip={start} count={size_bytes} status=none"
    read = appliance.shell(f"dd if={shlex.quote(inner)} {counted}")
    if read.status != 0:
        if "cannot skip" in read.text:  # behind the end
            return b""
        raise GuestError(
            f'"{visible(inner)}" in the appliance cannot be read: {visible(read.text.strip())}',
            hint="check the disk on the source machine; the log holds what happened before.",
        )
    return read.output


def _open(appliance: Appliance, device: str, shown: str, name: str, key: Secret) -> bool:
    _put(appliance, key)
    command = ["cryptsetup", "open", "--type", "luks", "--allow-discards", "--key-file", _KEY, device, name]
    # a locked RAID or volume group below could not be started; one inside becomes visible now
    script = f"""{shlex.join(command)}; status=$?; rm -f {_KEY}
[ $status = 0 ] || exit $status
udevadm settle; mdadm --assemble --scan --no-degraded >/dev/null 2>&1
lvm vgchange --activate y --sysinit >/dev/null 2>&1; udevadm settle"""
    result = appliance.shell(script, timeout_s=_TIMEOUT_S)
    if result.status == _WRONG_KEY:
        return False
    if result.status == _NO_PROGRAM:
        raise ToolMissing("cryptsetup")
    if result.status == _NO_MEMORY:
        raise GuestError(
            f'there is not enough memory to open the LUKS volume "{visible(shown)}".',
            hint="its header asks for more than this host gave the appliance; free memory, then run again.",
        )
    if result.status != 0 and not _is_open(appliance, name):
        raise GuestError(
            f'the LUKS volume "{visible(shown)}" cannot be opened: {_last_line(result)}',
            hint="open it on the source machine; its header or its cipher may need something special.",
        )
    return True


def _put(appliance: Appliance, key: Secret) -> None:
    nameless = os.memfd_create("key")
    try:
        os.write(nameless, key.reveal())
        appliance.shell("mkdir -p /run/vmdk2kvm")
        appliance.call("debug_upload", f"/proc/self/fd/{nameless}", _KEY, 0o600)
    finally:
        os.close(nameless)


def _is_open(appliance: Appliance, name: str) -> bool:
    return appliance.shell(f"[ -e {shlex.quote(f'/dev/mapper/{name}')} ]").status == 0


def _last_line(result: ShellResult) -> str:
    return visible(result.text.strip().rpartition("\n")[2])
