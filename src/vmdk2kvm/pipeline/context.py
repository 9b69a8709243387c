"""What every step of one VM's run shares: settings, folder, listener and clock."""

from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import UsageError
from vmdk2kvm.fixes.catalog import FixOptions, chosen
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.model.progress import Note
from vmdk2kvm.model.report import StageName
from vmdk2kvm.pipeline.timeline import Listener, Timeline
from vmdk2kvm.pipeline.vm_folder import VmFolder


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    settings: Settings
    folder: VmFolder
    timeline: Timeline
    listener: Listener

    def wants(self, stage: StageName) -> bool:
        if stage is StageName.VALIDATE:
            return self.settings.qemu_test and stage in self.settings.stages
        return stage in self.settings.stages

    def note(self, text: str) -> None:
        self.listener(Note(text=text))

    @property
    def fixes(self) -> tuple[Fix, ...]:
        return chosen(fix_options(self.settings))


def fix_options(settings: Settings) -> FixOptions:
    return FixOptions(
        fstab_mode=settings.fstab_mode,
        no_grub=settings.no_grub,
        no_regen_initramfs=settings.no_regen_initramfs,
        skip=frozenset(settings.skip_fix),
    )


def target_paths(settings: Settings, folder: VmFolder) -> tuple[Path, ...]:
    """Where each disk ends up. Raises UsageError for a name that is a source disk's."""
    names = settings.to_output or tuple(
        Path(f"{folder.name}-disk{index}.{settings.out_format.suffix}") for index in range(len(settings.vmdk))
    )
    paths = tuple(folder.path / name for name in names)
    for path in paths:
        if path.resolve() in {source.resolve() for source in settings.vmdk}:
            raise UsageError(
                f'"{path}" is a source disk, which is never written.', hint="choose another name."
            )
    return paths
