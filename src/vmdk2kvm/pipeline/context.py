"""What every step of one VM's run shares: settings, folder, listener and clock."""

from dataclasses import dataclass
from pathlib import Path

from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import UsageError
from vmdk2kvm.fixes.catalog import FixOptions, chosen
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.model.choices import FlattenMode
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


_NEEDS = {
    StageName.FLATTEN: StageName.FETCH,
    StageName.INSPECT: StageName.FLATTEN,
    StageName.FIX: StageName.INSPECT,
    StageName.CONVERT: StageName.FLATTEN,
    StageName.VALIDATE: StageName.CONVERT,
}


def check_settings(settings: Settings) -> None:
    """Refuse, before any work, what contradicts itself. Raises UsageError."""
    chosen(fix_options(settings))
    if not settings.vmdk:
        raise UsageError("no disk is named.", hint="give each disk of the VM with --vmdk FILE.")
    for stage, needed in _NEEDS.items():
        implied = stage is StageName.VALIDATE and not settings.qemu_test
        if stage in settings.stages and needed not in settings.stages and not implied:
            raise UsageError(
                f'the stage "{stage.value}" needs the stage "{needed.value}", which stages: leaves out.',
                hint=f'add "{needed.value}" to stages, or leave "{stage.value}" out, too.',
            )
    if settings.qemu_test and StageName.VALIDATE not in settings.stages:
        raise UsageError(
            'qemu_test asks for a boot test, but stages: leaves "validate" out.',
            hint='add "validate" to stages, or drop qemu_test.',
        )
    if settings.flatten is FlattenMode.MATERIALIZE and StageName.FLATTEN not in settings.stages:
        raise UsageError(
            'flatten: materialize needs the stage "flatten", which stages: leaves out.',
            hint='add "flatten" to stages.',
        )


def target_paths(settings: Settings, folder: VmFolder) -> tuple[Path, ...]:
    """Where each disk ends up. Raises UsageError for a wrong number of names, a collision or a source."""
    disks = len(settings.vmdk)
    names = settings.to_output or tuple(
        Path(f"{folder.name}-disk{index}.{settings.out_format.suffix}") for index in range(disks)
    )
    if len(names) != disks:
        raise UsageError(
            f"to_output names {len(names)} files for {disks} disks.", hint="give one name for each disk."
        )
    paths = tuple(folder.path / name for name in names)
    resolved = [path.resolve() for path in paths]
    if len(set(resolved)) != disks:
        raise UsageError("to_output names one file twice.", hint="give each disk a name of its own.")
    for path in resolved:
        if path in {source.resolve() for source in settings.vmdk}:
            raise UsageError(
                f'"{path}" is a source disk, which is never written.', hint="choose another name."
            )
    return paths
