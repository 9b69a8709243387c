import io

import lz4.block
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.appendix_guests import FOLDER, built_by
from tests.initramfs_images import COMPRESSORS, cpio, module_files
from tests.linux_guests import VERSION, VMWARE_ONLY
from vmdk2kvm.formats.cpio import NewMember, render_archive
from vmdk2kvm.formats.initramfs import InitramfsContents, scan
from vmdk2kvm.formats.initramfs_appendix import (
    Addition,
    AppendForm,
    NoAppendix,
    appendix,
    archive,
    dependencies,
    folder_of,
    form_of,
    indexes,
    load_lists,
)
from vmdk2kvm.formats.initramfs_proof import lacking
from vmdk2kvm.formats.kernel_modules import ModuleFile, alias_key, parse_aliases, parse_softdeps
from vmdk2kvm.formats.module_index import parse as parse_index
from vmdk2kvm.model.guest_os import InitramfsTool


def scanned(content: bytes) -> InitramfsContents:
    return scan(io.BytesIO(content), indexes=True)


# the archive and where it stands

names = st.text(st.sampled_from("abc-./é"), min_size=1, max_size=12).filter(lambda name: name.strip("./"))


@given(st.dictionaries(names, st.none() | st.binary(max_size=50), max_size=8))
def test_an_archive_reads_back(members: dict[str, bytes | None]) -> None:
    content = render_archive(NewMember(name=name, content=each) for name, each in members.items())
    assert len(content) % 4 == 0
    assert scanned(content).member_count == len(members)


@pytest.mark.parametrize("compression", sorted(set(COMPRESSORS) - {"lzma", "lz4-frame"}))
@given(content=st.binary(max_size=3000), zeros=st.integers(0, 7))
def test_an_appendix_is_read_behind_any_image(compression: str, content: bytes, zeros: int) -> None:
    old = COMPRESSORS[compression](cpio({"etc/cmdline.d/old": b"1", **module_files(["ahci"])}))
    old += bytes(0 if compression == "lz4" else zeros)
    form = form_of(scanned(old))
    assert form is (AppendForm.LZ4 if compression == "lz4" else AppendForm.BARE)
    new = archive({"etc/cmdline.d/new": content}, ())
    found = scanned(old + appendix(new, image_bytes=len(old), form=form))
    assert found.files == {"etc/cmdline.d/old": b"1", "etc/cmdline.d/new": content}
    assert found.modules == {"ahci"}


@given(st.integers(0, 9))
def test_a_bare_archive_starts_where_the_kernel_looks(image_bytes: int) -> None:
    new = archive({"a": b""}, ())
    out = appendix(new, image_bytes=image_bytes, form=AppendForm.BARE)
    assert (image_bytes + out.index(b"070701")) % 4 == 0


@pytest.mark.parametrize("size", [0, 14, 15, 269, 270, 271, 70_000, (8 << 20) - 1, 8 << 20, (8 << 20) + 1])
def test_lz4_blocks_unpack_to_what_went_in(size: int) -> None:
    content = bytes(range(256)) * (size // 256 + 1)
    content = content[:size]
    out = appendix(content, image_bytes=1, form=AppendForm.LZ4)
    assert out[:4] == b"\x02\x21\x4c\x18"
    place, found = 4, b""
    while place < len(out):
        length = int.from_bytes(out[place : place + 4], "little")
        found += lz4.block.decompress(out[place + 4 : place + 4 + length], uncompressed_size=8 << 20)
        place += 4 + length
    assert found == content


def test_images_that_cannot_be_added_to() -> None:
    with pytest.raises(NoAppendix, match="lzma"):
        form_of(scanned(COMPRESSORS["lzma"](cpio({"a": b""}))))
    whole = cpio({"a": b""})
    for old in (
        COMPRESSORS["lz4"](whole + b"\0"),
        *(COMPRESSORS["lz4"](whole) + bytes(n) for n in (1, 4, 9)),
    ):
        with pytest.raises(NoAppendix, match="another could begin"):
            form_of(scanned(old))


def test_only_real_folders_are_made() -> None:
    made = archive({"usr/lib/x/y": b"1", "conf/modules": b"2"}, ("usr/lib/x", "etc"))
    assert made.count(b"usr/lib/x\0") == 1
    assert b"conf\0" not in made
    assert b"etc\0" not in made


# modprobe's files

DAMAGED = b"\xb0\x07\xf4\x57\x00\x02\x00\x01\xe0\x00\x00\x0c\xff"
OLDER = b"\xb0\x07\xf4\x57\x00\x01\x00\x00nonsense"  # module-init-tools before 3.5
NEEDS = {
    "virtio": ModuleFile(path="kernel/v/virtio.ko.xz", needs=()),
    "virtio_blk": ModuleFile(path="kernel/b/virtio-blk.ko.xz", needs=("kernel/v/virtio.ko.xz",)),
    "virtio_scsi": ModuleFile(
        path="kernel/s/virtio_scsi.ko", needs=("kernel/s/scsi_mod.ko", "kernel/v/virtio.ko")
    ),
}
ADDITION = Addition(
    names=["virtio", "virtio_blk", "virtio_scsi"], files=NEEDS, aliases=[("virtio:d*-[0-9]", "virtio_blk")]
)


@pytest.mark.parametrize(("binary", "text"), [(True, True), (True, False), (False, True)])
def test_the_new_indexes_hold_old_and_new(binary: bool, text: bool) -> None:
    contents = scanned(built_by(InitramfsTool.DRACUT, binary=binary, text=text))
    made = indexes(contents, folder_of(contents, VERSION), ADDITION)
    lines = made[f"{FOLDER}/modules.dep"].decode().split("\n")
    assert "kernel/drivers/sd_mod.ko: kernel/drivers/scsi_mod.ko" in lines
    assert "vmdk2kvm/virtio_blk.ko: vmdk2kvm/virtio.ko" in lines
    assert "vmdk2kvm/virtio_scsi.ko: kernel/drivers/scsi_mod.ko vmdk2kvm/virtio.ko" in lines
    assert len(lines) == len(VMWARE_ONLY) + 3 + 1
    found = {entry.key: entry.value for entry in parse_index(made[f"{FOLDER}/modules.dep.bin"])}
    assert sorted(found.values()) == sorted(lines[:-1])
    assert found["virtio_blk"] == "vmdk2kvm/virtio_blk.ko: vmdk2kvm/virtio.ko"
    aliases = {entry.key: entry.value for entry in parse_index(made[f"{FOLDER}/modules.alias.bin"])}
    assert aliases["virtio:d*_[0-9]"] == "virtio_blk"
    assert "vmw_pvscsi" in aliases.values()
    assert made[f"{FOLDER}/modules.alias"].endswith(b"alias virtio:d*-[0-9] virtio_blk\n")


def test_an_alias_index_that_no_modprobe_reads_counts_as_none() -> None:
    old = built_by(InitramfsTool.DRACUT, text=False, more={f"{FOLDER}/modules.alias.bin": OLDER})
    made = indexes(scanned(old), FOLDER, ADDITION)
    assert made[f"{FOLDER}/modules.alias"] == b"alias virtio:d*-[0-9] virtio_blk\n"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (built_by(None, binary=False, text=False), "does not name all"),
        (built_by(None, more={f"{FOLDER}/modules.dep.bin": DAMAGED}), "cannot be read"),
        (built_by(None, held=("vmw_pvscsi", "sd_mod")), "neither in it nor added: scsi_mod"),
    ],
)
def test_indexes_that_cannot_be_made(content: bytes, reason: str) -> None:
    with pytest.raises(NoAppendix, match=reason):
        indexes(scanned(content), FOLDER, ADDITION)


def test_an_image_for_another_kernel_has_no_folder() -> None:
    contents = scanned(built_by(None))
    with pytest.raises(NoAppendix, match="0 folders"):
        folder_of(contents, "5.10")
    both = scanned(cpio({f"lib/modules/{VERSION}/a": b"", f"{FOLDER}/a": b""}))
    with pytest.raises(NoAppendix, match="2 folders"):
        folder_of(both, VERSION)


# load lists


@pytest.mark.parametrize(
    ("tool", "expected"),
    [
        (InitramfsTool.INITRAMFS_TOOLS, {"conf/modules": b"vmw_pvscsi\na\nb\n"}),
        (
            InitramfsTool.DRACUT,
            {
                "etc/cmdline.d/90-vmdk2kvm.conf": b"rd.driver.pre=a,b\n",
                "etc/modules-load.d/vmdk2kvm.conf": b"a\nb\n",
            },
        ),
        (
            InitramfsTool.MKINITCPIO,
            {
                "config": b'MODULES="vmw_pvscsi"\nHOOKS="udev"\nMODULES="$MODULES a b"\n',
                "etc/modules-load.d/vmdk2kvm.conf": b"a\nb\n",
            },
        ),
        (InitramfsTool.MKINITFS, {"etc/modules": b"af_packet\na\nb\n"}),
    ],
)
def test_the_load_list_each_init_honours(tool: InitramfsTool, expected: dict[str, bytes]) -> None:
    contents = scanned(built_by(tool))
    assert contents.builder is tool
    assert load_lists(contents, ["a", "b"]) == expected


def test_an_init_that_nobody_knows_gets_no_list() -> None:
    for mark in ("run_all.sh", "etc/booster.init.yaml", "init"):
        with pytest.raises(NoAppendix, match="nothing is known"):
            load_lists(scanned(cpio({mark: b""})), ["a"])


# the proof

HELD = ("virtio", "virtio_ring")


def test_an_image_lacks_what_it_does_not_hold_or_find() -> None:
    whole = scanned(built_by(None, held=HELD))
    assert lacking(whole, VERSION, frozenset(HELD)) == frozenset()
    assert lacking(whole, VERSION, frozenset({"virtio", "nvme"})) == {"nvme"}
    unlisted = scanned(built_by(None, held=HELD, more=module_files(["nvme"])))
    assert lacking(unlisted, VERSION, frozenset({"nvme"})) == {"nvme"}
    without_index = scanned(built_by(None, held=HELD, binary=False, text=False))
    assert lacking(without_index, VERSION, frozenset(HELD)) == frozenset()
    damaged = scanned(built_by(None, held=HELD, more={f"{FOLDER}/modules.dep.bin": DAMAGED}))
    assert lacking(damaged, VERSION, frozenset({"virtio"})) == {"virtio"}
    older = scanned(built_by(None, held=HELD, more={f"{FOLDER}/modules.dep.bin": OLDER}))
    assert lacking(older, VERSION, frozenset(HELD)) == frozenset()
    assert lacking(older, VERSION, frozenset({"nvme"})) == {"nvme"}


def test_a_dependency_that_is_listed_but_absent_is_lacking() -> None:
    index = b"kernel/drivers/virtio.ko: kernel/drivers/virtio_ring.ko kernel/fs/fat.ko\n"
    files = {f"{FOLDER}/modules.dep": index, f"{FOLDER}/modules.builtin": b"kernel/fs/fat.ko\n"}
    contents = scanned(cpio({**module_files(["virtio"]), **files}))
    assert lacking(contents, VERSION, frozenset({"virtio"})) == {"virtio_ring"}
    builtin = files | {f"{FOLDER}/modules.builtin": b"kernel/fs/fat.ko\nkernel/virtio_ring.ko\n"}
    contents = scanned(cpio({**module_files(["virtio"]), **builtin}))
    assert lacking(contents, VERSION, frozenset({"virtio"})) == frozenset()


def test_the_binary_index_is_the_one_that_counts() -> None:
    contents = scanned(built_by(None, more={f"{FOLDER}/modules.dep": b"kernel/other.ko:\n"}))
    found = dependencies(contents, FOLDER)
    assert found is not None
    assert set(found) == set(VMWARE_ONLY)


def test_lines_of_modprobes_files() -> None:
    assert parse_aliases("# x\nalias a-b*[a-b] c-d\nalias short\n\n") == [("a-b*[a-b]", "c_d")]
    assert alias_key("a-b*[a-b]c-d") == "a_b*[a-b]c_d"
    text = "# x\nsoftdep a-b pre: c d-e post: f\nsoftdep g post: h\nsoftdep a_b pre: i\n"
    assert parse_softdeps(text) == {"a_b": {"c", "d_e", "i"}, "g": frozenset()}
