"""What an operator may choose between, where no other part of the model names it."""

from dataclasses import dataclass
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


class CloudDatasource(Enum):
    """Where cloud-init can find its data on KVM, by its own names."""

    NONE = "None"  # nowhere: the machine stays as it is
    NO_CLOUD = "NoCloud"
    CONFIG_DRIVE = "ConfigDrive"
    OPEN_STACK = "OpenStack"
    CLOUD_STACK = "CloudStack"
    OPEN_NEBULA = "OpenNebula"
    EC2 = "Ec2"


@dataclass(frozen=True, slots=True, kw_only=True)
class PackageFile:
    """A file of the host with a package for the guest."""

    name: str
    content: bytes
