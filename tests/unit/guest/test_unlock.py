"""Guests on LUKS, held in memory: opened with the keys given, and named when one is missing."""

from typing import Any

import pytest

from tests.luks_headers import UUID, argon2, luks1, luks2
from tests.memory_session import Locked, MemorySession, disk, partition
from vmdk2kvm.errors import GuestError, GuestRefused
from vmdk2kvm.guest.inspection import inspect, inspect_again
from vmdk2kvm.guest.protocol import BlockDevice, BlockKind
from vmdk2kvm.guest.unlock import MoreMemoryNeeded, memory_mib, passphrases, unlock, volumes
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.luks import LuksKey, LuksKeys, LuksVolume, Passphrase, Secret

OTHER_UUID = "22222222-2222-3333-4444-555555555555"
KEY = LuksKey(secret=Secret(b"secret"), setting="luks_passphrase_env")
WRONG = LuksKey(secret=Secret(b"wrong"), setting="luks_keyfile")
KEYS = LuksKeys(for_all=(WRONG, KEY))


def system(fstab: str, crypttab: str = "", **files: str) -> dict[str, Any]:
    return {
        "/etc/os-release": "ID=debian\n",
        "/etc/fstab": fstab,
        "/etc/crypttab": crypttab,
        "/usr/bin/sh": "",
        **files,
    }


def volume(name: str, content: str, uuid: str) -> BlockDevice:
    group, _, logical = name.rpartition("/")[2].partition("-")
    return BlockDevice(
        device=f"/dev/{group}/{logical}",
        kind=BlockKind.LVM,
        size_bytes=1 << 28,
        content=content,
        uuid=uuid,
        aliases=(f"/dev/mapper/{group}-{logical}",),
    )


def lvm_on_luks(**locked: Any) -> MemorySession:
    """/boot, and a volume group inside LUKS2, as Debian's installer makes it."""
    container = Locked(
        locked.get("header", luks2()), b"secret", "LVM2_member", volume("vg0-root", "ext4", "r"),
        volume("vg0-swap", "swap", "s"),
    )  # fmt: skip
    fstab = "/dev/mapper/vg0-root / ext4 defaults 0 1\n/dev/sda1 /boot ext4 defaults 0 2\n"
    crypttab = "sda5_crypt /dev/sda5 none luks,discard\n"
    return MemorySession(
        [
            disk("/dev/sda", 0),
            partition("/dev/sda1", "ext4", "b"),
            partition("/dev/sda5", "crypto_LUKS", UUID),
        ],
        {"/dev/vg0/root": system(fstab, crypttab, **{"/boot/.keep": ""}), "/dev/sda1": {}},
        luks={"/dev/sda5": container},
    )


def found(session: MemorySession, keys: LuksKeys = KEYS) -> GuestOs:
    assert unlock(session, keys, memory_mib=2048) == ()
    return inspect(session)


def test_lvm_on_luks_is_opened_and_gets_the_guests_own_names() -> None:
    session = lvm_on_luks()
    os = found(session)
    assert [(one.device, one.mountpoint) for one in os.mounts] == [
        ("/dev/vg0/root", "/"),
        ("/dev/sda1", "/boot"),
    ]
    (luks,) = os.luks
    assert (luks.device, luks.mapping, luks.error) == ("/dev/sda5", "/dev/mapper/sda5_crypt", None)
    assert luks.header and (luks.header.uuid, luks.header.memory_kib) == (UUID, 1048576)
    assert luks.refused == ("luks_keyfile",), "it was tried first"
    assert "/dev/mapper/sda5_crypt" in [one.device for one in os.names.filesystems]
    assert inspect_again(session, os).luks == os.luks


@pytest.mark.parametrize(
    ("crypttab", "arguments", "name"),
    [
        (f"root_crypt UUID={UUID.upper()} none\n", "", "root_crypt"),
        ("", 'GRUB_CMDLINE_LINUX="cryptdevice=/dev/sda2:cryptroot:allow-discards rw"\n', "cryptroot"),
        ("", f"GRUB_CMDLINE_LINUX='rd.luks.name={UUID}=enc'\n", "enc"),
        ("", f"GRUB_CMDLINE_LINUX=cryptopts=target=c0,source=UUID={UUID},lvm=x\n", "c0"),
        ("", f"GRUB_CMDLINE_LINUX=cryptopts=source=UUID={UUID}\n", "cryptroot"),
        ("", "", f"luks-{UUID}"),
        (f"../x UUID={UUID}\n", "", f"luks-{UUID}"),
        (f"control UUID={UUID}\n", "", f"luks-{UUID}"),
        (f"-x UUID={UUID}\n", "", f"luks-{UUID}"),
        (f". UUID={UUID}\n", "", f"luks-{UUID}"),
        ("x /dev/sdq9\n", "", f"luks-{UUID}"),
    ],
)
def test_the_whole_root_is_found_by_the_name_that_the_guest_gives(
    crypttab: str, arguments: str, name: str
) -> None:
    root = system(f"/dev/mapper/{name} / ext4 defaults 0 1\n", crypttab, **{"/etc/default/grub": arguments})
    session = MemorySession(
        [disk("/dev/sda", 0), partition("/dev/sda2", "crypto_LUKS", UUID)],
        {f"/dev/mapper/luks-{UUID}": root},
        luks={"/dev/sda2": Locked(luks1(), b"secret", "ext4")},
    )
    os = found(session)
    assert [one.device for one in os.mounts] == [f"/dev/mapper/{name}"]
    resolved = os.names.resolve(f"/dev/mapper/{name}")
    assert resolved and resolved.type == "ext4"


def test_mkinitcpio_has_a_table_of_its_own() -> None:
    root = system("UUID=inside / ext4\n", **{"/etc/crypttab.initramfs": f"arch UUID={UUID}\n"})
    session = MemorySession(
        [disk("/dev/sda", 0), partition("/dev/sda2", "crypto_LUKS", UUID)],
        {f"/dev/mapper/luks-{UUID}": root},
        luks={"/dev/sda2": Locked(luks2(), b"secret", "ext4")},
    )
    assert found(session).mounts[0].device == "/dev/mapper/arch"


def test_luks_on_lvm_and_several_volumes() -> None:
    session = MemorySession(
        [
            disk("/dev/sda", 0),
            volume("vg0-root", "crypto_LUKS", UUID),
            volume("vg0-home", "crypto_LUKS", OTHER_UUID),
        ],
        {
            f"/dev/mapper/luks-{UUID}": system(
                "/dev/mapper/root / ext4\n/dev/mapper/home /home ext4\n",
                "root /dev/mapper/vg0-root none\nhome /dev/vg0/home none\n",
                **{"/home/.keep": ""},
            ),
            f"/dev/mapper/luks-{OTHER_UUID}": {},
        },
        luks={
            "/dev/vg0/root": Locked(luks2(), b"secret", "ext4", uuid="r"),
            "/dev/vg0/home": Locked(luks2(OTHER_UUID), b"wrong", "ext4", uuid="h"),
        },
    )
    assert [one.mountpoint for one in found(session).mounts] == ["/", "/home"]


def test_luks_inside_luks() -> None:
    inner = partition("/dev/sdb1", "crypto_LUKS", OTHER_UUID)
    outer = Locked(luks2(), b"secret", "LVM2_member", inner)
    session = MemorySession(
        [disk("/dev/sda", 0), partition("/dev/sda1", "crypto_LUKS", UUID)],
        {},
        luks={"/dev/sda1": outer, "/dev/sdb1": Locked(luks1(OTHER_UUID), b"secret", "ext4")},
    )
    unlock(session, KEYS, memory_mib=2048)
    assert session.luks["/dev/sdb1"].opened_by == KEY


def test_a_data_volume_that_stays_locked_is_no_obstacle() -> None:
    session = lvm_on_luks()
    session._devices = (*session._devices, partition("/dev/sda6", "crypto_LUKS", OTHER_UUID))
    session.luks["/dev/sda6"] = Locked(luks2(OTHER_UUID), b"another", "ext4")
    os = found(session)
    assert [(one.device, one.mapping, one.refused) for one in os.luks][1] == (
        "/dev/sda6",
        None,
        ("luks_passphrase_env", "luks_keyfile"),
    )


def test_a_locked_usr_is() -> None:
    session = lvm_on_luks()
    root = session._trees["/dev/vg0/root"]
    fstab = "/dev/vg0/root / ext4\n/dev/mapper/usr_crypt /usr ext4\n"
    session._trees = {"/dev/vg0/root": {**root, "/etc/fstab": fstab}, "/dev/sda1": {}}
    session._devices = (*session._devices, partition("/dev/sda6", "crypto_LUKS", OTHER_UUID))
    session.luks["/dev/sda6"] = Locked(luks2(OTHER_UUID), b"another", "ext4")
    with pytest.raises(GuestRefused, match=f'"{OTHER_UUID}".*"/dev/sda6".*"/usr"') as refused:
        found(session)
    assert "luks_keys" in refused.value.hint


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        (LuksKeys(), "no key for it was given"),
        (LuksKeys(for_all=(WRONG,)), "the key of luks_keyfile does not open it"),
    ],
)
def test_a_locked_root_names_its_uuid_and_the_settings(keys: LuksKeys, why: str) -> None:
    with pytest.raises(GuestRefused, match=f'"{UUID}".*{why}') as refused:
        found(lvm_on_luks(), keys)
    assert refused.value.exit_code == 5
    assert all(name in refused.value.hint for name in ("luks_passphrase_env", "luks_keyfile", "luks_keys"))


def test_a_header_that_cannot_be_believed_is_not_opened() -> None:
    session = lvm_on_luks(header=luks2()[:5000])
    with pytest.raises(GuestRefused, match="checksum is wrong"):
        found(session)
    assert session.luks["/dev/sda5"].refused == []


@pytest.mark.parametrize("name", [UUID.upper(), "/dev/sda5"])
def test_a_key_for_one_volume_must_fit(name: str) -> None:
    own = LuksKey(secret=Secret(b"nope"), setting="luks_keys")
    with pytest.raises(GuestRefused, match=f'luks_keys.*"{UUID}".*does not open it'):
        unlock(lvm_on_luks(), LuksKeys(by_volume={name: (own,)}, for_all=(KEY,)), memory_mib=2048)


def test_names_of_no_volume_are_told() -> None:
    keys = LuksKeys(by_volume={"/dev/sdz1": (WRONG,), UUID: (KEY,)})
    assert unlock(lvm_on_luks(), keys, memory_mib=2048) == ('luks_keys for "/dev/sdz1"',)


def test_a_key_for_disks_without_encryption_is_told() -> None:
    session = MemorySession([disk("/dev/sda", 0), partition("/dev/sda1", "ext4", "u")], {})
    keys = LuksKeys(by_volume={"x\x1b": (KEY,)}, for_all=(KEY, WRONG, WRONG))
    assert unlock(session, keys, memory_mib=2048) == (
        "luks_passphrase_env",
        "luks_keyfile",
        'luks_keys for "x\\x1b"',
    )


def test_the_header_says_how_much_memory_the_appliance_needs() -> None:
    session = lvm_on_luks(header=luks2(keyslots={"0": argon2(2 << 20)}))
    with pytest.raises(MoreMemoryNeeded, match="2816 MiB") as needed:
        unlock(session, KEYS, memory_mib=2048)
    assert needed.value.memory_mib == 2816
    assert session.luks["/dev/sda5"].refused == []
    assert unlock(session, KEYS, memory_mib=2816) == ()


def test_a_volume_nobody_opens_costs_no_memory() -> None:
    session = lvm_on_luks(header=luks2(keyslots={"0": argon2(4 << 20)}))
    assert unlock(session, LuksKeys(), memory_mib=2048) == ()


def test_a_copy_of_an_open_volume_stays_closed() -> None:
    session = lvm_on_luks()
    session._devices = (*session._devices, partition("/dev/sdb5", "crypto_LUKS", UUID))
    session.luks["/dev/sdb5"] = Locked(luks2(), b"secret", "LVM2_member")
    unlock(session, KEYS, memory_mib=2048)
    assert session.luks["/dev/sdb5"].opened_by is None


def test_the_boot_test_knows_what_to_type_and_how_much_memory_that_takes() -> None:
    session = lvm_on_luks()
    locked = volumes(session, session.block_devices())
    assert passphrases(session, locked) == ()
    assert memory_mib(locked) == 1024 + 768
    os = found(session)
    assert passphrases(session, os.luks) == (Passphrase(secret=KEY.secret, names=("sda5_crypt", UUID)),)
    assert memory_mib(os.luks) == 1024 + 768
    assert memory_mib(()) == 0
    assert memory_mib([LuksVolume(device="/dev/sda1", header=None, error="x")]) == 0


@pytest.mark.parametrize(
    ("entry", "is_open"),
    [
        (f"data UUID={OTHER_UUID} /etc/keys/data luks", True),
        ("data /dev/sda6 /etc/keys/data", True),
        (f"data UUID={OTHER_UUID} /etc/keys/data luks,noauto", False),
        (f"data UUID={OTHER_UUID} /etc/keys/data keyfile-size=4", False),
        (f"data UUID={OTHER_UUID} /etc/keys/data keyscript=/x", False),
        (f"data UUID={OTHER_UUID} /etc/keys/nothing luks", False),
        (f"data UUID={OTHER_UUID} /etc/keys/wrong luks", False),
        (f"../data UUID={OTHER_UUID} /etc/keys/data luks", False),
        (f"data UUID={OTHER_UUID} /dev/urandom swap", False),
        (f"data UUID={OTHER_UUID} none luks", True),
        (f"d UUID={OTHER_UUID} none luks", False),
    ],
)
def test_a_volume_whose_key_lies_in_the_guest_is_opened_with_it(entry: str, is_open: bool) -> None:
    session = lvm_on_luks()
    root = dict(session._trees["/dev/vg0/root"])
    root |= {
        "/etc/crypttab": f"sda5_crypt /dev/sda5 none luks\n{entry}\n",
        "/etc/keys/data": "another",
        "/etc/cryptsetup-keys.d/data.key": "another",
        "/etc/keys/wrong": "no",
        "/etc/fstab": f"{root['/etc/fstab']}/dev/mapper/data /srv ext4 nofail\n",
        "/srv/.keep": "",
    }
    session._trees = {"/dev/vg0/root": root, "/dev/sda1": {}, "/dev/mapper/data": {}}
    session._devices = (*session._devices, partition("/dev/sda6", "crypto_LUKS", OTHER_UUID))
    session.luks["/dev/sda6"] = Locked(luks2(OTHER_UUID), b"another", "ext4", uuid="d")
    os = found(session)
    assert os.luks[1].mapping == ("/dev/mapper/data" if is_open else None)
    assert ("/srv" in [one.mountpoint for one in os.mounts]) is is_open
    if entry.endswith("/etc/keys/wrong luks"):
        assert '"/etc/keys/wrong" in the guest' in os.luks[1].refused


def test_volumes_that_may_be_away_are_not_waited_for() -> None:
    session = lvm_on_luks()
    root = session._trees["/dev/vg0/root"]
    fstab = "/dev/vg0/root / ext4\n/dev/mapper/var_crypt /var ext4 nofail\n"
    session._trees = {"/dev/vg0/root": {**root, "/etc/fstab": fstab}, "/dev/sda1": {}}
    session._devices = (*session._devices, partition("/dev/sda6", "crypto_LUKS", OTHER_UUID))
    session.luks["/dev/sda6"] = Locked(luks2(OTHER_UUID), b"another", "ext4")
    assert found(session).luks[1].mapping is None


def test_of_two_systems_the_one_that_says_so_is_the_root() -> None:
    inside = f"/dev/mapper/luks-{UUID}"
    root = system("/dev/mapper/cr_root / ext4\n", "cr_root /dev/sda2 none\n")
    session = MemorySession(
        [
            disk("/dev/sda", 0),
            partition("/dev/sda1", "ext4", "old"),
            partition("/dev/sda2", "crypto_LUKS", UUID),
        ],
        {"/dev/sda1": system("UUID=gone / ext4\n"), inside: root},
        luks={"/dev/sda2": Locked(luks2(), b"secret", "ext4")},
    )
    assert found(session).mounts[0].device == "/dev/mapper/cr_root"


def test_a_key_that_opened_one_volume_is_tried_first_on_the_next() -> None:
    session = lvm_on_luks()
    session._devices = (*session._devices, partition("/dev/sda6", "crypto_LUKS", OTHER_UUID))
    session.luks["/dev/sda6"] = Locked(luks2(OTHER_UUID), b"secret", "ext4", uuid="x")
    unlock(session, KEYS, memory_mib=2048)
    assert session.luks_keys("/dev/sda5") == (KEY, (WRONG,))
    assert session.luks_keys("/dev/sda6") == (KEY, ())


def test_a_name_that_cannot_be_given_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    session = lvm_on_luks()

    def refuse(device: str, name: str) -> None:
        raise GuestError("no", hint="")

    monkeypatch.setattr(session, "rename_luks", refuse)
    assert found(session).luks[0].mapping == f"/dev/mapper/luks-{UUID}"
