"""`vmdk2kvm inspect`: what is in a VM, what would break on KVM, and why."""

from collections.abc import Iterable, Iterator

from vmdk2kvm.cli import render
from vmdk2kvm.cli.render import finding_lines
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.formats.escapes import one_line
from vmdk2kvm.model.guest_os import FileSystem, GuestOs, Kernel
from vmdk2kvm.model.report import Finding
from vmdk2kvm.model.units import format_bytes


def run(settings: Settings) -> int:
    from vmdk2kvm.pipeline.migrate import inspect

    with render.open_listener(settings) as listener:
        inspected = inspect(settings, listener)
    if settings.as_json:
        from vmdk2kvm.formats.guest_json import guest_fields
        from vmdk2kvm.formats.plan_json import finding_fields

        findings = [finding_fields(finding) for finding in inspected.findings]
        render.show_json({"guest": guest_fields(inspected.os), "findings": findings})
    else:
        lines = [*describe(inspected.os), "", *forecast(inspected.findings)]
        render.show("".join(f"{line}\n" for line in lines))
    return 0


def describe(os: GuestOs) -> Iterator[str]:
    yield f"{one_line(os.name)} ({one_line(os.arch)}, {os.firmware.value.upper()})"
    yield "file systems"
    where = {mount.device: mount.mountpoint for mount in os.mounts}
    for one in os.names.filesystems:
        yield f"  {_file_system(one, where.get(one.device))}"
    yield "boot loaders"
    for loader in os.boot_loaders:
        yield f"  {loader.kind.value}, {loader.firmware.value.upper()}: {_listed(loader.files)}"
    tool = os.initramfs_tool.value if os.initramfs_tool else "no known initramfs tool"
    yield f"kernels ({tool})"
    for kernel in os.kernels:
        yield f"  {_kernel(kernel)}"


def forecast(findings: Iterable[Finding]) -> Iterator[str]:
    lines = [line for finding in findings for line in finding_lines(finding)]
    yield "on KVM" if lines else "on KVM: nothing was found that would break"
    yield from (f"  {line}" for line in lines)


def _file_system(one: FileSystem, mountpoint: str | None) -> str:
    name = f"UUID={one.uuid}" if one.uuid else f"LABEL={one.label}" if one.label else "no UUID"
    at = f" at {one_line(mountpoint)}" if mountpoint else ""
    return (
        f"{one_line(one.device)} {one_line(one.type)}, {format_bytes(one.size_bytes)}, {one_line(name)}{at}"
    )


def _kernel(kernel: Kernel) -> str:
    if kernel.initramfs is None:
        return f"{one_line(kernel.version)}, no initramfs"
    image = kernel.initramfs
    if image.error:
        return f"{one_line(kernel.version)}, {one_line(image.path)} cannot be read: {one_line(image.error)}"
    virtio = sorted(name for name in image.modules if name.startswith("virtio"))
    return f"{one_line(kernel.version)}, {one_line(image.path)} holds {_listed(virtio) or 'no virtio module'}"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(one_line(name) for name in names)
