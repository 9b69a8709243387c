"""FETCH: find every file the source disks are made of."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.errors import UsageError
from vmdk2kvm.model.disk import SourceChain
from vmdk2kvm.source import local


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """The disks of one VM, in the order given."""

    chains: tuple[SourceChain, ...]


def run(vmdks: Sequence[Path], *, allow_external_extents: bool) -> Fetched:
    """Read the descriptors of all disks and locate their extents and parents.

    Raises UsageError (one disk given twice), InputNotFound, DescriptorError, ExtentError, ChainError.
    """
    _refuse_repeated(vmdks)
    return Fetched(
        chains=tuple(
            local.read_chain(vmdk, index=index, allow_external_extents=allow_external_extents)
            for index, vmdk in enumerate(vmdks)
        )
    )


def _refuse_repeated(vmdks: Sequence[Path]) -> None:
    seen: set[str] = set()
    for vmdk in vmdks:
        real = os.path.realpath(vmdk)
        if real in seen:
            raise UsageError(f'the disk "{vmdk}" is given twice.', hint="give each disk of the VM once.")
        seen.add(real)
