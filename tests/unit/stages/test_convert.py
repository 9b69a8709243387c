from pathlib import Path

import pytest

from vmdk2kvm.errors import OutputNotWritable
from vmdk2kvm.model.disk import DiskView, OutputFormat, Overlay
from vmdk2kvm.stages import convert


def test_a_second_target_that_cannot_be_written_leaves_nothing_of_the_first(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way of a folder")
    view = DiskView(name="d", index=0, node="json:{}", virtual_size_bytes=512, files=(), layer_count=1)
    overlays = [Overlay(path=tmp_path / f"{n}.overlay", view=view) for n in "ab"]
    targets = [tmp_path / "out/a.raw", tmp_path / "file/b.raw"]
    with pytest.raises(OutputNotWritable):
        convert.run(
            overlays,
            targets,
            format=OutputFormat.RAW,
            compress=False,
            checksum=False,
            workers=1,
            on_progress=lambda progress: None,
        )
    assert list((tmp_path / "out").iterdir()) == []
