"""A file of an offline guest as a stream that reads piece by piece."""

import io
from typing import TYPE_CHECKING

from vmdk2kvm.guest.appliance import Appliance
from vmdk2kvm.model.units import MIB

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

PIECE_BYTES = 2 * MIB  # a reply of the appliance holds less than 4 MiB


class FileStream(io.RawIOBase):
    """`path` has no symbolic links left; a file that shrinks meanwhile ends early."""

    def __init__(self, appliance: Appliance, path: str, size_bytes: int) -> None:
        self._appliance = appliance
        self._path = path
        self._size_bytes = size_bytes
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size_bytes}[whence]
        self._position = max(0, start + offset)
        return self._position

    def readinto(self, buffer: "WriteableBuffer") -> int:
        target = memoryview(buffer).cast("B")
        wanted = min(len(target), PIECE_BYTES, max(0, self._size_bytes - self._position))
        if wanted == 0:
            return 0
        piece: bytes = self._appliance.call("pread", self._path, wanted, self._position, path=self._path)
        target[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
