"""Encrypted guests on real disks: headers that cryptsetup wrote, opened inside the appliance."""

from collections.abc import Iterator

import pytest

from tests.appliance.test_offline_guest import boot, system
from tests.offline_guests import Shelf, fill, shelf
from vmdk2kvm.errors import GuestRefused
from vmdk2kvm.guest.offline_guest import OfflineGuest
from vmdk2kvm.guest.unlock import unlock
from vmdk2kvm.model.luks import LuksKey, LuksKeys, Secret
from vmdk2kvm.stages import inspect

pytestmark = [pytest.mark.appliance, pytest.mark.timeout(900)]

ROOT_UUID = "11111111-2222-3333-4444-555555555555"
INNER_UUID = "33333333-2222-3333-4444-555555555555"  # one appliance holds all guests
HOME_UUID = "22222222-2222-3333-4444-555555555555"
KEY = LuksKey(secret=Secret(b"two words"), setting="luks_passphrase_env")
BINARY = LuksKey(secret=Secret(b"\0\xff\n"), setting="luks_keyfile")
WRONG = LuksKey(secret=Secret(b"wrong"), setting="luks_keyfile")
FORMAT = "cryptsetup luksFormat -q --pbkdf-force-iterations 4 --pbkdf argon2id --pbkdf-memory 32768"
FORMAT1 = "cryptsetup luksFormat -q --type luks1 --pbkdf-force-iterations 1000"


@pytest.fixture(scope="module")
def disks(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shelf]:
    with shelf((600,) * 4, tmp_path_factory.mktemp("luks")) as found:
        yield found


def left_behind(session: OfflineGuest) -> str:
    return session._appliance.shell("ls /run/vmdk2kvm").text


def test_lvm_on_luks(disks: Shelf) -> None:
    script = f"""
        printf 'label: gpt\\n,100M\\n,\\n' | sfdisk -q $A; udevadm settle
        printf 'two words' >/run/k
        {FORMAT} --label Vault --uuid {ROOT_UUID} --key-file /run/k ${{A}}2
        cryptsetup open --key-file /run/k ${{A}}2 crypt-x; rm /run/k
        pvcreate -q /dev/mapper/crypt-x; vgcreate -q vgluks /dev/mapper/crypt-x
        lvcreate -q -n root -L 200M vgluks; lvcreate -q -n swap -L 40M vgluks
        mkfs.ext4 -q ${{A}}1; mkfs.ext4 -q /dev/vgluks/root; mkswap -q /dev/vgluks/swap
        vgchange -q -a n vgluks; cryptsetup close crypt-x
    """
    with disks.guest(script, groups=["vgluks", "luks", "crypt"]) as session:
        with pytest.raises(GuestRefused, match=f'"{ROOT_UUID}".*no key'):
            inspect.run(session)
        with pytest.raises(GuestRefused, match="the key of luks_keyfile does not open it"):
            unlock(session, LuksKeys(for_all=(WRONG,)), memory_mib=1024)
            inspect.run(session)
        unlock(session, LuksKeys(for_all=(WRONG, KEY)), memory_mib=1024)
        fstab = "/dev/mapper/vgluks-root / ext4\n/dev/sda1 /boot ext4\n/dev/mapper/vgluks-swap none swap\n"
        session.mount("/dev/vgluks/root", "/")
        crypttab = "crypt-sda2 /dev/sda2 none luks,discard\n"
        fill(session, {**system(fstab), **boot(), "/etc/crypttab": crypttab})
        os = inspect.run(session).os
        assert [(one.device, one.mountpoint) for one in os.mounts] == [
            ("/dev/vgluks/root", "/"),
            ("/dev/sda1", "/boot"),
        ]
        (luks,) = os.luks
        assert luks.mapping == "/dev/mapper/crypt-sda2"
        assert luks.header and (luks.header.label, luks.header.memory_kib) == ("Vault", 32768)
        container = os.names.resolve("/dev/sda2")
        assert container and container.uuid == ROOT_UUID
        session.write_bytes("/etc/new", b"x" * 100_000)
        session.remove("/etc/new")
        assert session.trim() == (), "discards go through to the disk"
        assert "key" not in left_behind(session)


def test_luks_on_lvm_with_a_key_file_in_the_guest(disks: Shelf) -> None:
    script = f"""
        pvcreate -q $A; vgcreate -q vgplain $A
        lvcreate -q -n root -L 200M vgplain; lvcreate -q -n home -L 60M vgplain
        printf '\\000\\377\\n' >/run/k; printf 'of home\\n' >/run/h
        {FORMAT1} --uuid {INNER_UUID} --key-file /run/k /dev/vgplain/root
        {FORMAT} --uuid {HOME_UUID} --key-file /run/h /dev/vgplain/home
        cryptsetup open --key-file /run/k /dev/vgplain/root crypt-r
        cryptsetup open --key-file /run/h /dev/vgplain/home crypt-h
        mkfs.ext4 -q /dev/mapper/crypt-r; mkfs.ext4 -q /dev/mapper/crypt-h
        cryptsetup close crypt-r; cryptsetup close crypt-h; rm /run/k /run/h
    """
    with disks.guest(script, groups=["vgplain", "luks", "crypt"]) as session:
        unlock(session, LuksKeys(by_volume={"/dev/vgplain/root": (BINARY,)}), memory_mib=1024)
        session.mount(f"/dev/mapper/luks-{INNER_UUID}", "/")
        crypttab = f"crypt-root /dev/mapper/vgplain-root none\ncrypt-home UUID={HOME_UUID} /etc/home.key\n"
        fstab = "/dev/mapper/crypt-root / ext4\n/dev/mapper/crypt-home /home ext4\n"
        files = {"/etc/crypttab": crypttab, "/etc/home.key": "of home\n"}
        fill(session, {**system(fstab), **boot(), **files})
        os = inspect.run(session).os
        assert [(one.device, one.mountpoint) for one in os.mounts] == [
            ("/dev/mapper/crypt-root", "/"),
            ("/dev/mapper/crypt-home", "/home"),
        ]
        assert [one.mapping for one in os.luks] == ["/dev/mapper/crypt-home", "/dev/mapper/crypt-root"]
        assert "key" not in left_behind(session)
