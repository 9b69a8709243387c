"""Regular expressions of strangers, matched in time that grows with pattern and text only.

The part of PCRE that SELinux policies are written in: characters, ".", classes, groups, "|" and
quantifiers. Back-references, look-around and the like are refused, never misread. The pattern becomes
a list of steps that are walked side by side (Thompson, "Regular Expression Search Algorithm", 1968).
"""

from collections.abc import Iterable
from dataclasses import dataclass

MAX_STEPS = 5000
MAX_CHARACTERS = 2000
MAX_DEPTH = 40
_CLASSES = {
    "d": (("0", "9"),),
    "w": (("0", "9"), ("A", "Z"), ("_", "_"), ("a", "z")),
    "s": ((" ", " "), ("\t", "\r")),
}
_PLAIN_ESCAPES = frozenset("\\.^$*+?()[]{}|/-_,:;@#%&=~!<>'\"` ")
_POSIX = {
    "alnum": (("0", "9"), ("A", "Z"), ("a", "z")),
    "alpha": (("A", "Z"), ("a", "z")),
    "digit": _CLASSES["d"],
    "lower": (("a", "z"),),
    "upper": (("A", "Z"),),
    "xdigit": (("0", "9"), ("A", "F"), ("a", "f")),
}

Ranges = tuple[tuple[str, str], ...]


class NotRead(ValueError):
    """A pattern beyond what is understood here."""


@dataclass(slots=True)
class Effort:
    """What many patterns together may cost, in steps of a walk; NotRead when it is spent."""

    left: int

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise NotRead("all of them together take too long")


@dataclass(frozen=True, slots=True)
class _Take:
    """One character of `ranges`, or one that is in none of them."""

    ranges: Ranges
    negated: bool = False

    def takes(self, character: str) -> bool:
        return any(first <= character <= last for first, last in self.ranges) != self.negated


@dataclass(frozen=True, slots=True)
class _Fork:
    """Go on at each of these distances."""

    distances: tuple[int, ...]


_Code = list[_Take | _Fork]
_ANY = _Take((("\n", "\n"),), negated=True)


@dataclass(frozen=True, slots=True)
class Pattern:
    code: tuple[_Take | _Fork, ...]

    def matches(self, text: str, effort: Effort | None = None) -> bool:
        """Whether the whole of `text` fits. Raises NotRead when the effort is spent."""
        at = self._reach((0,))
        for character in text:
            at = self._reach(
                place + 1
                for place in at
                if place < len(self.code)
                and isinstance(take := self.code[place], _Take)
                and take.takes(character)
            )
            if effort:
                effort.spend(1 + len(at))
            if not at:
                return False
        return len(self.code) in at

    def _reach(self, places: Iterable[int]) -> set[int]:
        """`places` and all that forks lead to from there."""
        waiting, reached = list(places), set[int]()
        while waiting:
            place = waiting.pop()
            if place in reached:
                continue
            reached.add(place)
            if place < len(self.code) and isinstance(fork := self.code[place], _Fork):
                waiting.extend(place + distance for distance in fork.distances)
        return reached


def compile_pattern(text: str) -> Pattern:
    """Raises NotRead."""
    if len(text) > MAX_CHARACTERS:
        raise NotRead("too long")
    reader = _Reader(text)
    code = reader.choice(0)
    if reader.at < len(text):
        raise NotRead("a parenthesis too many")
    return Pattern(tuple(code))


class _Reader:
    def __init__(self, text: str) -> None:
        self._text = text
        self.at = 0

    def choice(self, depth: int) -> _Code:
        if depth > MAX_DEPTH:
            raise NotRead("parentheses too deep")
        code = self._sequence(depth)
        while self._peek() == "|":
            self.at += 1
            other = self._sequence(depth)
            code = [_Fork((1, len(code) + 2)), *code, _Fork((len(other) + 1,)), *other]
        return code

    def _sequence(self, depth: int) -> _Code:
        code: _Code = []
        while self._peek() not in ("", "|", ")"):
            code += self._quantified(self._atom(depth))
            if len(code) > MAX_STEPS:
                raise NotRead("too long")
        return code

    def _atom(self, depth: int) -> _Code:
        character = self._next()
        match character:
            case "(":
                return self._group(depth)
            case "[":
                return [self._class()]
            case ".":
                return [_ANY]
            case "\\":
                return [_Take(self._escape())]
            case "*" | "+" | "?" | "{" | "^" | "$":
                raise NotRead(f'"{character}" where it means nothing')
            case _:
                return [_Take(((character, character),))]

    def _group(self, depth: int) -> _Code:
        if self._text.startswith("?:", self.at):
            self.at += 2
        elif self._peek() in ("?", "*"):
            raise NotRead("a group of a special kind")
        code = self.choice(depth + 1)
        if self._next() != ")":
            raise NotRead("a parenthesis left open")
        return code

    def _quantified(self, code: _Code) -> _Code:
        least, most = self._quantifier()
        if (least, most) == (1, 1):
            return code
        if len(code) * max(least, most or 1) > MAX_STEPS:
            raise NotRead("too long")
        repeated = code * least
        if most is None:
            return [*repeated, _Fork((1, len(code) + 2)), *code, _Fork((-len(code) - 1,))]
        return repeated + [_Fork((1, len(code) + 1)), *code] * (most - least)

    def _quantifier(self) -> tuple[int, int | None]:
        match self._peek():
            case "*":
                found: tuple[int, int | None] = (0, None)
            case "+":
                found = (1, None)
            case "?":
                found = (0, 1)
            case "{":
                return self._braces()
            case _:
                return 1, 1
        self.at += 1
        if self._peek() in tuple("*+?{"):
            raise NotRead("a quantifier of a quantifier")
        return found

    def _braces(self) -> tuple[int, int | None]:
        inside, closed, _ = self._text[self.at + 1 :].partition("}")
        least, comma, most = inside.partition(",")
        numbers = [each for each in (least, most) if each]
        if (
            not closed
            or not least
            or not all(each.isascii() and each.isdigit() and len(each) < 4 for each in numbers)
        ):
            raise NotRead("braces without a number")
        self.at += len(inside) + 2
        if self._peek() in tuple("*+?{") or (most and int(most) < int(least)):
            raise NotRead("a quantifier of a quantifier")
        return int(least), (int(most) if most else None) if comma else int(least)

    def _class(self) -> _Take:
        negated = self._peek() == "^"
        self.at += negated
        ranges: list[tuple[str, str]] = []
        while self._peek() != "]" or not ranges:
            ranges += self._range()
        self.at += 1
        return _Take(tuple(ranges), negated)

    def _range(self) -> Ranges:
        if self._text.startswith("[:", self.at):
            name, _, _ = self._text[self.at + 2 :].partition(":]")
            if name not in _POSIX:
                raise NotRead("a class of an unknown name")
            self.at += len(name) + 4
            return _POSIX[name]
        first = self._member()
        if len(first) > 1 or first[0][0] != first[0][1]:
            return first
        if self._peek() != "-" or self._text[self.at + 1 : self.at + 2] in ("]", ""):
            return first
        self.at += 1
        last = self._member()
        if len(last) > 1 or last[0][0] != last[0][1] or last[0][0] < first[0][0]:
            raise NotRead("a range that is none")
        return ((first[0][0], last[0][0]),)

    def _member(self) -> Ranges:
        character = self._next()
        return self._escape() if character == "\\" else ((character, character),)

    def _escape(self) -> Ranges:
        character = self._next()
        if character in _CLASSES:
            return _CLASSES[character]
        if character not in _PLAIN_ESCAPES:
            raise NotRead(f'"\\{character}"')
        return ((character, character),)

    def _peek(self) -> str:
        return self._text[self.at : self.at + 1]

    def _next(self) -> str:
        character = self._peek()
        if not character:
            raise NotRead("it ends too early")
        self.at += 1
        return character
