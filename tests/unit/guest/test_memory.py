"""What MemoryGuest is beyond the contract: scripted programs and a tree to compare."""

import pytest

from vmdk2kvm.errors import GuestError
from vmdk2kvm.guest.memory import READ_LIMIT_BYTES, File, Folder, Link, MemoryGuest
from vmdk2kvm.guest.paths import parent, resolve
from vmdk2kvm.guest.protocol import CommandResult


def test_the_tree_holds_the_folders_on_the_way() -> None:
    guest = MemoryGuest({"/etc/x": "text", "/l": Link(target="etc")})
    assert guest.snapshot() == {
        "/": Folder(),
        "/etc": Folder(),
        "/etc/x": File(content=b"text"),
        "/l": Link(target="etc"),
    }
    assert guest.changed_since("0") == ()


def test_a_program_is_a_function_of_the_guest() -> None:
    def program(guest: MemoryGuest, argv: tuple[str, ...], env: dict[str, str]) -> CommandResult:
        guest.write_bytes("/out", f"{argv} {env['A']}".encode())
        return CommandResult(status=3, output="said")

    guest = MemoryGuest({}, programs=program)
    mark = guest.mark()
    assert guest.run(["x", "y"], timeout_s=1, env={"A": "b"}) == CommandResult(status=3, output="said")
    assert guest.changed_since(mark) == ("/out",)
    assert guest.read_text("/out") == "('x', 'y') b"
    assert guest.commands == [("x", "y")]


def test_without_programs_nothing_is_found() -> None:
    assert MemoryGuest({}).run(["x"], timeout_s=1).status == 127


def test_a_file_too_large_to_read_whole_can_be_opened() -> None:
    guest = MemoryGuest({"/big": bytes(READ_LIMIT_BYTES + 1), "/fits": bytes(READ_LIMIT_BYTES)})
    assert len(guest.read_bytes("/fits")) == READ_LIMIT_BYTES
    with pytest.raises(GuestError, match="16 MiB"):
        guest.read_bytes("/big")
    with guest.open("/big") as stream:
        assert len(stream.read()) == READ_LIMIT_BYTES + 1


def test_a_file_in_the_way_of_a_folder() -> None:
    guest = MemoryGuest({"/etc": b"not a folder"})
    with pytest.raises(GuestError):
        guest.make_folder("/etc/x")
    with pytest.raises(FileNotFoundError):
        guest.write_bytes("/etc/x", b"")


@pytest.mark.parametrize(
    ("path", "follow_last", "real"),
    [
        ("/", True, "/"),
        ("//a//./b/", True, "/a/b"),
        ("/../../a", True, "/a"),
        ("/to-etc/x", True, "/etc/x"),
        ("/to-etc", True, "/etc"),
        ("/to-etc", False, "/to-etc"),
        ("/a/up/x", True, "/x"),
        ("/a/up/../../x", True, "/x"),
        ("/a/deep", True, "/etc/none"),
    ],
)
def test_resolving(path: str, follow_last: bool, real: str) -> None:
    links = {"/to-etc": "/etc", "/a/up": "../..", "/a/deep": "../to-etc/none"}
    assert resolve(path, links.get, follow_last=follow_last) == real


def test_the_parent_of_a_path() -> None:
    assert (parent("/etc/fstab"), parent("/etc"), parent("/")) == ("/etc", "/", "/")
