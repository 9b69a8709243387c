"""Every fix on trees of files: plan, apply, compare with the tree that must come out, plan again.

A case is a folder `<fix>/<case>/`: `before/` and `after/` (`after/` left out: nothing changes), `os.json`
(what INSPECT would say, and where the shape of the tree comes from) and `plan.json` (the paths that
change, the findings, and the fix's options). Initramfs images are no files of the trees: `os.json` says
which modules each kernel's holds before, `plan.json` which it holds after the guest's own tool (a
stand-in) built it. Trees that come out are also read by programs that are not ours.
"""

import json
import os as host
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.appendix_guests import built_by, guest_with
from tests.initramfs_images import image
from tests.linux_guests import (
    ALL_MODULES,
    MODULES_DEP,
    describe_image,
    image_path,
    inspected_again,
    run_program,
)
from vmdk2kvm.fixes import engine
from vmdk2kvm.fixes.catalog import FIXES, FixOptions, chosen
from vmdk2kvm.fixes.fix import Fix
from vmdk2kvm.formats import fstab
from vmdk2kvm.formats.boot_files import Language, arguments
from vmdk2kvm.formats.grubenv import ARGUMENT_VARIABLES
from vmdk2kvm.guest.inspection_boot import find_boot_loaders
from vmdk2kvm.guest.memory import File, Folder, Link, MemoryGuest, Node
from vmdk2kvm.model.choices import CloudDatasource, FstabMode, PackageFile
from vmdk2kvm.model.guest_os import (
    BootLoader,
    BootLoaderKind,
    DeviceNames,
    FileSystem,
    Firmware,
    GuestOs,
    InitramfsTool,
    Kernel,
    Mount,
    OsFamily,
    Space,
)
from vmdk2kvm.model.network import Nic
from vmdk2kvm.model.units import GIB

HERE = Path(__file__).parent
Program = Callable[[str], str]
CASES = sorted(path.parent for path in HERE.glob("*/*/plan.json"))
every_case = pytest.mark.parametrize("case", CASES, ids=lambda path: f"{path.parent.name}/{path.name}")


def read_tree(root: Path) -> dict[str, bytes | str | Node]:
    """Files and links by guest path; links are read, never followed."""
    files: dict[str, bytes | str | Node] = {}
    for folder, folders, names in host.walk(root):
        for name in (*names, *folders):
            path = Path(folder, name)
            guest_path = f"/{path.relative_to(root)}"
            if path.is_symlink():
                files[guest_path] = Link(target=str(path.readlink()))
            elif path.is_file():
                files[guest_path] = path.read_bytes()
    return files


def modules_dep(version: str) -> str:
    return f"/lib/modules/{version}/modules.dep"


def load_guest(tree: Path, fields: dict[str, Any]) -> MemoryGuest:
    files = read_tree(tree)
    for version, modules in fields.get("kernels", {}).items():
        files |= {image_of(fields, version): image(modules), modules_dep(version): MODULES_DEP}
    if "built_by" in fields:  # an image that can be added to, and modules to take from
        old = built_by(InitramfsTool(fields["built_by"]))
        return guest_with(old, read_tree(tree))
    return MemoryGuest(files, programs=run_program)


def image_of(fields: dict[str, Any], version: str) -> str:
    """Where an image lies that the distribution does not name as Debian does."""
    path: str = fields.get("initramfs", {}).get(version, image_path(version))
    return path


def load_os(fields: dict[str, Any], guest: MemoryGuest) -> GuestOs:
    filesystems = tuple(FileSystem(size_bytes=1 << 30, **each) for each in fields["filesystems"])
    bare = tuple(FileSystem(size_bytes=1 << 30, type="", **each) for each in fields.get("bare", []))
    firmware = Firmware(fields.get("firmware", "bios"))
    return GuestOs(
        family=OsFamily(fields.get("family", "debian")),
        id=fields.get("id", "debian"),
        version=fields.get("version", "12"),
        name=fields.get("name", "Debian GNU/Linux 12 (bookworm)"),
        arch=fields.get("arch", "x86_64"),
        firmware=firmware,
        names=DeviceNames(
            filesystems=filesystems,
            by_name={each.device: each.device for each in (*filesystems, *bare)} | fields.get("by_name", {}),
            bare=bare,
        ),
        mounts=tuple(
            Mount(device=device, mountpoint=mountpoint, type=type_)
            for device, mountpoint, type_ in fields.get("mounts", [])
        ),
        space=(Space(mountpoint="/", free_bytes=GIB, free_inodes=10_000),),
        kernels=tuple(_kernel(guest, fields, version) for version in fields.get("kernels", {})),
        boot_loaders=_boot_loaders(fields, guest, firmware),
        initramfs_tool=_tool(fields.get("initramfs_tool", "initramfs-tools")),
        fstab=None,
        nics=tuple(Nic(**each) for each in fields.get("nics", [])),
    )


def _boot_loaders(fields: dict[str, Any], guest: MemoryGuest, firmware: Firmware) -> tuple[BootLoader, ...]:
    """The files of "grub", else what INSPECT finds with the partitions mounted at "esps"."""
    if "grub" in fields:
        return (BootLoader(kind=BootLoaderKind.GRUB2, firmware=firmware, files=tuple(fields["grub"])),)
    return find_boot_loaders(guest, firmware, tuple(fields.get("esps", [])))


def _tool(name: str | None) -> InitramfsTool | None:
    return None if name is None else InitramfsTool(name)


def _kernel(guest: MemoryGuest, fields: dict[str, Any], version: str) -> Kernel:
    return Kernel(
        version=version,
        image=f"/boot/vmlinuz-{version}",
        initramfs=describe_image(guest, image_of(fields, version)),
        available=ALL_MODULES,
        builtin=frozenset(),
    )


def fixes_of(case: Path, options: dict[str, str]) -> tuple[Fix, ...]:
    mode = FstabMode(options.get("fstab_mode", "stabilize-all"))
    skip = frozenset(fix.name for fix in FIXES) - {case.parent.name, *options.get("with", "").split()}
    pinned, package = options.get("cloud_init_datasource"), options.get("guest_agent_package")
    return chosen(
        FixOptions(
            fstab_mode=mode,
            remove_vmware_tools="remove_vmware_tools" in options,
            cloud_init_datasource=CloudDatasource(pinned) if pinned else None,
            install_guest_agent="install_guest_agent" in options,
            guest_agent_packages=(PackageFile(name=package, content=b"!<arch>\n\0"),) if package else (),
            skip=skip,
        )
    )


def images(os: GuestOs) -> dict[str, list[str]]:
    return {kernel.version: sorted(kernel.initramfs.modules) for kernel in os.kernels if kernel.initramfs}


def image_at(kernel: Kernel) -> str:
    return kernel.initramfs.path if kernel.initramfs else ""


def contents(guest: MemoryGuest, os: GuestOs) -> dict[str, bytes | str]:
    built = {path for kernel in os.kernels for path in (image_at(kernel), modules_dep(kernel.version))}
    return {
        path: node.content if isinstance(node, File) else node.target
        for path, node in guest.snapshot().items()
        if not isinstance(node, Folder) and path not in built and not path.startswith("/lib/modules/")
    }


@every_case
def test_plan_and_apply_give_the_tree_that_must_come_out(case: Path) -> None:
    expected, fields = (json.loads((case / name).read_text()) for name in ("plan.json", "os.json"))
    fixes = fixes_of(case, expected.get("options", {}))
    kernels = fields.get("kernels", {})
    guest = load_guest(case / "before", fields)
    os = load_os(fields, guest)

    plan = engine.plan(fixes, guest, os)
    assert [[item.change.kind, getattr(item.change, "path", "")] for item in plan.changes] == expected[
        "changes"
    ]
    assert [[finding.id, finding.level.value] for finding in plan.findings] == expected["findings"]

    engine.apply(plan, guest, backup=False)
    os = inspected_again(guest, os)
    after = case / "after" if expected["changes"] else case / "before"
    assert contents(guest, os) == contents(MemoryGuest(read_tree(after)), os)
    assert images(os) == expected.get("images", {version: sorted(held) for version, held in kernels.items()})
    again = engine.plan(fixes, guest, os)
    assert again.changes == ()
    assert again.findings == plan.findings


def test_every_case_is_of_a_fix() -> None:
    assert {case.parent.name for case in CASES} == {fix.name for fix in FIXES}


def trees(pattern: str) -> list[Path]:
    return sorted(path for path in HERE.glob(f"*/*/after/{pattern}") if path.is_file())


@pytest.mark.parametrize("path", trees("etc/fstab"), ids=lambda path: path.parts[-4])
def test_findmnt_reads_fstab_as_we_do(path: Path, program: Program) -> None:
    command = [program("findmnt"), "--tab-file", str(path), "-P", "-o", "SOURCE,TARGET,FSTYPE,OPTIONS"]
    result = subprocess.run(command, capture_output=True, check=True, timeout=30)
    assert result.stderr == b""
    rows = [re.findall(r'[A-Z]+="([^"]*)"', row) for row in result.stdout.decode("latin-1").splitlines()]
    theirs = [
        [re.sub(r"\\x([0-9a-f]{2})", lambda x: chr(int(x[1], 16)), value) for value in row] for row in rows
    ]
    ours = [
        [entry.spec, entry.mountpoint, entry.type, entry.options or ""]
        for entry in fstab.entries(path.read_bytes().decode("latin-1"))
    ]
    assert ours == theirs


@pytest.mark.parametrize("path", trees("**/grub.cfg"), ids=lambda path: str(path.relative_to(HERE)))
def test_grub_takes_the_configuration(path: Path, program: Program) -> None:
    subprocess.run([program("grub-script-check"), str(path)], check=True, capture_output=True, timeout=30)


@pytest.mark.parametrize("path", trees("**/grubenv"), ids=lambda path: str(path.relative_to(HERE)))
def test_grub_reads_the_environment_block_as_we_do(path: Path, program: Program) -> None:
    command = [program("grub-editenv"), str(path), "list"]
    result = subprocess.run(command, check=True, capture_output=True, timeout=30)
    pairs = [line.split("=", 1) for line in result.stdout.decode().splitlines()]
    theirs = [value.split() for name, value in pairs if name in ARGUMENT_VARIABLES]
    assert theirs == [
        [one.name if one.value is None else f"{one.name}={one.value}" for one in each.parameters]
        for each in arguments(Language.GRUB_ENVIRONMENT, path.read_text())
    ]
    assert path.stat().st_size == 1024


@pytest.mark.parametrize("path", trees("etc/default/grub*"), ids=lambda path: str(path.relative_to(HERE)))
def test_a_shell_takes_the_defaults(path: Path, program: Program) -> None:
    subprocess.run([program("sh"), "-n", str(path)], check=True, capture_output=True, timeout=30)
