"""What every step of one VM's run shares: settings, folder, listener and clock."""

from dataclasses import dataclass, field
from pathlib import Path

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import InputNotFound, UsageError
from vmdk2kvm.fixes.catalog import FixOptions, chosen
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.model.choices import PackageFile
from vmdk2kvm.model.luks import LuksKeys
from vmdk2kvm.model.network import Nic
from vmdk2kvm.model.progress import Note
from vmdk2kvm.model.report import StageName
from vmdk2kvm.model.units import MIB
from vmdk2kvm.pipeline.timeline import Listener, Timeline
from vmdk2kvm.pipeline.vm_folder import VmFolder

PACKAGE_LIMIT_BYTES = 15 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    settings: Settings
    folder: VmFolder
    timeline: Timeline
    listener: Listener
    said: set[str] = field(default_factory=set)
    luks_keys: LuksKeys = field(default_factory=LuksKeys)

    def wants(self, stage: StageName) -> bool:
        if stage is StageName.VALIDATE:
            return self.settings.qemu_test and stage in self.settings.stages
        return stage in self.settings.stages

    def note(self, text: str) -> None:
        """Say it once a run."""
        if text not in self.said:
            self.said.add(text)
            self.listener(Note(text=text))

    @property
    def nics(self) -> tuple[Nic, ...]:
        """The machine's cards, as far as they are known."""
        return tuple(Nic(mac=one.mac, name=one.name, network=one.network) for one in self.settings.nics)

    @property
    def fixes(self) -> tuple[Fix, ...]:
        return chosen(fix_options(self.settings))


def read_package(path: Path) -> PackageFile:
    """A package of the host's for the guest. Raises InputNotFound, UsageError."""
    try:
        if path.stat().st_size > PACKAGE_LIMIT_BYTES:
            raise UsageError(
                f'"{path}" is no package with a guest agent: it holds more than 15 MiB.',
                hint="give the package file of qemu-guest-agent.",
            )
        return PackageFile(name=path.name, content=path.read_bytes())
    except OSError as error:
        raise InputNotFound(
            f'the package "{path}" cannot be read: {error.strerror}.', hint="check the path.", path=path
        ) from error


def fix_options(settings: Settings) -> FixOptions:
    return FixOptions(
        fstab_mode=settings.fstab_mode,
        no_grub=settings.no_grub,
        no_regen_initramfs=settings.no_regen_initramfs,
        remove_vmware_tools=settings.remove_vmware_tools,
        cloud_init_datasource=settings.cloud_init_datasource,
        install_guest_agent=settings.install_guest_agent,
        guest_agent_packages=tuple(map(read_package, settings.guest_agent_package)),
        skip=frozenset(settings.skip_fix),
    )
