"""Undo on images: the image is written only from overlays that are whole, and a killed run is finished."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.memory_session import MemorySession, disk, partition
from vmdk2kvm.config.settings import Settings
from vmdk2kvm.errors import ChangedSinceRepair, InputNotFound, OutputFull
from vmdk2kvm.fixes.engine import apply
from vmdk2kvm.formats.plan_json import plan_of
from vmdk2kvm.guest.memory import MemoryGuest
from vmdk2kvm.model.changes import PlannedChange, WriteFile
from vmdk2kvm.pipeline import assemble
from vmdk2kvm.pipeline.undo import overlay_of, undo
from vmdk2kvm.stages import validate
from vmdk2kvm.tools import qemu_img

TREE = {"/etc/os-release": "ID=debian\n", "/etc/fstab": "UUID=1 / ext4\n", "/usr/x": b"", "/var/lib/x": b""}
EDIT = WriteFile(path="/etc/fstab", before=b"UUID=1 / ext4\n", after=b"UUID=1 / ext4 rw\n")


class Host:
    """Overlays are files that hold a word; committing puts it into the image."""

    def __init__(self, folder: Path, *, repaired: bool = True) -> None:
        self.images = (folder / "web-disk0.qcow2", folder / "web-disk1.qcow2")
        for image in self.images:
            image.write_bytes(b"QFI\xfb" + b"image")
        guest = MemoryGuest(TREE)
        if repaired:
            apply(plan_of([PlannedChange(fix="test", change=EDIT)], ()), guest, backup=True)
        self.guest = guest
        self.commits: list[str] = []
        self.dies_at: int | None = None
        self.settings = Settings(image=self.images, output_dir=folder / "out")

    def create_overlay(self, path: Path, image: Path, format: Any) -> None:
        path.write_text(f"overlay of {image.name}")

    @contextmanager
    def opened(self, run: Any, overlays: Sequence[Path]) -> Iterator[MemorySession]:
        assert [path.name for path in overlays] == [f"{image.name}.undo.part" for image in self.images]
        nodes = self.guest.snapshot()
        devices = (disk("/dev/sda", 0), partition("/dev/sda1", "ext4", "1"))
        yield MemorySession(devices, {"/dev/sda1": nodes})

    def commit(self, overlay: Path, *, image: Path) -> None:
        if self.dies_at is not None and len(self.commits) >= self.dies_at:
            raise KeyboardInterrupt
        self.commits.append(image.name)
        image.write_text(f"holds the {overlay.read_text()}")

    def left(self) -> list[str]:
        return sorted(path.name for path in self.images[0].parent.iterdir() if path not in self.images)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    return placed(Host(tmp_path), monkeypatch)


def placed(host: Host, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(validate, "create_overlay", host.create_overlay)
    monkeypatch.setattr(validate, "probe_image", lambda path: "qcow2")
    monkeypatch.setattr(assemble, "opened", host.opened)
    monkeypatch.setattr(qemu_img, "commit", host.commit)
    return host


def silent(event: object) -> None:
    pass


def test_all_images_are_written_and_nothing_is_left(host: Host) -> None:
    assert undo(host.settings, silent).restored == ("/etc/fstab",)
    assert host.commits == ["web-disk0.qcow2", "web-disk1.qcow2"]
    assert host.left() == []


def test_a_guest_without_a_journal_leaves_the_images_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    host = placed(Host(tmp_path, repaired=False), monkeypatch)
    assert undo(host.settings, silent).plans == ()
    assert (host.commits, host.left()) == ([], [])


def test_a_refused_undo_leaves_the_images_alone(host: Host) -> None:
    host.guest.write_bytes("/etc/fstab", b"UUID=1 / ext4 by-hand\n")
    with pytest.raises(ChangedSinceRepair):
        undo(host.settings, silent)
    assert (host.commits, host.left()) == ([], [])


@pytest.mark.parametrize("commits", [0, 1])
def test_a_run_killed_while_it_writes_is_finished_by_the_next(host: Host, commits: int) -> None:
    host.dies_at = commits
    with pytest.raises(KeyboardInterrupt):
        undo(host.settings, silent)
    assert host.left() == ["web-disk0.qcow2.undo", "web-disk1.qcow2.undo"]
    host.dies_at, host.commits = None, []
    notes: list[object] = []
    host.guest = MemoryGuest(TREE)  # what the images hold once they are written
    assert undo(host.settings, notes.append).plans == ()
    assert host.commits == ["web-disk0.qcow2", "web-disk1.qcow2"]
    assert any("interrupted" in str(note) for note in notes)
    assert host.left() == []


def test_a_run_killed_before_all_overlays_were_whole_begins_anew(host: Host) -> None:
    overlay_of(host.images[0]).write_text("of a killed run")
    host.images[1].with_name("web-disk1.qcow2.undo.part").write_text("half")
    undo(host.settings, silent)
    assert host.images[0].read_text() == "holds the overlay of web-disk0.qcow2"
    assert host.left() == []


def test_a_full_disk_keeps_the_overlays_for_the_next_run(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(overlay: Path, *, image: Path) -> None:
        raise OutputFull("no room.", hint="make some.", path=image)

    monkeypatch.setattr(qemu_img, "commit", full)
    with pytest.raises(OutputFull):
        undo(host.settings, silent)
    assert host.left() == ["web-disk0.qcow2.undo", "web-disk1.qcow2.undo"]


def test_an_image_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputNotFound):
        undo(Settings(image=(tmp_path / "none.qcow2",), output_dir=tmp_path / "out"), silent)
    assert list(tmp_path.iterdir()) == []
