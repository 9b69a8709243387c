import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.formats.kernel_modules import (
    module_of_path,
    normalised,
    parse_builtin,
    parse_dependencies,
    with_dependencies,
)


@pytest.mark.parametrize(
    ("path", "module"),
    [
        ("kernel/drivers/block/virtio_blk.ko", "virtio_blk"),
        ("/lib/modules/6.1/kernel/drivers/scsi/virtio-scsi.ko.xz", "virtio_scsi"),
        ("a.ko.zst", "a"),
        ("a.ko.gz", "a"),
        ("x/.ko", None),
        ("x/a.ko.sig", None),
        ("x/a.kobject", None),
        ("x.ko/readme", None),
        ("", None),
    ],
)
def test_the_module_of_a_path(path: str, module: str | None) -> None:
    assert module_of_path(path) == module


def test_dependencies() -> None:
    text = "kernel/a-b.ko.xz: kernel/c.ko kernel/d.ko\nkernel/c.ko:\r\n\nnonsense\nkernel/d.ko: readme\n"
    assert parse_dependencies(text) == {"a_b": {"c", "d"}, "c": frozenset(), "d": frozenset()}


def test_builtin() -> None:
    assert parse_builtin("kernel/fs/ext4/ext4.ko\nkernel/x-y.ko\n\n#\n") == {"ext4", "x_y"}


def test_the_closure_reaches_the_end_and_survives_a_circle() -> None:
    needs = {"a": frozenset({"b"}), "b": frozenset({"c", "a"}), "c": frozenset(), "d": frozenset()}
    assert with_dependencies(["a"], needs) == {"a", "b", "c"}
    assert with_dependencies(["virtio-blk"], needs) == {"virtio_blk"}
    assert with_dependencies([], needs) == frozenset()


names = st.text(st.sampled_from("abc_-"), min_size=1, max_size=6)


@given(st.dictionaries(names, st.lists(names, max_size=4), max_size=6))
def test_a_rendered_table_reads_back(table: dict[str, list[str]]) -> None:
    text = "".join(
        f"kernel/{name}.ko: {' '.join(f'kernel/{each}.ko' for each in needed)}\n"
        for name, needed in table.items()
    )
    expected = {normalised(name): frozenset(map(normalised, needed)) for name, needed in table.items()}
    assert parse_dependencies(text) == expected
