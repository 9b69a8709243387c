import pytest

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.pending import PendingGuest, UnknownAfter
from vmdk2kvm.guest.memory import File, Link, MemoryGuest
from vmdk2kvm.guest.protocol import FileType
from vmdk2kvm.model.changes import MakeSymlink, RemoveFile, RemoveLink, RunCommand, WriteFile


@pytest.fixture
def guest() -> MemoryGuest:
    return MemoryGuest(
        {
            "/etc/fstab": File(content=b"old", mode=0o640, gid=6),
            "/etc/default/grub": b"grub",
            "/usr/lib/os-release": b"ID=debian",
            "/etc/os-release": Link(target="../usr/lib/os-release"),
            "/lib": Link(target="usr/lib"),
        }
    )


@pytest.fixture
def pending(guest: MemoryGuest) -> PendingGuest:
    return PendingGuest(guest)


def write(path: str, after: bytes, before: bytes | None = None) -> WriteFile:
    return WriteFile(path=path, before=before, after=after, mode=0o600)


def test_without_changes_the_guest_shows_through(pending: PendingGuest) -> None:
    assert pending.read_text("/etc/fstab") == "old"
    assert pending.glob("/etc/*") == ("/etc/default", "/etc/fstab", "/etc/os-release")
    assert pending.list_tree("/etc") == ("/etc/default/grub", "/etc/fstab")
    assert pending.realpath("/lib/os-release") == "/usr/lib/os-release"
    assert pending.readlink("/lib") == "usr/lib"
    with pytest.raises(FileNotFoundError):
        pending.read_bytes("/none")


def test_a_write_is_seen_everywhere(guest: MemoryGuest, pending: PendingGuest) -> None:
    pending.add(write("/etc/fstab", b"changed", b"old"))
    assert pending.read_bytes("/etc/fstab") == b"changed"
    with pending.open("/etc/fstab") as stream:
        assert stream.read() == b"changed"
    stat = pending.stat("/etc/fstab")
    assert (stat.size_bytes, stat.mode, stat.gid) == (7, 0o640, 6)
    assert guest.read_bytes("/etc/fstab") == b"old"


def test_a_new_file_and_its_folder_are_there(pending: PendingGuest) -> None:
    pending.add(write("/etc/new.d/x.conf", b"abc"))
    assert pending.exists("/etc/new.d/x.conf")
    assert pending.exists("/etc/new.d")
    assert not pending.exists("/etc/new.d/y.conf")
    assert pending.glob("/etc/new.d/*.conf") == ("/etc/new.d/x.conf",)
    assert pending.glob("/etc/new.d/.x*") == ()
    assert pending.list_tree("/etc/new.d") == ("/etc/new.d/x.conf",)
    stat = pending.stat("/etc/new.d/x.conf")
    assert (stat.type, stat.size_bytes, stat.mode) == (FileType.REGULAR, 3, 0o600)
    assert pending.realpath("/etc/new.d/x.conf") == "/etc/new.d/x.conf"


def test_a_removed_file_is_gone_and_can_come_back(pending: PendingGuest) -> None:
    pending.add(RemoveFile(path="/etc/fstab", before=b"old"))
    assert not pending.exists("/etc/fstab")
    assert "/etc/fstab" not in pending.glob("/etc/*")
    assert pending.list_tree("/etc") == ("/etc/default/grub",)
    for ask in (pending.read_bytes, pending.stat, pending.realpath, pending.readlink):
        with pytest.raises(FileNotFoundError):
            ask("/etc/fstab")
    pending.add(write("/etc/fstab", b"again"))
    assert pending.read_bytes("/etc/fstab") == b"again"
    assert "/etc/fstab" in pending.glob("/etc/*")


def test_writes_go_through_links(pending: PendingGuest) -> None:
    pending.add(write("/etc/os-release", b"ID=x", b"ID=debian"))
    assert pending.read_bytes("/usr/lib/os-release") == b"ID=x"
    assert pending.read_bytes("/lib/os-release") == b"ID=x"
    assert pending.readlink("/etc/os-release") == "../usr/lib/os-release"


def test_a_planned_link_is_followed(pending: PendingGuest) -> None:
    pending.add(MakeSymlink(path="/etc/link", before=None, target="fstab"))
    assert pending.read_bytes("/etc/link") == b"old"
    assert pending.readlink("/etc/link") == "fstab"
    assert pending.stat("/etc/link").type is FileType.SYMLINK
    assert pending.realpath("/etc/link") == "/etc/fstab"
    assert "/etc/link" in pending.glob("/etc/*")


def test_a_removed_link_is_gone_and_not_what_it_led_to(pending: PendingGuest) -> None:
    change = RemoveLink(path="/lib", before="usr/lib")
    assert pending.matches(change)
    assert not pending.matches(RemoveLink(path="/lib", before="other"))
    assert not pending.matches(RemoveLink(path="/etc/fstab", before="x"))
    pending.add(change)
    assert not pending.exists("/lib")
    assert pending.read_bytes("/usr/lib/os-release") == b"ID=debian"
    assert "/lib" not in pending.glob("/*")
    with pytest.raises(FileNotFoundError):
        pending.readlink("/lib")


def test_matches_compares_with_what_was_planned(pending: PendingGuest) -> None:
    assert pending.matches(write("/etc/fstab", b"x", b"old"))
    assert not pending.matches(write("/etc/fstab", b"x", b"other"))
    assert not pending.matches(write("/etc/fstab", b"x"))
    assert pending.matches(write("/etc/none", b"x"))
    assert pending.matches(RemoveFile(path="/etc/fstab", before=b"old"))
    assert not pending.matches(RemoveFile(path="/etc/none", before=b""))
    assert pending.matches(MakeSymlink(path="/lib", before="usr/lib", target="x"))
    assert not pending.matches(MakeSymlink(path="/lib", before=None, target="x"))
    assert pending.matches(MakeSymlink(path="/etc/link", before=None, target="x"))
    assert not pending.matches(MakeSymlink(path="/etc/fstab", before=None, target="x"))
    pending.add(write("/etc/fstab", b"x", b"old"))
    assert pending.matches(write("/etc/fstab", b"y", b"x"))


def test_what_an_opaque_change_may_write_is_unknown(pending: PendingGuest) -> None:
    command = RunCommand(argv=("x",), done_when="/x", may_write=("/usr/lib/", "/etc/fstab"))
    pending.add(command, command.may_write)
    assert pending.read_bytes("/etc/default/grub") == b"grub"
    assert pending.glob("/etc/default/*") == ("/etc/default/grub",)
    asks = (pending.read_bytes, pending.read_text, pending.open, pending.exists, pending.stat)
    for ask in (*asks, pending.realpath, pending.glob):
        with pytest.raises(UnknownAfter):
            ask("/etc/fstab")
    for path in ("/etc/os-release", "/lib/os-release", "/usr/lib/os-release"):
        with pytest.raises(UnknownAfter):
            pending.read_bytes(path)
    for pattern in ("/etc/*", "/usr/*/os-release", "/*"):
        with pytest.raises(UnknownAfter):
            pending.glob(pattern)
    with pytest.raises(UnknownAfter):
        pending.list_tree("/usr")


def test_a_circle_of_links_is_an_error() -> None:
    pending = PendingGuest(MemoryGuest({"/a": Link(target="b"), "/b": Link(target="a")}))
    with pytest.raises(GuestError):
        pending.read_bytes("/a")
    assert pending.list_tree("/a") == ()
