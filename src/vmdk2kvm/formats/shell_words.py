"""Words of POSIX shell (XCU 2.2, 2.3) and of GRUB's script language (GRUB manual, "Shell-like scripting").

Only what an editor of values needs: where each word stands, what it says without its quotes, and
where in the text a part of what it says is written. Nothing is expanded: `$NAME`, `${NAME}` and
command substitutions stay in the value as they are written.
"""

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import accumulate

from vmdk2kvm.errors import GuestError
from vmdk2kvm.formats.spans import Span, line_of

_BLANKS = re.compile(r"(?:[ \t\r]+|\\\r?\n)*")  # CR: a file with DOS line ends is read as it was meant
_CONTINUATION = re.compile(r"\\\r?\n")
_QUOTED_RUN = re.compile(r'[^"\\$`]+')
_BRACED = re.compile(r"\$\{[^}\n]{0,255}\}")  # bounded: a line of "${${${" must not cost its square
_BACKQUOTED = re.compile(r"`[^`\\]*(?:\\.[^`\\]*)*`", re.DOTALL)
_IN_PARENTHESES = re.compile(r"""\\.|'[^']*'|"[^"\\]*(?:\\.[^"\\]*)*"|[()]""", re.DOTALL)
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(\+?)=")


@dataclass(frozen=True, slots=True, kw_only=True)
class Grammar:
    """`separators` end a word and a command; `substitutes` says whether `$(…)` and backquotes exist."""

    separators: str
    substitutes: bool

    @property
    def plain_run(self) -> re.Pattern[str]:
        return re.compile(rf"""[^ \t\r'"\\$`{re.escape(self.separators)}]+""")


SHELL = Grammar(separators="\n;&|()<>", substitutes=True)
GRUB = Grammar(separators="\n;&|<>{}", substitutes=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Word:
    """`value` is what the word says.

    `pieces` are the spans of the text that make it up, in order, `offsets` where each begins in `value`.
    """

    span: Span
    value: str
    pieces: tuple[Span, ...]
    offsets: tuple[int, ...]

    def locate(self, start: int, end: int) -> Span | None:
        """Where `value[start:end]` is written; None where quotes or escapes stand in between."""
        nth = bisect_right(self.offsets, start) - 1
        if nth < 0:
            return None
        first = self.pieces[nth].start + start - self.offsets[nth]
        last = first + end - start
        return Span(first, last) if last <= self.pieces[nth].end else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Assignment:
    """`NAME=value` or `NAME+=value`; `value` as in Word."""

    name: str
    appends: bool
    value: str
    word: Word
    offset: int  # of the value in word.value

    def locate(self, start: int, end: int) -> Span | None:
        return self.word.locate(self.offset + start, self.offset + end)


def commands(text: str, grammar: Grammar) -> Iterator[tuple[Word, ...]]:
    """Simple commands, comments left out. A "}" of GRUB is a command of its own.

    Raises GuestError where a quote is opened and never closed.
    """
    lexer = _Lexer(text, grammar)
    words: list[Word] = []
    position = 0
    while (position := _end(_BLANKS, text, position)) < len(text):
        character = text[position]
        if character == "#":
            position = _line_end(text, position)
        elif character in grammar.separators:
            if words:
                yield tuple(words)
                words = []
            if character == "}":
                yield (_word(text, position, position + 1, [Span(position, position + 1)]),)
            position += 1
        else:
            words.append(lexer.word(position))
            position = words[-1].span.end
    if words:
        yield tuple(words)


def assignments(text: str) -> Iterator[Assignment]:
    """Assignments of a shell file, in order, `export NAME=value` and the like included."""
    for command in commands(text, SHELL):
        for word in command:
            if found := _ASSIGNMENT.match(word.value):
                yield Assignment(
                    name=found[1],
                    appends=found[2] == "+",
                    value=word.value[found.end() :],
                    word=word,
                    offset=found.end(),
                )


class _Lexer:
    def __init__(self, text: str, grammar: Grammar) -> None:
        self._text = text
        self._ends_word = " \t\r" + grammar.separators
        self._plain_run = grammar.plain_run
        self._substitutes = grammar.substitutes

    def word(self, start: int) -> Word:
        text, position = self._text, start
        pieces: list[Span] = []
        while position < len(text) and text[position] not in self._ends_word:
            position = self._part(position, pieces)
        return _word(text, start, position, pieces)

    def _part(self, position: int, pieces: list[Span]) -> int:
        """Read one quoted or unquoted part of a word; returns where the next one starts."""
        character = self._text[position]
        if character == "'":
            end = self._text.find("'", position + 1)
            if end < 0:
                raise self._unclosed(position)
            pieces.append(Span(position + 1, end))
            return end + 1
        if character == '"':
            return self._double_quoted(position, pieces)
        if character == "\\":
            return self._escape(position, pieces)
        if character in "$`":
            return self._expansion(position, pieces)
        end = _end(self._plain_run, self._text, position)
        pieces.append(Span(position, end))
        return end

    def _double_quoted(self, start: int, pieces: list[Span]) -> int:
        text, position = self._text, start + 1
        while position < len(text):
            character = text[position]
            if character == '"':
                return position + 1
            if character == "\\" and text[position + 1 : position + 2] not in '$`"\\\r\n':
                pieces.append(Span(position, position + 1))  # a backslash that quotes nothing stays
                position += 1
            elif character == "\\":
                position = self._escape(position, pieces)
            elif character in "$`":
                position = self._expansion(position, pieces)
            else:
                end = _end(_QUOTED_RUN, text, position)
                pieces.append(Span(position, end))
                position = end
        raise self._unclosed(start)

    def _escape(self, position: int, pieces: list[Span]) -> int:
        if continued := _CONTINUATION.match(self._text, position):
            return continued.end()
        end = min(position + 2, len(self._text))
        pieces.append(Span(position + 1, end))
        return end

    def _expansion(self, position: int, pieces: list[Span]) -> int:
        """A variable or a substitution, kept as written."""
        if self._substitutes and self._text.startswith("$(", position):
            end = self._parenthesis_end(position)
        elif self._substitutes and self._text[position] == "`":
            end = _end(_BACKQUOTED, self._text, position)
            if end == position:
                raise self._unclosed(position)
        else:
            end = max(_end(_BRACED, self._text, position), position + 1)
        pieces.append(Span(position, end))
        return end

    def _parenthesis_end(self, start: int) -> int:
        depth = 0
        for found in _IN_PARENTHESES.finditer(self._text, start + 1):
            depth += {"(": 1, ")": -1}.get(found[0], 0)
            if depth == 0:
                return found.end()
        raise self._unclosed(start)

    def _unclosed(self, position: int) -> GuestError:
        line = line_of(self._text, position)
        return GuestError(
            f'line {line} opens a "{self._text[position]}" that is never closed.',
            hint="correct the file in the guest.",
        )


def _word(text: str, start: int, end: int, pieces: list[Span]) -> Word:
    merged = _merged(pieces)
    lengths = (piece.end - piece.start for piece in merged)
    return Word(
        span=Span(start, end),
        value="".join(text[piece.start : piece.end] for piece in merged),
        pieces=merged,
        offsets=tuple(accumulate(lengths, initial=0))[:-1],
    )


def _merged(pieces: list[Span]) -> tuple[Span, ...]:
    """Neighbours that touch become one, so that a value can be located across them."""
    merged: list[Span] = []
    for piece in pieces:
        if merged and merged[-1].end == piece.start:
            merged[-1] = Span(merged[-1].start, piece.end)
        else:
            merged.append(piece)
    return tuple(merged)


def _end(pattern: re.Pattern[str], text: str, position: int) -> int:
    """Where a match at `position` ends; `position` itself where there is none."""
    found = pattern.match(text, position)
    return found.end() if found else position


def _line_end(text: str, position: int) -> int:
    end = text.find("\n", position)
    return len(text) if end < 0 else end
