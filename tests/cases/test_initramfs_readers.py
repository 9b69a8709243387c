"""What is written for an initramfs, read by the programs it is written for: cpio, modprobe, shells."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.appendix_guests import FOLDER, built_by, guest_with
from tests.initramfs_images import module_files
from tests.linux_guests import CRITICAL, VERSION, VMWARE_ONLY, image_path
from vmdk2kvm.fixes.appendix import build
from vmdk2kvm.model.guest_os import InitramfsTool

HERE = Path(__file__).parent
Program = Callable[[str], str]
WANTED = "virtio virtio_ring virtio_pci virtio_blk virtio_scsi virtio_net ahci nvme"


def out(*command: str, cwd: Path | None = None, stdin: bytes = b"") -> str:
    result = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=True, timeout=30)
    return result.stdout.decode()


@pytest.fixture
def unpacked(tmp_path: Path, program: Program) -> Path:
    """The appended archive as cpio unpacks it, over the modules of the image before it."""
    for name, module in module_files(VMWARE_ONLY).items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(module)
    guest = guest_with(built_by(InitramfsTool.INITRAMFS_TOOLS))
    content = build(guest, path=image_path(), kernel=VERSION, must_hold=CRITICAL).content
    names = out(program("cpio"), "-it", "--quiet", stdin=content.lstrip(b"\0")).split("\n")
    assert f"{FOLDER}/vmdk2kvm" in names
    assert "conf/modules" in names
    out(
        program("cpio"),
        "-id",
        "--quiet",
        "--no-absolute-filenames",
        cwd=tmp_path,
        stdin=content.lstrip(b"\0"),
    )
    (tmp_path / "lib").symlink_to("usr/lib")
    return tmp_path


def shown(program: Program, root: Path, *words: str) -> list[str]:
    lines = out(program("modprobe"), "-d", str(root), "-S", VERSION, *words).split("\n")
    return [line.strip().rpartition(f"{VERSION}/")[2] for line in lines if line]


def test_modprobe_finds_the_drivers_and_all_they_need(unpacked: Path, program: Program) -> None:
    assert shown(program, unpacked, "-D", "virtio_blk")[-1] == "vmdk2kvm/virtio_blk.ko"
    assert "vmdk2kvm/virtio.ko" in shown(program, unpacked, "-D", "virtio_blk")
    assert shown(program, unpacked, "-D", "virtio-scsi") == [
        "vmdk2kvm/virtio.ko",
        "kernel/drivers/scsi_mod.ko",
        "vmdk2kvm/virtio_scsi.ko",
    ]
    assert shown(program, unpacked, "-D", "vmw_pvscsi")[-1] == "kernel/drivers/vmw_pvscsi.ko"


@pytest.mark.parametrize(
    ("alias", "module"),
    [
        ("pci:v00001AF4d00001042sv00001AF4sd00000042bc01sc00i00", "virtio_pci"),
        ("virtio:d00000002v00001AF4", "virtio_blk"),
        ("virtio:d00000008v00001AF4", "virtio_scsi"),
        ("pci:v000015ADd000007C0sv000015ADsd000007C0bc01sc07i00", "vmw_pvscsi"),
    ],
)
def test_udev_will_find_them_by_the_device(unpacked: Path, program: Program, alias: str, module: str) -> None:
    assert shown(program, unpacked, "-R", alias) == [module]


def test_the_folders_are_real_ones(unpacked: Path) -> None:
    assert sorted(path.name for path in unpacked.iterdir()) == ["conf", "lib", "usr"]
    assert not (unpacked / "usr").is_symlink()


def trees(pattern: str) -> list[Path]:
    return sorted(HERE.glob(f"initramfs-virtio/*/after/{pattern}"))


def named(path: Path) -> str:
    return str(path.relative_to(HERE))


@pytest.mark.parametrize("path", trees("etc/mkinitcpio.conf"), ids=named)
def test_bash_reads_the_modules_mkinitcpio_will_take(path: Path, program: Program) -> None:
    drop_ins = sorted(path.parent.glob("mkinitcpio.conf.d/*.conf"))
    presets = sorted(path.parent.glob("mkinitcpio-*.conf"))
    given = presets or [path, *drop_ins]
    script = 'for config; do . "$config"; done; printf "%s\\n" "${MODULES[@]}"'
    words = out(program("bash"), "-c", script, "-", *map(str, given)).split("\n")
    assert words[-9:-1] == WANTED.split()
    assert not any(" " in word for word in words)


@pytest.mark.parametrize("path", trees("etc/mkinitfs/mkinitfs.conf"), ids=named)
def test_a_shell_reads_the_features_mkinitfs_will_take(path: Path, program: Program) -> None:
    features = out(program("sh"), "-c", '. "$1"; echo $features', "-", str(path)).split()
    assert features[-1] == "vmdk2kvm"
    assert {"base", "scsi"} <= set(features)


@pytest.mark.parametrize("path", trees("etc/dracut.conf.d"), ids=named)
def test_bash_reads_the_drivers_dracut_will_add_and_omit(path: Path, program: Program) -> None:
    script = 'for config; do . "$config"; done; echo "$add_drivers/$omit_drivers"'
    configs = sorted(map(str, path.glob("*.conf")))
    added, _, omitted = out(program("bash"), "-c", script, "-", *configs).partition("/")
    assert set(WANTED.split()) <= set(added.split())
    assert not set(WANTED.split()) & {word.replace("-", "_") for word in omitted.split()}


@pytest.mark.parametrize("path", trees("etc/sysconfig/kernel"), ids=named)
def test_a_shell_reads_the_modules_suses_mkinitrd_will_take(path: Path, program: Program) -> None:
    modules = out(program("sh"), "-c", '. "$1"; echo $INITRD_MODULES', "-", str(path)).split()
    assert modules[-8:] == WANTED.split()
