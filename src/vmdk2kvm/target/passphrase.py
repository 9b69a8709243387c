"""Passphrases typed where a guest asks for them: when, which one, where, and how often.

The questions are those of cryptsetup's scripts for initramfs-tools, systemd-ask-password(1), GRUB's
cryptomount, dracut, mkinitcpio and mkinitfs. This is a judge without a machine: it is fed what the serial
console says and what stands on the screen, and answers what to type.
"""

import re
from dataclasses import dataclass
from enum import Enum

from vmdk2kvm.model.luks import Passphrase, Secret
from vmdk2kvm.target.console import plain_text

_PROMPT = re.compile(
    r"^.*?(?:unlock disk \S|(?:enter|caching) passphrase\b|enter password for disk|password \(/dev/)"
    r".{0,200}?[:!]"
    r"[ \t]*(?:\(press TAB for no echo\)[ \t]*)?[?_\u2588]?[ \t]*$",  # and a cursor
    re.MULTILINE | re.IGNORECASE,
)
_CURSORS = "?_\u2588"
_PAUSE_S = 1.0  # who asks switches the terminal's echo off only after the question
_WRAPPED_COLUMNS = 78  # of 80: a blank at the end is not seen
_NEAR_LINES = 4  # the kernel may say something below a question
_MOST_OF_ONE = 6
_MOST = 24
_KEPT_BYTES = 8192
_PRINTABLE = re.compile(rb"[\x20-\x7e]+")
_NO_CONTROLS = re.compile(rb"[^\x00-\x1f\x7f]+")

_SHIFTED = dict(zip('!@#$%^&*()_+{}|:"~<>?', "1234567890-=[]\\;'`,./", strict=True))
_QCODES = {
    " ": "spc", "-": "minus", "=": "equal", "[": "bracket_left", "]": "bracket_right", "\\": "backslash",
    ";": "semicolon", "'": "apostrophe", "`": "grave_accent", ",": "comma", ".": "dot", "/": "slash",
}  # fmt: skip
ENTER = ("ret",)
UNSEEN = "(a picture that no text is read from)"


class Channel(Enum):
    SERIAL = "the serial console"
    KEYBOARD = "the keyboard"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    channel: Channel
    secret: Secret


def question_in(text: str) -> str | None:
    """The last question for a passphrase in `text`, as it stands there."""
    found = list(_PROMPT.finditer(text))
    return found[-1][0].strip() if found else None


def key_presses(text: bytes) -> list[tuple[str, ...]] | None:
    """The keys (QEMU's QKeyCode) to press together, one after another, on a US keyboard; None where it
    lacks one."""
    if not _PRINTABLE.fullmatch(text):
        return None
    return [_key_press(character) for character in text.decode("ascii")]


def _key_press(character: str) -> tuple[str, ...]:
    plain = _SHIFTED.get(character, character.lower())
    code = _QCODES.get(plain, plain)
    return (code,) if plain == character else ("shift", code)


class Typist:
    """Decides what to type. `stuck` says why the question that is open cannot be answered."""

    def __init__(self, passphrases: tuple[Passphrase, ...], *, again_s: float) -> None:
        self._passphrases = passphrases
        self._again_s = again_s  # after that long, what was typed went nowhere
        self._unseen_s = again_s / 3  # a picture that stands that long waits for something
        self._picture_s = 0.0
        self._heard_s = float("-inf")
        self._unanswered = b""  # of the serial console, since the last answer
        self._asked: tuple[Channel, str] | None = None
        self._asked_s = 0.0
        self._answered: tuple[Channel, str] | None = None
        self._answered_s = float("-inf")
        self._tries: dict[str, int] = {}
        self.typed: dict[Channel, int] = {}
        self.stuck = ""

    def heard(self, chunk: bytes, now_s: float = 0.0) -> None:
        self._heard_s = now_s
        self._unanswered = (self._unanswered + chunk)[-_KEPT_BYTES:]

    def look(self, now_s: float, screen: str, *, alive: bool = False) -> Answer | None:
        """What to type now. `alive`: the real root is there, and what asks now asks for less."""
        asked = self._question(now_s, screen) or self._unreadable(now_s, screen, alive=alive)
        if asked != self._asked:
            self._asked, self._asked_s = asked, now_s
        if asked is None:
            self.stuck = ""
            return None
        if now_s - self._asked_s < _PAUSE_S:
            return None
        channel, place = asked
        answer = self._answer(channel, question_in(place) or place)
        if answer is not None:
            self._answered, self._answered_s = asked, now_s
            self._unanswered = b""
            self._asked = None
            self.typed[channel] = self.typed.get(channel, 0) + 1
        return answer

    def _question(self, now_s: float, screen: str) -> tuple[Channel, str] | None:
        """Where a question is open, and it with the lines above it."""
        waited_s = now_s - self._answered_s
        heard = question_in(plain_text(self._unanswered))
        if heard is None and self._is_unheard(waited_s):
            heard = self._answered[1] if self._answered else None
        if heard is not None:
            return Channel.SERIAL, heard
        shown = _on_screen(screen)
        if shown is None:
            return None
        asked = (Channel.KEYBOARD, shown)
        # Several consoles show the same question, and it stays on the screen when it is answered.
        other = self._answered is not None and self._answered[0] is not Channel.KEYBOARD
        return None if (other or asked == self._answered) and waited_s < self._again_s else asked

    def _unreadable(self, now_s: float, screen: str, *, alive: bool) -> tuple[Channel, str] | None:
        """A picture that stands where a text would be: Plymouth asks with letters of its own."""
        if alive or not _is_picture(screen) or self._heard_s + self._unseen_s > now_s:
            self._picture_s = now_s
            return None
        since_s = min(now_s - self._picture_s, now_s - self._answered_s - self._again_s + self._unseen_s)
        return (Channel.KEYBOARD, UNSEEN) if since_s >= self._unseen_s and self._passphrases else None

    def _is_unheard(self, waited_s: float) -> bool:
        """Whether nothing but the stars for an answer came back on the serial console."""
        by_serial = self._answered is not None and self._answered[0] is Channel.SERIAL
        return by_serial and waited_s >= self._again_s and not plain_text(self._unanswered).strip("* \n")

    def _answer(self, channel: Channel, question: str) -> Answer | None:
        tries = self._tries.get(question, 0)
        fitting = [one for one in self._passphrases if _is_meant(one, question)] or list(self._passphrases)
        usable = [one for one in fitting if _can_type(channel, one.secret)]
        why_not = self._why_not(channel, question, fitting, usable, tries)
        self.stuck = "" if question == UNSEEN else why_not  # nobody knows whether that is a question
        if why_not:
            return None
        self._tries[question] = tries + 1
        return Answer(channel=channel, secret=usable[tries % len(usable)].secret)

    def _why_not(
        self,
        channel: Channel,
        question: str,
        fitting: list[Passphrase],
        usable: list[Passphrase],
        tries: int,
    ) -> str:
        if not fitting:
            return f'the guest asks "{question}", and no key for it was given'
        if not usable:
            return f'the guest asks "{question}", and its key has characters that {channel.value} lacks'
        if tries >= min(2 * len(usable), _MOST_OF_ONE) or sum(self.typed.values()) >= _MOST:
            return f'the guest asks "{question}", and what was typed {tries} times was not taken'
        return ""


def _is_picture(screen: str) -> bool:
    """Cells that are no letters are read as "?"."""
    return "?" in screen and not any(character.isalnum() for character in screen)


def _on_screen(screen: str) -> str | None:
    """The question and the two lines above it, which tell it from the same one asked again."""
    lines = [line for line in screen.split("\n") if line.strip()]
    for at in reversed(range(max(0, len(lines) - _NEAR_LINES), len(lines))):
        for question in (lines[at], _unwrapped(lines, at)):
            if question_in(question):
                shown = [*lines[max(0, at - 2) : at], question]
                return "\n".join(shown).rstrip(_CURSORS + " \t")
    return None


def _unwrapped(lines: list[str], at: int) -> str:
    """A long question goes on in the next line; its text names the volume."""
    goes_on = len(lines[at]) >= _WRAPPED_COLUMNS and at + 1 < len(lines)
    return lines[at] + lines[at + 1] if goes_on else lines[at]


def _is_meant(one: Passphrase, question: str) -> bool:
    """GRUB writes UUIDs without their dashes."""
    asked = question.lower()
    return any(
        name and (name.lower() in asked or name.lower().replace("-", "") in asked) for name in one.names
    )


def _can_type(channel: Channel, secret: Secret) -> bool:
    text = secret.reveal()
    return bool((_NO_CONTROLS if channel is Channel.SERIAL else _PRINTABLE).fullmatch(text))
