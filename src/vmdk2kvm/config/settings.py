"""The one table of settings: YAML keys, flags, environment, help, JSON Schema.

A setting's YAML key is its flag with `_` for `-`, and its variable is `VMDK2KVM_` and the key in
upper case. Nothing else in the product says what may be configured.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from typing import Annotated, Any, get_args

from pydantic import BaseModel, ConfigDict, Field, StrictBool
from pydantic.fields import FieldInfo

from vmdk2kvm.config.values import (
    AnyPath,
    Cards,
    Count,
    LuksKeyList,
    Names,
    Paths,
    Seconds,
    Stages,
    Text,
    VariableName,
)
from vmdk2kvm.model.choices import CloudDatasource, FlattenMode, FstabMode, OnBootFailure
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.model.report import BootBus, StageName

ENV_PREFIX = "VMDK2KVM_"


class Command(Enum):
    LOCAL = "local"
    INSPECT = "inspect"
    PLAN = "plan"
    VALIDATE = "validate"
    UNDO = "undo"
    DOCTOR = "doctor"


class Group(Enum):
    """The headings of `--help`."""

    SOURCE = "source"
    OUTPUT = "output"
    REPAIRS = "repairs"
    BOOT_TEST = "boot test"
    RUN = "run"


_ALL = frozenset(Command)
_MIGRATE = frozenset({Command.LOCAL, Command.PLAN})
_READ_SOURCE = _MIGRATE | {Command.INSPECT}
_TEST_BOOT = frozenset({Command.LOCAL, Command.PLAN, Command.VALIDATE})
_OPENS_GUEST = _READ_SOURCE | {Command.VALIDATE, Command.UNDO}
_WITH_IMAGES = frozenset({Command.INSPECT, Command.VALIDATE, Command.UNDO})


@dataclass(frozen=True, slots=True, kw_only=True)
class Flag:
    """How a setting looks on the command line.

    `commands` accept the flag. A relative path is `anchored` in the folder of the file that holds
    it (in the current directory for a flag or a variable), unless it is meant relative to something
    else. `positional` settings have no flag. `separator` stands between the items of a variable.
    A wrong value of a `secret` setting may be a passphrase put in the wrong place: it is never shown.
    """

    group: Group
    commands: frozenset[Command]
    metavar: str | None = None
    short: str | None = None
    anchored: bool = True
    positional: bool = False
    separator: str = os.pathsep  # of the items in a variable
    secret: bool = False


class Settings(BaseModel):
    """What one run is to do. Paths are absolute, except `to_output`, which lies under the VM's folder."""

    model_config = ConfigDict(frozen=True, extra="forbid", populate_by_name=True, defer_build=True)

    cmd: Annotated[Command | None, Flag(group=Group.RUN, commands=frozenset(), positional=True)] = Field(
        None, description="the command to run, for a file that is to be run as it stands"
    )

    vmdk: Annotated[Paths, Flag(group=Group.SOURCE, commands=_READ_SOURCE, metavar="FILE")] = Field(
        (), description="a disk of the VM; repeat it for each disk, the boot disk first"
    )
    image: Annotated[
        Paths, Flag(group=Group.SOURCE, commands=_WITH_IMAGES, metavar="IMAGE", positional=True)
    ] = Field((), description="a finished disk image (qcow2, raw or vdi); all disks of one machine")
    vm_name: Annotated[Text | None, Flag(group=Group.SOURCE, commands=_TEST_BOOT, metavar="NAME")] = Field(
        None, description="the VM's name; without it, the name of its first disk"
    )
    allow_external_extents: Annotated[StrictBool, Flag(group=Group.SOURCE, commands=_READ_SOURCE)] = Field(
        False, description="let a disk name extents and parents outside its own folder"
    )
    nics: Annotated[
        Cards,
        Flag(
            group=Group.SOURCE,
            commands=_READ_SOURCE | {Command.VALIDATE},
            metavar="MAC[,name=NAME]",
            separator=";",
        ),
    ] = Field(
        (),
        description="a network card of the VM, by the MAC that it keeps on KVM: the guest's interface stays"
        " tied to it, and the boot test has the same cards; repeat it for each card, in VMware's order",
    )
    luks_passphrase_env: Annotated[
        VariableName | None, Flag(group=Group.SOURCE, commands=_OPENS_GUEST, metavar="NAME", secret=True)
    ] = Field(
        None, description="the environment variable that holds the passphrase of encrypted volumes (LUKS)"
    )
    luks_keyfile: Annotated[
        AnyPath | None, Flag(group=Group.SOURCE, commands=_OPENS_GUEST, metavar="FILE")
    ] = Field(None, description="a key file of encrypted volumes; without its last newline, if so it fits")
    luks_keys: Annotated[
        LuksKeyList,
        Flag(
            group=Group.SOURCE,
            commands=_OPENS_GUEST,
            metavar="VOLUME,env=NAME|VOLUME,file=FILE",
            separator=";",
            secret=True,
        ),
    ] = Field(
        (),
        description="the key of one encrypted volume, which is tried there instead of the others;"
        " repeat it for each volume",
    )
    flatten: Annotated[FlattenMode, Flag(group=Group.SOURCE, commands=_MIGRATE)] = Field(
        FlattenMode.VIEW,
        description="read the snapshot chain where it lies (view), or also write the flattened disk to a file"
        " (materialize)",
    )

    output_dir: Annotated[AnyPath, Flag(group=Group.OUTPUT, commands=_ALL, metavar="DIR")] = Field(
        Path("out"), description="where each VM gets a folder of its own"
    )
    to_output: Annotated[
        Paths, Flag(group=Group.OUTPUT, commands=_MIGRATE, metavar="FILE", anchored=False)
    ] = Field((), description="name of the result, under the VM's folder unless absolute; one for each disk")
    out_format: Annotated[OutputFormat, Flag(group=Group.OUTPUT, commands=_MIGRATE)] = Field(
        OutputFormat.QCOW2, description="format of the result"
    )
    compress: Annotated[StrictBool, Flag(group=Group.OUTPUT, commands=_MIGRATE)] = Field(
        False, description="compress the result (qcow2 only)"
    )
    checksum: Annotated[StrictBool, Flag(group=Group.OUTPUT, commands=_MIGRATE)] = Field(
        False, description="write SHA256SUMS, and the sums into the report"
    )
    report: Annotated[AnyPath | None, Flag(group=Group.OUTPUT, commands=_TEST_BOOT, metavar="FILE")] = Field(
        None, description="write the report here too: Markdown if the name ends in .md, else JSON"
    )

    fstab_mode: Annotated[FstabMode, Flag(group=Group.REPAIRS, commands=_READ_SOURCE)] = Field(
        FstabMode.STABILIZE_ALL,
        description="which device names in fstab become stable ones: all, by-path ones, or none",
    )
    no_grub: Annotated[StrictBool, Flag(group=Group.REPAIRS, commands=_READ_SOURCE)] = Field(
        False, description="leave the boot loader's configuration alone"
    )
    no_regen_initramfs: Annotated[StrictBool, Flag(group=Group.REPAIRS, commands=_READ_SOURCE)] = Field(
        False, description="do not rebuild initramfs images"
    )
    remove_vmware_tools: Annotated[StrictBool, Flag(group=Group.REPAIRS, commands=_READ_SOURCE)] = Field(
        False, description="remove VMware's tools from the guest, and what they left in its settings"
    )
    install_guest_agent: Annotated[StrictBool, Flag(group=Group.REPAIRS, commands=_MIGRATE)] = Field(
        False,
        description="install the QEMU guest agent: from package files, else at the first start with network",
    )
    guest_agent_package: Annotated[Paths, Flag(group=Group.REPAIRS, commands=_MIGRATE, metavar="FILE")] = (
        Field((), description="a package file with the guest agent; repeat it for each package it needs")
    )
    cloud_init_datasource: Annotated[
        CloudDatasource | None, Flag(group=Group.REPAIRS, commands=_READ_SOURCE)
    ] = Field(
        None,
        description="where cloud-init is to look for its data on KVM; None keeps the machine as it is",
    )
    skip_fix: Annotated[Names, Flag(group=Group.REPAIRS, commands=_READ_SOURCE, metavar="NAME")] = Field(
        (), description="leave out one fix; repeat it for more"
    )
    no_backup: Annotated[StrictBool, Flag(group=Group.REPAIRS, commands=_MIGRATE)] = Field(
        False, description="keep no copies of changed files inside the guest"
    )
    trim: Annotated[StrictBool, Flag(group=Group.REPAIRS, commands=_MIGRATE)] = Field(
        False, description="drop deleted blocks before the copy"
    )
    print_fstab: Annotated[StrictBool, Flag(group=Group.REPAIRS, commands=_MIGRATE)] = Field(
        False, description="print the guest's fstab as it will be, and change nothing"
    )

    qemu_test: Annotated[StrictBool, Flag(group=Group.BOOT_TEST, commands=_MIGRATE)] = Field(
        False, description="boot a throwaway overlay of the result and prove that it came up"
    )
    boot_bus: Annotated[BootBus | None, Flag(group=Group.BOOT_TEST, commands=_TEST_BOOT)] = Field(
        None,
        description="the disk controller of the boot test; without it virtio-blk, or sata for a guest without"
        " virtio",
    )
    uefi: Annotated[StrictBool, Flag(group=Group.BOOT_TEST, commands=_TEST_BOOT)] = Field(
        False, description="boot by UEFI, whatever the disk looks like"
    )
    timeout: Annotated[Seconds | None, Flag(group=Group.BOOT_TEST, commands=_TEST_BOOT, metavar="S")] = Field(
        None, description="seconds the boot may take; the default depends on the accelerator"
    )
    on_boot_failure: Annotated[OnBootFailure, Flag(group=Group.BOOT_TEST, commands=_MIGRATE)] = Field(
        OnBootFailure.STOP, description="fail the run when the boot test fails, or only warn"
    )

    stages: Annotated[Stages, Flag(group=Group.RUN, commands=_MIGRATE)] = Field(
        tuple(StageName),
        min_length=1,
        description="the stages to run; repeat it for each; validate needs qemu_test",
    )
    dry_run: Annotated[StrictBool, Flag(group=Group.RUN, commands=_MIGRATE)] = Field(
        False, description="show the exact changes and make none; the same as the command plan"
    )
    force: Annotated[StrictBool, Flag(group=Group.RUN, commands=_MIGRATE)] = Field(
        False, description="do a finished VM again"
    )
    workers: Annotated[Count, Flag(group=Group.RUN, commands=_MIGRATE, metavar="N")] = Field(
        2, description="how many disks are converted side by side"
    )
    verbose: Annotated[StrictBool, Flag(group=Group.RUN, commands=_ALL, short="-v")] = Field(
        False, description="show the log while the run goes on"
    )
    as_json: Annotated[StrictBool, Flag(group=Group.RUN, commands=_ALL)] = Field(
        False, alias="json", description="JSON on stdout for the result, JSON lines on stderr for progress"
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One row of the table, read off the model."""

    key: str
    flag: Flag
    help: str
    default: Any
    kind: type  # bool, int, str, Path, an Enum or a model
    many: bool

    @property
    def option(self) -> str:
        return "--" + self.key.replace("_", "-")

    @property
    def variable(self) -> str:
        return ENV_PREFIX + self.key.upper()

    @property
    def inner(self) -> dict[str, str]:
        """The keys of a setting that is a mapping, and what each is."""
        fields = self.kind.model_fields if issubclass(self.kind, BaseModel) else {}
        return {name: field.description or "" for name, field in fields.items()}

    @property
    def choices(self) -> tuple[str, ...]:
        return tuple(member.value for member in self.kind) if issubclass(self.kind, Enum) else ()


def _leaf(annotation: Any) -> tuple[type, bool]:
    """The type under unions, tuples and Annotated, and whether a tuple was among them."""
    inner = [one for one in get_args(annotation) if one not in (type(None), Ellipsis)]
    if isinstance(annotation, type) and not inner:
        return annotation, False
    kind, many = _leaf(inner[0])
    return kind, many or getattr(annotation, "__origin__", None) is tuple


def _entry(name: str, field: FieldInfo) -> Entry:
    kind, many = _leaf(field.annotation)
    flag = next(one for one in field.metadata if isinstance(one, Flag))
    return Entry(
        key=field.alias or name,
        flag=flag,
        help=field.description or "",
        default=field.default,
        kind=kind,
        many=many,
    )


def _entries() -> Iterator[Entry]:
    for name, field in Settings.model_fields.items():
        yield _entry(name, field)


TABLE: dict[str, Entry] = {entry.key: entry for entry in _entries()}
