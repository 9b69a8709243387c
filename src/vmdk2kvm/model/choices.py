"""What an operator may choose between, where no other part of the model names it."""

from enum import Enum


class FstabMode(Enum):
    """Which device names in /etc/fstab become stable ones."""

    STABILIZE_ALL = "stabilize-all"
    BYPATH_ONLY = "bypath-only"  # only /dev/disk/by-path names
    NOOP = "noop"


class FlattenMode(Enum):
    VIEW = "view"  # the chain is read where it lies
    MATERIALIZE = "materialize"  # the flattened disk is also written as a file


class OnBootFailure(Enum):
    STOP = "stop"
    WARN = "warn"
