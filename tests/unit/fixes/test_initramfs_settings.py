"""What each tool is told, beyond what the cases show: several kernels, built-in drivers, odd files."""

from dataclasses import replace

import pytest

from tests.linux_guests import ALL_MODULES, MODULES_DEP, VERSION
from vmdk2kvm.fixes.initramfs_settings import Wanted, arguments, growth, settings
from vmdk2kvm.fixes.rebuild import REBUILDERS, recipe
from vmdk2kvm.guest.memory import Link, MemoryGuest
from vmdk2kvm.model.changes import Rebuild, RebuildKind, WriteFile
from vmdk2kvm.model.guest_os import InitramfsTool, Kernel
from vmdk2kvm.model.report import Finding

OLD = "5.10.0-9-amd64"
NAMES = ("virtio_pci", "virtio_blk", "nvme")
DROP_INS = {"/etc/mkinitcpio.conf": "MODULES=()\n", "/etc/mkinitcpio.conf.d/x.conf": "A=1\n"}


def kernel(version: str = VERSION, without: frozenset[str] = frozenset()) -> Kernel:
    return Kernel(
        version=version,
        image=f"/boot/vmlinuz-{version}",
        initramfs=None,
        available=ALL_MODULES - without,
        builtin=without,
    )


def wanted(*names: str, of: Kernel | None = None) -> Wanted:
    one = of or kernel()
    return Wanted(kernel=one, path=f"/boot/initrd-{one.version}", names=names)


def written(guest: MemoryGuest, tool: InitramfsTool, *images: Wanted) -> dict[str, str]:
    items = list(settings(guest, tool, images, [image.kernel for image in images]))
    assert all(isinstance(item, WriteFile) for item in items)
    return {item.path: item.after.decode() for item in items if isinstance(item, WriteFile)}


@pytest.mark.parametrize(
    ("tool", "builtin", "asked"),
    [
        (InitramfsTool.DRACUT, False, False),
        (InitramfsTool.DRACUT, True, True),
        (InitramfsTool.MKINITCPIO, False, False),
        (InitramfsTool.MKINITCPIO, True, True),
        (InitramfsTool.MKINITRD, False, False),
        (InitramfsTool.MKINITRD, True, False),
    ],
)
def test_a_module_that_one_kernel_has_not_is_not_asked_of_a_tool_that_fails_over_it(
    tool: InitramfsTool, builtin: bool, asked: bool
) -> None:
    lacking = frozenset({"nvme"})
    old = replace(kernel(OLD, without=lacking), builtin=lacking if builtin else frozenset())
    (text,) = written(
        MemoryGuest({**DROP_INS}), tool, wanted(*NAMES), wanted("virtio_pci", "virtio_blk", of=old)
    ).values()
    assert "virtio_pci virtio_blk" in text
    assert ("nvme" in text) is asked


@pytest.mark.parametrize("tool", sorted(REBUILDERS, key=lambda tool: tool.value))
def test_with_nothing_to_add_nothing_is_written(tool: InitramfsTool) -> None:
    assert written(MemoryGuest({**DROP_INS}), tool, wanted()) == {}


@pytest.mark.parametrize("tool", sorted(REBUILDERS, key=lambda tool: tool.value))
def test_written_twice_is_written_once(tool: InitramfsTool) -> None:
    guest = MemoryGuest(
        {
            **DROP_INS,
            "/etc/dracut.conf": 'omit_drivers+=" virtio_blk "\n',
            "/etc/mkinitfs/mkinitfs.conf": 'features="base"\n',
            f"/lib/modules/{VERSION}/modules.dep": MODULES_DEP,
        }
    )
    first = written(guest, tool, wanted(*NAMES))
    assert first
    for path, text in first.items():
        guest.make_folder(path.rpartition("/")[0])
        guest.write_bytes(path, text.encode())
    assert written(guest, tool, wanted(*NAMES)) == {}


def test_the_names_of_all_kernels_come_in_one_order() -> None:
    images = (wanted("virtio_blk"), wanted("virtio", "nvme", of=kernel(OLD)))
    (text,) = written(MemoryGuest({}), InitramfsTool.DRACUT, *images).values()
    assert text == 'add_drivers+=" virtio virtio_blk nvme "\n'


def test_mkinitcpio_without_drop_ins_is_told_in_its_configuration() -> None:
    guest = MemoryGuest({"/etc/mkinitcpio.conf": "MODULES=()"})
    assert list(written(guest, InitramfsTool.MKINITCPIO, wanted(*NAMES))) == ["/etc/mkinitcpio.conf"]


def test_mkinitfs_takes_a_module_in_any_compression() -> None:
    packed = MODULES_DEP.replace("virtio_blk.ko", "virtio_blk.ko.gz")
    guest = MemoryGuest({f"/lib/modules/{VERSION}/modules.dep": packed, "/etc/mkinitfs/mkinitfs.conf": ""})
    files = written(guest, InitramfsTool.MKINITFS, wanted("virtio_blk", "virtio_pci"))
    assert files["/etc/mkinitfs/features.d/vmdk2kvm.modules"] == (
        "kernel/drivers/block/virtio_blk.ko*\nkernel/drivers/virtio/virtio_pci.ko*\n"
    )
    assert written(MemoryGuest({}), InitramfsTool.MKINITFS, wanted("virtio_blk")) == {}


@pytest.mark.parametrize(
    ("tool", "path"),
    [
        (InitramfsTool.MKINITCPIO, "/etc/mkinitcpio.conf"),
        (InitramfsTool.DRACUT, "/etc/dracut.conf"),
        (InitramfsTool.MKINITRD, "/etc/sysconfig/kernel"),
        (InitramfsTool.INITRAMFS_TOOLS, "/etc/initramfs-tools/modules"),
    ],
)
def test_a_file_that_cannot_be_edited_is_a_finding(tool: InitramfsTool, path: str) -> None:
    guest = MemoryGuest({path: Link(target="../elsewhere"), "/elsewhere": "x"})
    items = list(settings(guest, tool, [wanted(*NAMES)], [kernel()]))
    assert [item.id for item in items if isinstance(item, Finding)] == ["file-left-unread"]


def test_what_stands_on_the_command_line() -> None:
    guest = MemoryGuest(
        {"/etc/mkinitcpio.d/a.preset": f'a_image="/boot/initrd-{VERSION}"\na_config=/etc/a.conf\n'}
    )
    assert arguments(guest, InitramfsTool.DRACUT, wanted(*NAMES)) == ("--add-drivers", " ".join(NAMES))
    assert arguments(guest, InitramfsTool.DRACUT, wanted()) == ()
    assert arguments(guest, InitramfsTool.MKINITCPIO, wanted(*NAMES)) == ("-c", "/etc/a.conf")
    assert arguments(MemoryGuest({}), InitramfsTool.MKINITCPIO, wanted(*NAMES)) == ()
    assert arguments(guest, InitramfsTool.MKINITRD, wanted()) == ("-k", f"vmlinuz-{VERSION}")
    assert arguments(guest, InitramfsTool.MKINITFS, wanted(*NAMES)) == ()


def test_a_tool_that_looks_at_the_machine_makes_small_images() -> None:
    dep = MemoryGuest({"/etc/initramfs-tools/initramfs.conf": "MODULES=dep\n"})
    assert growth(dep, InitramfsTool.INITRAMFS_TOOLS) == 3
    assert growth(MemoryGuest({}), InitramfsTool.INITRAMFS_TOOLS) == 1
    assert growth(dep, InitramfsTool.MKINITCPIO) == 4
    assert growth(dep, InitramfsTool.DRACUT) == 1


@pytest.mark.parametrize(
    ("tool", "argv"),
    [
        (InitramfsTool.INITRAMFS_TOOLS, ("update-initramfs", "-u", "-k", "6.1")),
        (InitramfsTool.DRACUT, ("dracut", "--force", "A", "/boot/i", "6.1")),
        (InitramfsTool.MKINITCPIO, ("mkinitcpio", "A", "-S", "autodetect,kms", "-k", "6.1", "-g", "/boot/i")),
        (InitramfsTool.MKINITFS, ("mkinitfs", "A", "-o", "/boot/i", "6.1")),
        (InitramfsTool.MKINITRD, ("mkinitrd", "-B", "A", "-b", "/boot", "-i", "i")),
    ],
)
def test_the_command_of_each_tool(tool: InitramfsTool, argv: tuple[str, ...]) -> None:
    rebuild = Rebuild(
        what=RebuildKind.INITRAMFS,
        tool=tool,
        kernel="6.1",
        path="/boot/i",
        must_hold=frozenset(),
        estimated_bytes=0,
        arguments=("A",),
    )
    how = recipe(rebuild)
    assert how.argv == argv
    assert "/boot/i" in how.may_write
    assert not any("/boot/j".startswith(prefix) for prefix in how.may_write)
    assert recipe(rebuild, anew=True).argv == tuple("-c" if word == "-u" else word for word in argv)
