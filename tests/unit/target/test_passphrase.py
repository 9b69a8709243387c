"""Where a guest asks for a passphrase, and what is typed there."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vmdk2kvm.model.luks import Passphrase, Secret
from vmdk2kvm.target.passphrase import Answer, Channel, Typist, key_presses, question_in

ROOT = Passphrase(secret=Secret(b"root pass"), names=("sda5_crypt", "11111111-2222-3333-4444-555555555555"))
DATA = Passphrase(secret=Secret(b"data"), names=("data",))
ASKED = "Please unlock disk sda5_crypt: "
AGAIN_S = 100.0


@pytest.mark.parametrize(
    "line",
    [
        ASKED,
        "Please unlock disk /dev/disk/by-uuid/1111-2222 (sda5_crypt): ",
        "Please enter passphrase for disk QEMU_HARDDISK (luks-11111111): ",
        "\N{CLOSED LOCK WITH KEY} Please enter passphrase for disk root (cr): (press TAB for no echo) ",
        "Please enter passphrase for disk VMware_Virtual_S (cr_sda2)!: ",
        "[    7.1] Please enter passphrase for disk cr_home!",
        "Enter passphrase for hd0,msdos1 (11111111222233334444555555555555): ",
        "Enter passphrase for /dev/sda2: ",
        "Enter passphrase for cryptroot:",
        "Enter passphrase: ",
        "Caching passphrase for sda5_crypt: ",
        "Password (/dev/disk/by-uuid/1111): ",
        "Please unlock disk sda5_crypt: _",
        "Please unlock disk sda5_crypt: ?",
    ],
)
def test_questions(line: str) -> None:
    assert question_in(f"Begin: Running /scripts/local-top ...\n{line}\n") == line.strip()


@pytest.mark.parametrize(
    "line",
    [
        "Please unlock disk sda5_crypt: ******",
        "cryptsetup: sda5_crypt: set up successfully",
        "cryptsetup: ERROR: sda5_crypt: cryptsetup failed, bad password or options?",
        "web01 login: ",
        "Password: ",
        "Enter username:",
        "[  OK  ] Reached target Local Encrypted Volumes.",
        "Starting systemd-cryptsetup: please enter passphrase for disk on the console, or give up",
    ],
)
def test_no_questions(line: str) -> None:
    assert question_in(f"{line}\n") is None


def test_keys_of_a_us_keyboard() -> None:
    assert key_presses(b"aZ1 !") == [("a",), ("shift", "z"), ("1",), ("spc",), ("shift", "1")]
    assert key_presses(b"\"'~`\\|") == [
        ("shift", "apostrophe"), ("apostrophe",), ("shift", "grave_accent"), ("grave_accent",),
        ("backslash",), ("shift", "backslash"),
    ]  # fmt: skip


@given(st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), min_size=1))
def test_every_printable_character_has_keys_of_its_own(text: str) -> None:
    keys = key_presses(text.encode())
    assert keys is not None and len(keys) == len(text)
    single = {chr(code): tuple(key_presses(bytes([code])) or ()) for code in range(0x20, 0x7F)}
    assert len(set(single.values())) == len(single)


@pytest.mark.parametrize("text", [b"", "ü".encode(), b"\xff", b"a\n", b"a\tb", b"a\0"])
def test_what_a_us_keyboard_has_not(text: bytes) -> None:
    assert key_presses(text) is None


def typist(*passphrases: Passphrase) -> Typist:
    return Typist(passphrases, again_s=AGAIN_S)


def serial(secret: Secret) -> Answer:
    return Answer(channel=Channel.SERIAL, secret=secret)


def keyboard(secret: Secret) -> Answer:
    return Answer(channel=Channel.KEYBOARD, secret=secret)


def test_the_serial_console_is_answered_once_for_each_question() -> None:
    one = typist(DATA, ROOT)
    one.heard(b"Begin...\r\nPlease unlock disk sda5_")
    assert one.look(0.0, "") is None
    one.heard(b"crypt: ")
    assert one.look(0.5, "") is None, "the terminal's echo may still be on"
    assert one.look(1.5, "") == serial(ROOT.secret)
    one.heard(b"\r\ncryptsetup: ERROR: bad password\r\n")
    assert one.look(9.0, "") is None
    one.heard(ASKED.encode())
    one.heard(b"\r\n[   30.0] random: crng init done\r\n")
    assert one.look(10.0, "") is None
    assert one.look(11.1, "") == serial(ROOT.secret), "the kernel may speak below a question"
    assert one.typed == {Channel.SERIAL: 2}


def test_the_screen_is_answered_by_keys_where_the_serial_console_is_silent() -> None:
    one = typist(ROOT)
    assert one.look(2.0, f"Begin...\n{ASKED}") is None
    assert one.look(4.0, f"Begin...\n{ASKED}?") == keyboard(ROOT.secret)
    for now_s, screen in [(6.0, f"Begin...\n{ASKED}_"), (8.0, f"Begin...\n{ASKED}\n[ 9.0] usb: new device")]:
        assert one.look(now_s, screen) is None
        assert one.look(now_s + 1.9, screen) is None, "it is the same question"
    wrong = f"Begin...\n{ASKED}\ncryptsetup: ERROR: bad password\n{ASKED}"
    assert one.look(12.0, wrong) is None
    assert one.look(14.0, wrong) == keyboard(ROOT.secret)


def test_a_question_on_two_consoles_is_answered_on_one() -> None:
    one = typist(ROOT)
    one.heard(ASKED.encode())
    screen = f"Begin...\n{ASKED}"
    assert one.look(0.0, screen) is None
    assert one.look(2.0, screen) == serial(ROOT.secret)
    assert [one.look(now_s, screen) for now_s in (4.0, 50.0, 99.0)] == [None] * 3


def test_an_answer_that_was_not_heard_is_given_again() -> None:
    one = typist(ROOT)
    one.heard(ASKED.encode())
    one.look(0.0, "")
    assert one.look(2.0, "") == serial(ROOT.secret)
    one.heard(b"****\r\n")
    assert one.look(100.0, "") is None
    assert one.look(103.0, "") is None
    assert one.look(105.0, "") == serial(ROOT.secret)
    one.heard(b"cryptsetup: sda5_crypt: set up successfully\r\n")
    assert one.look(400.0, "") is None
    assert one.look(402.0, "") is None


def test_each_volume_gets_its_own_key() -> None:
    one = typist(ROOT, DATA)
    asked = "Please enter passphrase for disk x (data): "
    one.heard(asked.encode())
    one.look(0.0, "")
    assert one.look(2.0, "") == serial(DATA.secret)
    one.heard(b"\r\nEnter passphrase for hd0,gpt2 (11111111222233334444555555555555): ")
    one.look(3.0, "")
    assert one.look(5.0, "") == serial(ROOT.secret)


def test_all_keys_are_tried_in_turn_where_the_question_names_no_volume() -> None:
    one = typist(ROOT, DATA)
    answers = []
    for now_s in range(0, 60, 5):
        one.heard(b"\r\nEnter passphrase: ")
        one.look(float(now_s), "")
        answers.append(one.look(now_s + 2.0, ""))
    assert answers[:4] == [serial(each.secret) for each in (ROOT, DATA, ROOT, DATA)]
    assert answers[4:] == [None] * 8
    assert "typed 4 times" in one.stuck


@pytest.mark.parametrize(
    ("passphrases", "why"),
    [
        ((), "no key for it was given"),
        ((Passphrase(secret=Secret(b"\0\1"), names=()),), "characters that the keyboard lacks"),
        ((Passphrase(secret=Secret("ü".encode()), names=()),), "characters that the keyboard lacks"),
    ],
)
def test_a_question_that_cannot_be_answered(passphrases: tuple[Passphrase, ...], why: str) -> None:
    one = typist(*passphrases)
    one.look(0.0, ASKED)
    assert one.look(2.0, ASKED) is None
    assert why in one.stuck and "sda5_crypt" in one.stuck
    assert "***" not in one.stuck
    one.look(4.0, "web01 login: ")
    assert one.stuck == ""


def test_a_serial_console_takes_any_text() -> None:
    one = typist(Passphrase(secret=Secret("ü".encode()), names=()))
    one.heard(ASKED.encode())
    one.look(0.0, "")
    assert one.look(2.0, "") == serial(Secret("ü".encode()))


def test_a_guest_that_asks_for_ever_is_not_answered_for_ever() -> None:
    one = typist(ROOT)
    answers = 0
    for number in range(200):
        one.heard(f"Please unlock disk sda5_crypt{number}: ".encode())
        one.look(number * 10.0, "")
        answers += one.look(number * 10.0 + 2, "") is not None
        assert len(one._unanswered) <= 8192
    assert answers == 24


def test_hostile_text_costs_little_time() -> None:
    one = typist(ROOT)
    one.heard(b"enter passphrase " * 100_000)
    one.look(0.0, "unlock disk x" * 20_000)


PICTURE = "  ??? \n ????  _"


def test_a_picture_that_stands_is_taken_for_a_question() -> None:
    one = typist(ROOT, DATA)
    answers = {}
    for now_s in range(0, 1000, 2):
        if (answer := one.look(float(now_s), PICTURE)) is not None:
            answers[now_s] = answer
    assert list(answers.values()) == [keyboard(each.secret) for each in (ROOT, DATA, ROOT, DATA)]
    times = list(answers)
    assert 33 <= times[0] <= 40
    assert all(later - earlier >= AGAIN_S for earlier, later in pairwise(times))
    assert one.stuck == "", "nobody knows whether it is a question"


@pytest.mark.parametrize("screen", ["", "   ", "?? Loading ??", "[ OK ] Started"])
def test_other_screens_are_not(screen: str) -> None:
    one = typist(ROOT)
    assert [one.look(float(now_s), screen) for now_s in range(0, 500, 2)] == [None] * 250


def test_pictures_are_no_question_where_there_is_a_voice_or_a_root() -> None:
    one = typist(ROOT)
    for now_s in range(0, 500, 2):
        one.heard(b"[ OK ] Started\r\n", float(now_s))
        assert one.look(float(now_s), PICTURE) is None
    assert [one.look(500.0 + now_s, PICTURE, alive=True) for now_s in range(0, 500, 2)] == [None] * 250
    assert typist().look(500.0, PICTURE) is None


LONG = f"Please enter passphrase for disk QEMU_HARDDISK (luks-{ROOT.names[1]}): (press TAB for no echo) "


@pytest.mark.parametrize("columns", [79, 80, 81, 100, 128])
def test_a_question_that_goes_on_in_the_next_line(columns: int) -> None:
    one = typist(DATA, ROOT)
    screen = f"Starting...\n{LONG[:columns].rstrip()}\n{LONG[columns:].rstrip()}"
    assert one.look(2.0, screen) is None
    assert one.look(4.0, screen) == keyboard(ROOT.secret)
    assert one.look(6.0, f"{screen}_") is None


def test_lines_that_only_stand_below_each_other_are_no_question() -> None:
    one = typist(ROOT)
    screen = "Enter passphrase to go on is what it may say\nname: "
    assert [one.look(float(now_s), screen) for now_s in range(10)] == [None] * 10
