"""Every kind of VMware disk, from its files to an image: the content is the same, the source untouched."""

import hashlib
import os
import random
import subprocess
import sys
import threading
from contextlib import contextmanager

import pytest

from tests.guests import vmdk_writer as writer
from vmdk2kvm.errors import (
    Cancelled,
    ChainError,
    DescriptorError,
    ExtentError,
    OutputFull,
    OutputNotWritable,
    ToolFailed,
    UsageError,
)
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.model.report import StageName
from vmdk2kvm.stages import convert, fetch, flatten
from vmdk2kvm.tools import qemu_img
from vmdk2kvm.tools.qemu_img import BlockNode, ImageFile

pytestmark = pytest.mark.appliance

MIB = 1024 * 1024
SECTORS = 9 * 2048 + 77  # no multiple of any grain; three grain tables of 4 MiB
SNAPSHOT_NAMES = ("disk-000001.vmdk", "disk-000002.vmdk", "disk-000003.vmdk")


def guest_data(seed):
    """Random runs, holes, and data in the very last sector."""
    dice = random.Random(seed)
    data = bytearray(SECTORS * 512)
    for _ in range(24):
        start, length = dice.randrange(SECTORS - 200) * 512, dice.randrange(1, 200) * 512
        data[start : start + length] = dice.randbytes(length)
    data[-512:] = dice.randbytes(512)
    return bytes(data)


def changed(data, seed):
    """The same disk after some more work: new data, and data that was wiped."""
    dice = random.Random(seed)
    after = bytearray(data)
    for _ in range(6):
        start, length = dice.randrange(SECTORS - 200) * 512, dice.randrange(1, 200) * 512
        after[start : start + length] = dice.randbytes(length)
        start = dice.randrange(SECTORS - 200) * 512
        after[start : start + length] = bytes(length)
    return bytes(after)


def qemu_img_run(*argv):
    subprocess.run(["qemu-img", *map(str, argv)], check=True, stdout=subprocess.DEVNULL)


# One builder per kind of disk: (folder, content) -> the VMDK to give


def by_qemu(subformat):
    def build(folder, content):
        raw = folder.parent / "source.raw"
        raw.write_bytes(content)
        options = f"subformat={subformat}"
        qemu_img_run("convert", "-f", "raw", "-O", "vmdk", "-o", options, raw, folder / "disk.vmdk")
        return folder / "disk.vmdk"

    return build


def by_us(write):
    def build(folder, content):
        write(folder / "disk.vmdk", content)
        return folder / "disk.vmdk"

    return build


def flat_pieces(folder, content):
    """twoGbMaxExtentFlat with two extents in one file, the second first, in a descriptor with CRLF."""
    cut = 5000 * 512
    (folder / "disk-f001.vmdk").write_bytes(bytes(3 * 512) + content[cut:] + content[:cut])
    rest = SECTORS - 5000
    lines = [f'RW 5000 FLAT "disk-f001.vmdk" {3 + rest}', f'RW {rest} FLAT "disk-f001.vmdk" 3']
    text = writer.descriptor(lines, create_type="twoGbMaxExtentFlat")
    (folder / "disk.vmdk").write_bytes(text.replace(b"\n", b"\r\n"))
    return folder / "disk.vmdk"


def sparse_pieces(folder, content):
    """twoGbMaxExtentSparse of two sparse extents."""
    cut = 9000 * 512
    for number, piece in enumerate((content[:cut], content[cut:]), 1):
        (folder / f"disk-s00{number}.vmdk").write_bytes(writer.hosted_sparse(piece))
    lines = ['rw\t9000  sparse "disk-s001.vmdk"', f'RW {SECTORS - 9000} SPARSE\t"disk-s002.vmdk"']
    text = writer.descriptor(lines, create_type="TwoGbMaxExtentSparse")
    (folder / "disk.vmdk").write_bytes(text.replace(b"createType", b"createtype"))
    return folder / "disk.vmdk"


def with_zero_extent(folder, content):
    """ZERO extents, which QEMU would leave out: here all of the disk but its end."""
    first = SECTORS - 100
    (folder / "disk-f001.vmdk").write_bytes(content[first * 512 :])
    lines = [f"RW {first} ZERO", 'RW 100 FLAT "disk-f001.vmdk" 0']
    (folder / "disk.vmdk").write_bytes(writer.descriptor(lines, create_type="twoGbMaxExtentFlat"))
    return folder / "disk.vmdk"


def sparse_with_zero_extent(folder, content):
    """A split sparse disk whose last piece nobody ever wrote to."""
    (folder / "disk-s001.vmdk").write_bytes(writer.hosted_sparse(content[: 100 * 512]))
    lines = ['RW 100 SPARSE "disk-s001.vmdk"', f"RW {SECTORS - 100} ZERO"]
    (folder / "disk.vmdk").write_bytes(writer.descriptor(lines, create_type="twoGbMaxExtentSparse"))
    return folder / "disk.vmdk"


def odd_names(folder, content):
    """Names QEMU would stumble over: quotes cannot stand in a descriptor, these can."""
    name = "plätte: 100% 'x' \\ {a},b;ü.vmdk" + "n" * 100
    (folder / name).write_bytes(content)
    line = f'RW {SECTORS} FLAT "{name}" 0'
    (folder / "disk, json:{}.vmdk").write_bytes(writer.descriptor([line], create_type="monolithicFlat"))
    return folder / "disk, json:{}.vmdk"


def in_windows_1252(folder, content):
    (folder / "plätte.vmdk").write_bytes(content)
    text = writer.descriptor(
        [f'RW {SECTORS} FLAT "plätte.vmdk" 0'],
        create_type="monolithicFlat",
        extra=['encoding="windows-1252"'],
    )
    (folder / "disk.vmdk").write_bytes(text.decode().encode("windows-1252"))
    return folder / "disk.vmdk"


def chained(first, add):
    """A base and three snapshots; `add(path, content, below=, cid=, parent_cid=, hint=)` writes one."""

    def build(folder, content):
        versions = [content]
        for seed in range(3):
            versions.append(changed(versions[-1], seed))
        versions.reverse()  # the newest is what the test expects to read
        first(folder / "disk.vmdk", versions[0], cid=0xA0)
        names = ("disk.vmdk", *SNAPSHOT_NAMES)
        for number in (1, 2, 3):
            add(
                folder / names[number],
                versions[number],
                below=versions[number - 1],
                cid=0xA0 + number,
                parent_cid=0xA0 + number - 1,
                hint=names[number - 1],
            )
        return folder / names[-1]

    return build


def esx_delta_on_vmfs6(path, content, **link):
    writer.write_esx_delta(path, content, on_vmfs6=True, **link)


def snapshots_by_qemu(folder, content):
    """qemu-img's own chain: it writes the CIDs and hints, and the newest layer has the content."""
    base = by_qemu("monolithicSparse")(folder, bytes(len(content)))
    for name in SNAPSHOT_NAMES:
        below = folder / "disk.vmdk" if name == SNAPSHOT_NAMES[0] else base
        qemu_img_run("create", "-f", "vmdk", "-F", "vmdk", "-b", below.name, folder / name)
        part = SNAPSHOT_NAMES.index(name) * len(content) // 3 // 512 * 512
        end = len(content) if name == SNAPSHOT_NAMES[-1] else part + len(content) // 3
        write_with_qemu_io(folder / name, content, part, end)
        base = folder / name
    return base


def write_with_qemu_io(path, content, start, end):
    piece = path.parent.parent / "piece"
    piece.write_bytes(content[start:end].ljust(-(-(end - start) // 512) * 512, b"\0"))
    command = f"write -s {piece} {start} {piece.stat().st_size}"
    subprocess.run(["qemu-io", "-f", "vmdk", "-c", command, path], check=True, stdout=subprocess.DEVNULL)


KINDS = {
    "monolithicSparse": by_qemu("monolithicSparse"),
    "monolithicFlat": by_qemu("monolithicFlat"),
    "twoGbMaxExtentSparse": by_qemu("twoGbMaxExtentSparse"),
    "twoGbMaxExtentFlat": by_qemu("twoGbMaxExtentFlat"),
    "streamOptimized": by_qemu("streamOptimized"),
    "streamOptimized-with-footer": by_us(writer.write_stream_optimized),
    "monolithicSparse-of-ours": by_us(writer.write_monolithic_sparse),
    "vmfs": by_us(writer.write_vmfs_flat),
    "flat-pieces-crlf": flat_pieces,
    "sparse-pieces-tabs-lower-case": sparse_pieces,
    "odd-names": odd_names,
    "windows-1252": in_windows_1252,
    "snapshots-by-qemu": snapshots_by_qemu,
    "snapshots-hosted": chained(writer.write_monolithic_sparse, writer.write_monolithic_sparse),
    "snapshots-vmfs5": chained(writer.write_vmfs_flat, writer.write_esx_delta),
    "snapshots-vmfs6": chained(writer.write_vmfs_flat, esx_delta_on_vmfs6),
    "snapshots-on-stream": chained(writer.write_stream_optimized, writer.write_monolithic_sparse),
}


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "a vm"
    path.mkdir()
    return path


def overlays_of(vmdk, scratch, **options):
    fetched = fetch.run([vmdk], **{"allow_external_extents": False} | options)
    return flatten.create_overlays(flatten.run(fetched, scratch).views, scratch)


def convert_quietly(overlays, targets, **options):
    defaults = {
        "format": OutputFormat.QCOW2,
        "compress": False,
        "checksum": False,
        "workers": 2,
        "on_progress": lambda progress: None,
    }
    return convert.run(overlays, targets, **defaults | options)


def digests(folder):
    return {path: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_disk_keeps_its_content_and_is_not_touched(kind, folder, tmp_path):
    content = guest_data(kind)
    vmdk = KINDS[kind](folder, content)
    before = digests(folder)
    overlays = overlays_of(vmdk, tmp_path / "scratch")
    target = tmp_path / "out" / "disk.qcow2"
    (disk,) = convert_quietly(overlays, [target]).disks
    reference = tmp_path / "reference.raw"
    reference.write_bytes(content)
    assert disk.virtual_size_bytes == len(content)
    assert qemu_img.same_content(
        ImageFile(path=target, format="qcow2"), ImageFile(path=reference, format="raw")
    )
    assert digests(folder) == before
    assert [path.name for path in target.parent.iterdir()] == ["disk.qcow2"]


END = guest_data("zero")[-100 * 512 :]
REST = bytes((SECTORS - 100) * 512)


@pytest.mark.parametrize(
    ("build", "content"), [(with_zero_extent, REST + END), (sparse_with_zero_extent, END + REST)]
)
def test_a_zero_extent_reads_as_zeroes(build, content, folder, tmp_path):
    overlays = overlays_of(build(folder, content), tmp_path / "s")
    convert_quietly(overlays, [tmp_path / "o.qcow2"])
    (tmp_path / "reference.raw").write_bytes(content)
    image = ImageFile(path=tmp_path / "o.qcow2", format="qcow2")
    assert qemu_img.same_content(image, ImageFile(path=tmp_path / "reference.raw", format="raw"))


def test_a_content_that_differs_in_one_byte_is_seen(tmp_path):
    """The comparison above can fail."""
    content = guest_data("one byte")
    (tmp_path / "a.raw").write_bytes(content)
    (tmp_path / "b.raw").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    images = [ImageFile(path=tmp_path / name, format="raw") for name in ("a.raw", "b.raw")]
    assert not qemu_img.same_content(*images)


@pytest.mark.parametrize("format", OutputFormat)
def test_every_output_format_holds_the_content_and_a_true_checksum(format, folder, tmp_path):
    content = guest_data("formats")
    vmdk = by_us(writer.write_monolithic_sparse)(folder, content)
    target = tmp_path / "out" / f"a disk.{format.suffix}"
    (disk,) = convert_quietly(overlays_of(vmdk, tmp_path / "s"), [target], format=format, checksum=True).disks
    reference = ImageFile(path=tmp_path / "reference.raw", format="raw")
    reference.path.write_bytes(content)
    assert qemu_img.same_content(ImageFile(path=target, format=format.value), reference)
    assert disk.sha256 == hashlib.sha256(target.read_bytes()).hexdigest()
    subprocess.run(["sha256sum", "--strict", "-c", "SHA256SUMS"], cwd=target.parent, check=True)


def test_a_compressed_qcow2_is_smaller_and_holds_the_content(folder, tmp_path):
    content = b"the same words again and again \n" * (SECTORS * 16)
    vmdk = by_us(writer.write_vmfs_flat)(folder, content)
    overlays = overlays_of(vmdk, tmp_path / "s")
    target = tmp_path / "out.qcow2"
    convert_quietly(overlays, [target], compress=True)
    assert target.stat().st_size < len(content) / 4
    image = ImageFile(path=target, format="qcow2")
    assert qemu_img.same_content(image, ImageFile(path=folder / "disk-flat.vmdk", format="raw"))


def test_only_qcow2_can_be_compressed(folder, tmp_path):
    overlays = overlays_of(by_us(writer.write_vmfs_flat)(folder, guest_data(1)), tmp_path / "s")
    with pytest.raises(UsageError):
        convert_quietly(overlays, [tmp_path / "o.raw"], format=OutputFormat.RAW, compress=True)


def test_holes_stay_holes(folder, tmp_path):
    content = bytearray(64 * MIB)
    content[40 * MIB : 40 * MIB + 512] = os.urandom(512)
    vmdk = by_us(writer.write_vmfs_flat)(folder, bytes(content))
    overlays = overlays_of(vmdk, tmp_path / "s")
    target = tmp_path / "out.raw"
    convert_quietly(overlays, [target], format=OutputFormat.RAW)
    assert target.stat().st_size == 64 * MIB
    assert target.stat().st_blocks * 512 < MIB


def test_what_is_written_to_the_overlay_is_in_the_image_and_not_in_the_source(folder, tmp_path):
    content = guest_data("repair")
    vmdk = KINDS["snapshots-hosted"](folder, content)
    before = digests(folder)
    (overlay,) = overlays_of(vmdk, tmp_path / "s")
    command = ["qemu-io", "-f", "qcow2", "-c", "write -P 0x5a 1M 3k", str(overlay.path)]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    convert_quietly([overlay], [tmp_path / "out.qcow2"])
    expected = tmp_path / "expected.raw"
    expected.write_bytes(content[:MIB] + b"\x5a" * 3072 + content[MIB + 3072 :])
    image = ImageFile(path=tmp_path / "out.qcow2", format="qcow2")
    assert qemu_img.same_content(image, ImageFile(path=expected, format="raw"))
    assert digests(folder) == before


def test_a_chain_of_sixty_snapshots_is_one_view(folder, tmp_path):
    version = guest_data("base")
    writer.write_monolithic_sparse(folder / "0.vmdk", version, cid=100)
    for number in range(1, 61):
        below, version = version, changed(version, number)
        writer.write_monolithic_sparse(
            folder / f"{number}.vmdk",
            version,
            below=below,
            cid=100 + number,
            parent_cid=99 + number,
            hint=f"{number - 1}.vmdk",
        )
    (overlay,) = overlays_of(folder / "60.vmdk", tmp_path / "s")
    assert overlay.view.layer_count == 61
    expected = tmp_path / "expected.raw"
    expected.write_bytes(version)
    view = BlockNode(text=overlay.view.node)
    assert qemu_img.same_content(view, ImageFile(path=expected, format="raw"))


def test_the_flattened_disk_can_be_had_as_a_file(folder, tmp_path):
    content = guest_data("materialize")
    vmdk = KINDS["snapshots-vmfs5"](folder, content)
    (view,) = flatten.run(fetch.run([vmdk], allow_external_extents=False), tmp_path / "s").views
    told = []
    flatten.materialize(view, tmp_path / "flat" / "disk.qcow2", told.append)
    expected = tmp_path / "expected.raw"
    expected.write_bytes(content)
    image = ImageFile(path=tmp_path / "flat" / "disk.qcow2", format="qcow2")
    assert qemu_img.same_content(image, ImageFile(path=expected, format="raw"))
    assert (told[-1].stage, told[-1].done_bytes) == (StageName.FLATTEN, len(content))


def test_progress_of_several_disks_rises_to_the_whole(folder, tmp_path):
    vmdks = [folder / "one.vmdk", folder / "two.vmdk"]
    for number, vmdk in enumerate(vmdks):
        writer.write_monolithic_sparse(vmdk, guest_data(number))
    views = flatten.run(fetch.run(vmdks, allow_external_extents=False), tmp_path / "s").views
    overlays = flatten.create_overlays(views, tmp_path / "s")
    told = []
    convert_quietly(overlays, [tmp_path / "1.qcow2", tmp_path / "2.qcow2"], on_progress=told.append)
    for name in ("one", "two"):
        done = [progress.done_bytes for progress in told if progress.disk == name]
        assert done == sorted(done)
        assert done[-1] == SECTORS * 512


# What bad input gets


def test_a_capacity_of_zero_never_reaches_qemu(folder, tmp_path):
    """QEMU would open whatever the embedded descriptor names: here a file of this host."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"s" * 512 * SECTORS)
    text = writer.descriptor([f'RW {SECTORS} FLAT "{secret}" 0'], create_type="monolithicFlat")
    header = writer.hosted_header(capacity=0, gd_offset=21)
    (folder / "disk.vmdk").write_bytes(header + text.ljust(20 * 512, b"\0"))
    leaked = subprocess.run(
        ["qemu-io", "-r", "-f", "vmdk", "-c", "read -P 0x73 0 512", str(folder / "disk.vmdk")],
        capture_output=True,
        text=True,
    )
    assert "Pattern verification failed" not in leaked.stdout  # the attack works on QEMU itself
    assert leaked.returncode == 0
    with pytest.raises(DescriptorError, match="capacity 0"):
        fetch.run([folder / "disk.vmdk"], allow_external_extents=True)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "odd-names"])
def test_a_cut_off_file_is_found_before_qemu_opens_it(kind, folder, tmp_path):
    vmdk = KINDS[kind](folder, guest_data(kind))
    for path in sorted(folder.iterdir()):
        whole = path.read_bytes()
        if len(whole) <= 12 * 1024:
            continue  # a descriptor, not data
        data_end = len(whole.rstrip(b"\0"))  # qemu-img fills the last grain of a streamOptimized disk
        path.write_bytes(whole[: min(data_end - 1, len(whole) - 512)])
        with pytest.raises((ExtentError, DescriptorError)):
            flatten.run(fetch.run([vmdk], allow_external_extents=False), tmp_path / "s")
        path.write_bytes(whole)
    flatten.run(fetch.run([vmdk], allow_external_extents=False), tmp_path / "s")


def test_a_parent_that_changed_after_the_snapshot_is_refused(folder, tmp_path):
    vmdk = KINDS["snapshots-hosted"](folder, guest_data("cid"))
    base = folder / "disk.vmdk"
    base.write_bytes(base.read_bytes().replace(b"CID=000000a0", b"CID=000000b0", 1))
    with pytest.raises(ChainError, match="000000a0"):
        flatten.run(fetch.run([vmdk], allow_external_extents=False), tmp_path / "s")
    assert not (tmp_path / "s").exists()


# Where the result goes


@contextmanager
def mounted(path, options):
    """A tmpfs of its own; only root may mount one."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs needs root")
    path.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", path], check=True)
    try:
        yield path
    finally:
        subprocess.run(["umount", path], check=True)


def full_disk_overlays(folder, tmp_path):
    content = random.Random(7).randbytes(SECTORS * 512)
    return overlays_of(by_us(writer.write_vmfs_flat)(folder, content), tmp_path / "s")


@pytest.mark.parametrize("format", OutputFormat)
def test_no_room_is_seen_before_the_copy(format, folder, tmp_path):
    overlays = full_disk_overlays(folder, tmp_path)
    told = []
    with mounted(tmp_path / "small", "size=4m") as small:
        with pytest.raises(OutputFull) as caught:
            convert_quietly(overlays, [small / "o.img"], format=format, on_progress=told.append)
        assert list(small.iterdir()) == []
    assert caught.value.exit_code == 6
    assert caught.value.path == small
    assert told == []


def test_two_disks_that_fit_only_one_by_one_are_refused_together(folder, tmp_path):
    (overlay,) = full_disk_overlays(folder, tmp_path)
    with mounted(tmp_path / "small", "size=14m") as small:
        convert_quietly([overlay], [small / "fits.qcow2"])
        (small / "fits.qcow2").unlink()
        with pytest.raises(OutputFull):
            convert_quietly([overlay, overlay], [small / "1.qcow2", small / "2.qcow2"])
        assert list(small.iterdir()) == []


def test_room_that_runs_out_during_the_copy_leaves_nothing(folder, tmp_path):
    overlays = full_disk_overlays(folder, tmp_path)
    with mounted(tmp_path / "small", "size=4m") as small:
        # What a compressed image needs is not known before, so the copy begins.
        with pytest.raises(OutputFull) as caught:
            convert_quietly(overlays, [small / "o.qcow2"], compress=True)
        assert list(small.iterdir()) == []
    assert str(small / "o.qcow2") in caught.value.message


def test_a_read_only_folder_is_seen_before_the_copy(folder, tmp_path):
    overlays = full_disk_overlays(folder, tmp_path)
    with mounted(tmp_path / "locked", "ro") as locked:
        for target in (locked / "o.qcow2", locked / "new" / "o.qcow2"):
            with pytest.raises(OutputNotWritable) as caught:
                convert_quietly(overlays, [target])
            assert caught.value.exit_code == 6
        with pytest.raises(OutputNotWritable):
            flatten.create_overlays([overlays[0].view], locked / "s")
        with pytest.raises(OutputNotWritable):
            flatten.create_overlays([overlays[0].view], locked)


def test_a_folder_that_is_a_file_cannot_be_written(folder, tmp_path):
    overlays = full_disk_overlays(folder, tmp_path)
    (tmp_path / "file").touch()
    with pytest.raises(OutputNotWritable):
        convert_quietly(overlays, [tmp_path / "file" / "o.qcow2"])


def test_what_a_killed_run_left_is_swept_and_a_whole_image_replaced(folder, tmp_path):
    overlays = full_disk_overlays(folder, tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "o.qcow2.part").write_bytes(b"half")
    (tmp_path / "out" / "o.qcow2").write_bytes(b"old")
    convert_quietly(overlays, [tmp_path / "out" / "o.qcow2"])
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["o.qcow2"]
    image = ImageFile(path=tmp_path / "out" / "o.qcow2", format="qcow2")
    assert qemu_img.virtual_size_bytes(image) == SECTORS * 512


def test_an_error_in_one_disk_stops_the_other_and_leaves_no_part(folder, tmp_path):
    vmdks = [folder / "good.vmdk", folder / "bad.vmdk"]
    for vmdk in vmdks:
        writer.write_vmfs_flat(vmdk, guest_data(vmdk.stem))
    views = flatten.run(fetch.run(vmdks, allow_external_extents=False), tmp_path / "s").views
    overlays = flatten.create_overlays(views, tmp_path / "s")
    (folder / "bad-flat.vmdk").unlink()
    targets = [tmp_path / "out" / name for name in ("good.qcow2", "bad.qcow2")]
    with pytest.raises(ToolFailed, match="layer0-0"):
        convert_quietly(overlays, targets, compress=True)
    assert {path.name for path in (tmp_path / "out").iterdir()} <= {"good.qcow2"}


def test_a_listener_that_fails_ends_the_copy(folder, tmp_path):
    overlays = full_disk_overlays(folder, tmp_path)

    def interrupt(progress):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        convert_quietly(overlays, [tmp_path / "out" / "o.qcow2"], on_progress=interrupt)
    assert list((tmp_path / "out").iterdir()) == []


def test_a_stopped_copy_is_cancelled(folder, tmp_path):
    (overlay,) = full_disk_overlays(folder, tmp_path)
    stop = threading.Event()
    stop.set()
    source = ImageFile(path=overlay.path, format="qcow2")
    with pytest.raises(Cancelled):
        qemu_img.convert(source, tmp_path / "o.raw", format=OutputFormat.RAW, stop=stop)


# Memory

MEASURE = """
import sys
from pathlib import Path
from vmdk2kvm.model.disk import OutputFormat
from vmdk2kvm.stages import convert, fetch, flatten
vmdk, folder = Path(sys.argv[1]), Path(sys.argv[2])
views = flatten.run(fetch.run([vmdk], allow_external_extents=False), folder / "s").views
overlays = flatten.create_overlays(views, folder / "s")
convert.run(overlays, [folder / "o.qcow2"], format=OutputFormat.QCOW2, compress=False, checksum=True,
            workers=2, on_progress=lambda progress: None)
status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(int(status["VmHWM"].split()[0]) // 1024)  # not ru_maxrss, which begins with the parent's
"""


def peak_mib(size, tmp_path):
    work = tmp_path / size
    work.mkdir()
    vmdk = work / "disk.vmdk"
    qemu_img_run("create", "-f", "vmdk", "-o", "subformat=monolithicSparse", vmdk, size)
    commands = [f"write -P {n + 1} {n * 250}M 64k" for n in range(11)]
    argv = [word for command in commands for word in ("-c", command)]
    subprocess.run(["qemu-io", "-f", "vmdk", *argv, str(vmdk)], check=True, stdout=subprocess.DEVNULL)
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, vmdk, work], check=True, capture_output=True, text=True
    )
    return int(done.stdout)


def test_memory_is_flat_in_the_size_of_the_disk(tmp_path):
    small, large = peak_mib("3G", tmp_path), peak_mib("300G", tmp_path)
    print(f"peak memory: {small} MiB for 3 GiB, {large} MiB for 300 GiB")
    assert large < 150
    assert large <= small + 4
