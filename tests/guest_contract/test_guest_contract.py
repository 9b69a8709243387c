"""What every guest promises (guest/protocol.py), whether a dict, an appliance or a machine over SSH."""

import pytest

from tests.guest_contract.conftest import Populate
from vmdk2kvm.errors import GuestError
from vmdk2kvm.guest.memory import File, Folder, Link, Special
from vmdk2kvm.guest.protocol import FileType, GuestWriter


@pytest.fixture
def guest(populate: Populate) -> GuestWriter:
    return populate(
        {
            "/etc/fstab": b"/dev/sda1 / ext4\r\n\xff\n",
            "/etc/shadow": File(content=b"root:*\n", mode=0o640, uid=0, gid=42),
            "/etc/default/grub": "GRUB_TIMEOUT=5\n",
            "/etc/.hidden": b"",
            "/etc/pipe": Special(mode=0o600),
            "/etc/empty": Folder(mode=0o750),
            "/etc/mtab": Link(target="../proc/self/mounts"),
            "/usr/lib/modules/6.1/modules.dep": b"a:\n",
            "/lib": Link(target="usr/lib"),
            "/etc/absolute": Link(target="/etc/fstab"),
            "/etc/outside": Link(target="../../../../etc/fstab"),
            "/etc/chain": Link(target="absolute"),
            "/loop-a": Link(target="loop-b"),
            "/loop-b": Link(target="/loop-a"),
            "/boot/vmlinuz-6.1": b"kernel",
            "/boot/vmlinuz-5.10": b"kernel",
            "/boot/grub/grub.cfg": b"set root='hd0,msdos1'\n",
        }
    )


def test_bytes_and_text_survive(guest: GuestWriter) -> None:
    assert guest.read_bytes("/etc/fstab") == b"/dev/sda1 / ext4\r\n\xff\n"
    assert guest.read_text("/etc/fstab") == "/dev/sda1 / ext4\r\n\udcff\n"


def test_a_stream_is_seekable(guest: GuestWriter) -> None:
    with guest.open("/etc/fstab") as stream:
        stream.seek(5)
        assert stream.read(4) == b"sda1"
        stream.seek(3, 1)
        assert stream.read() == b"ext4\r\n\xff\n"
        assert stream.read(1) == b""


@pytest.mark.parametrize("path", ["/etc/none", "/none/none", "/etc/mtab"])
def test_what_is_not_there(guest: GuestWriter, path: str) -> None:
    assert not guest.exists(path)
    with pytest.raises(FileNotFoundError):
        guest.read_bytes(path)
    with pytest.raises(FileNotFoundError), guest.open(path):
        pass
    with pytest.raises(FileNotFoundError):
        guest.realpath(path)


def test_stat_of_nothing(guest: GuestWriter) -> None:
    with pytest.raises(FileNotFoundError):
        guest.stat("/etc/none")


def test_a_folder_is_no_file(guest: GuestWriter) -> None:
    assert guest.exists("/etc")
    for attempt in (guest.read_bytes, guest.read_text, lambda path: guest.write_bytes(path, b"")):
        with pytest.raises(GuestError):
            attempt("/etc")


def test_a_pipe_is_never_opened(guest: GuestWriter) -> None:
    assert guest.exists("/etc/pipe")
    assert guest.stat("/etc/pipe").type is FileType.OTHER
    assert "/etc/pipe" in guest.glob("/etc/*")
    assert "/etc/pipe" not in guest.list_tree("/etc")
    for attempt in (guest.read_bytes, guest.read_text, lambda path: guest.write_bytes(path, b"")):
        with pytest.raises(GuestError):
            attempt("/etc/pipe")
    with pytest.raises(GuestError), guest.open("/etc/pipe"):
        pass
    with pytest.raises(GuestError):
        guest.copy_within("/etc/pipe", "/etc/copy")
    with pytest.raises(GuestError):
        guest.make_symlink("/etc/pipe", "x")
    guest.remove("/etc/pipe")
    assert not guest.exists("/etc/pipe")


@pytest.mark.parametrize("path", ["/etc/absolute", "/etc/outside", "/etc/chain", "/etc/default/../fstab"])
def test_links_are_followed_inside_the_root(guest: GuestWriter, path: str) -> None:
    assert guest.read_bytes(path) == guest.read_bytes("/etc/fstab")
    assert guest.realpath(path) == "/etc/fstab"
    assert guest.exists(path)


def test_a_linked_folder_on_the_way(guest: GuestWriter) -> None:
    assert guest.read_bytes("/lib/modules/6.1/modules.dep") == b"a:\n"
    assert guest.realpath("/lib/modules/6.1") == "/usr/lib/modules/6.1"
    assert guest.list_tree("/lib/modules") == ("/lib/modules/6.1/modules.dep",)
    assert guest.glob("/lib/modules/*") == ("/lib/modules/6.1",)


def test_a_circle_of_links_is_an_error(guest: GuestWriter) -> None:
    for attempt in (guest.read_bytes, guest.realpath):
        with pytest.raises(GuestError):
            attempt("/loop-a")
    assert guest.readlink("/loop-a") == "loop-b"
    assert not guest.exists("/loop-a")
    assert guest.list_tree("/loop-a") == ()


def test_stat_does_not_follow(guest: GuestWriter) -> None:
    assert guest.stat("/etc/absolute").type is FileType.SYMLINK
    assert guest.stat("/etc/mtab").type is FileType.SYMLINK
    assert guest.stat("/etc").type is FileType.DIRECTORY
    shadow = guest.stat("/etc/shadow")
    assert (shadow.type, shadow.mode, shadow.uid, shadow.gid) == (FileType.REGULAR, 0o640, 0, 42)
    assert shadow.size_bytes == 7


def test_appending_keeps_what_was_there(guest: GuestWriter) -> None:
    before = guest.stat("/etc/shadow")
    large = bytes(range(256)) * (5 << 12)  # more than one message to an appliance holds
    guest.append_bytes("/etc/shadow", large)
    with guest.open("/etc/shadow") as stream:
        assert stream.read() == b"root:*\n" + large
    after = guest.stat("/etc/shadow")
    assert (after.mode, after.uid, after.gid) == (before.mode, before.uid, before.gid)
    guest.append_bytes("/etc/absolute", b"x")
    assert guest.read_bytes("/etc/fstab").endswith(b"\xff\nx")
    assert guest.stat("/etc/absolute").type is FileType.SYMLINK


def test_nothing_is_appended_to_what_is_not_there(guest: GuestWriter) -> None:
    with pytest.raises(FileNotFoundError):
        guest.append_bytes("/etc/none", b"x")
    with pytest.raises(GuestError):
        guest.append_bytes("/etc", b"x")


def test_readlink(guest: GuestWriter) -> None:
    assert guest.readlink("/etc/mtab") == "../proc/self/mounts"
    with pytest.raises(GuestError):
        guest.readlink("/etc/fstab")
    with pytest.raises(FileNotFoundError):
        guest.readlink("/etc/none")


def test_glob(guest: GuestWriter) -> None:
    assert guest.glob("/boot/vmlinuz-*") == ("/boot/vmlinuz-5.10", "/boot/vmlinuz-6.1")
    assert guest.glob("/boot/*") == ("/boot/grub", "/boot/vmlinuz-5.10", "/boot/vmlinuz-6.1")
    assert guest.glob("/boot/*.cfg") == ()
    assert guest.glob("/*/grub/grub.cfg") == ("/boot/grub/grub.cfg",)
    assert guest.glob("/boot/vmlinuz-[56].1") == ("/boot/vmlinuz-6.1",)
    assert guest.glob("/etc/fstab") == ("/etc/fstab",)
    assert guest.glob("/none/*") == ()
    assert "/etc/.hidden" not in guest.glob("/etc/*")
    assert guest.glob("/etc/.h*") == ("/etc/.hidden",)


def test_list_tree(guest: GuestWriter) -> None:
    assert guest.list_tree("/boot") == ("/boot/grub/grub.cfg", "/boot/vmlinuz-5.10", "/boot/vmlinuz-6.1")
    assert guest.list_tree("/etc") == ("/etc/.hidden", "/etc/default/grub", "/etc/fstab", "/etc/shadow")
    assert guest.list_tree("/etc/empty") == ()
    assert guest.list_tree("/none") == ()


def test_write_keeps_mode_and_owner(guest: GuestWriter) -> None:
    guest.write_bytes("/etc/shadow", b"new", mode=0o777)
    stat = guest.stat("/etc/shadow")
    assert (stat.mode, stat.uid, stat.gid, stat.size_bytes) == (0o640, 0, 42, 3)
    assert guest.read_bytes("/etc/shadow") == b"new"


def test_write_creates_with_the_mode(guest: GuestWriter) -> None:
    guest.write_bytes("/etc/new", b"\x00\xff", mode=0o600)
    assert guest.read_bytes("/etc/new") == b"\x00\xff"
    assert guest.stat("/etc/new").mode == 0o600


def test_write_goes_through_a_link(guest: GuestWriter) -> None:
    guest.write_bytes("/etc/chain", b"x")
    assert guest.readlink("/etc/chain") == "absolute"
    assert guest.read_bytes("/etc/fstab") == b"x"


def test_write_needs_the_folder(guest: GuestWriter) -> None:
    with pytest.raises(FileNotFoundError):
        guest.write_bytes("/none/file", b"")


def test_remove(guest: GuestWriter) -> None:
    guest.remove("/etc/absolute")
    assert guest.exists("/etc/fstab")
    guest.remove("/etc/fstab")
    assert not guest.exists("/etc/fstab")
    with pytest.raises(FileNotFoundError):
        guest.remove("/etc/fstab")
    with pytest.raises(GuestError):
        guest.remove("/etc/default")


def test_remove_folder(guest: GuestWriter) -> None:
    guest.remove_folder("/etc/empty")
    assert not guest.exists("/etc/empty")
    for path in ("/etc/default", "/etc/fstab", "/etc/absolute", "/"):
        with pytest.raises(GuestError):
            guest.remove_folder(path)
    assert guest.exists("/etc/default/grub")
    with pytest.raises(FileNotFoundError):
        guest.remove_folder("/etc/empty")


def test_remove_tree(guest: GuestWriter) -> None:
    guest.make_symlink("/usr/etc", "/etc")
    guest.remove_tree("/usr")
    assert guest.list_tree("/usr") == ()
    assert not guest.exists("/usr")
    assert guest.read_text("/etc/default/grub") == "GRUB_TIMEOUT=5\n", "a link was followed"
    for path in ("/etc/fstab", "/lib", "/"):
        with pytest.raises(GuestError):
            guest.remove_tree(path)
    with pytest.raises(FileNotFoundError):
        guest.remove_tree("/usr")


def test_make_symlink(guest: GuestWriter) -> None:
    guest.make_symlink("/etc/link", "default/grub")
    assert guest.read_text("/etc/link") == "GRUB_TIMEOUT=5\n"
    guest.make_symlink("/etc/link", "/etc/fstab")
    assert guest.readlink("/etc/link") == "/etc/fstab"
    with pytest.raises(GuestError):
        guest.make_symlink("/etc/fstab", "elsewhere")


def test_make_folder(guest: GuestWriter) -> None:
    guest.make_folder("/var/lib/vmdk2kvm/id", mode=0o700)
    assert guest.stat("/var/lib/vmdk2kvm/id").mode == 0o700
    guest.make_folder("/etc/empty", mode=0o700)
    assert guest.stat("/etc/empty").mode == 0o750
    with pytest.raises(GuestError):
        guest.make_folder("/etc/fstab")


def test_copy_within_keeps_mode_and_owner(guest: GuestWriter) -> None:
    guest.make_folder("/backup")
    guest.copy_within("/etc/shadow", "/backup/shadow")
    stat = guest.stat("/backup/shadow")
    assert (stat.mode, stat.uid, stat.gid) == (0o640, 0, 42)
    guest.copy_within("/etc/default/grub", "/backup/shadow")
    assert guest.read_text("/backup/shadow") == "GRUB_TIMEOUT=5\n"
    with pytest.raises(FileNotFoundError):
        guest.copy_within("/etc/none", "/backup/none")


def test_changes_since_a_mark(guest: GuestWriter) -> None:
    guest.write_bytes("/etc/before", b"")
    mark = guest.mark()
    assert guest.changed_since(mark) == ()
    guest.write_bytes("/etc/fstab", b"changed")
    guest.write_bytes("/etc/created", b"")
    guest.make_symlink("/etc/link", "fstab")
    assert guest.changed_since(mark) == ("/etc/created", "/etc/fstab", "/etc/link")


LABEL = "system_u:object_r:etc_t:s0"


def test_a_path_has_a_label_of_its_own(guest: GuestWriter) -> None:
    paths = ("/etc/fstab", "/etc/empty", "/etc/chain")
    for number, path in enumerate(paths):
        guest.set_label(path, f"{LABEL}:c{number}")
    assert [guest.label(path) for path in paths] == [f"{LABEL}:c{number}" for number in range(3)]
    assert guest.label("/etc/absolute") is None
    for attempt in (guest.label, lambda path: guest.set_label(path, LABEL)):
        with pytest.raises(FileNotFoundError):
            attempt("/etc/none")


def test_a_replaced_file_keeps_its_label_and_a_copy_has_it(guest: GuestWriter) -> None:
    guest.set_label("/etc/shadow", LABEL)
    guest.write_bytes("/etc/shadow", b"root:!\n")
    guest.append_bytes("/etc/shadow", b"more\n")
    guest.copy_within("/etc/shadow", "/etc/shadow-")
    assert [guest.label(path) for path in ("/etc/shadow", "/etc/shadow-")] == [LABEL, LABEL]
    guest.write_bytes("/etc/new", b"")
    assert guest.label("/etc/new") is None
