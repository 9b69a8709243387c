"""The part of YAML 1.2 that network configurations are written in, read strictly.

Block and flow collections, plain and quoted scalars on one line, comments. Every scalar is text. What
is left out (anchors, tags, block scalars, scalars over several lines, several documents) is refused,
never misread. Read only.
"""

import re
from dataclasses import dataclass

from vmdk2kvm.errors import GuestError

Node = None | str | list["Node"] | dict[str, "Node"]

_MAX_DEPTH = 24
_MAX_LINE = 4096  # characters; what is written by hand or by a tool stays far below
_QUOTED = re.compile(r"""'(?:[^']|'')*'|"(?:[^"\\]|\\.)*\"""")
_PLAIN_START = re.compile(r"[^-?:,\[\]{}#&*!|>'\"%@` \t]|[-:](?=[^ \t])")
_KEY = re.compile(rf"(?P<quoted>{_QUOTED.pattern})[ \t]*:(?=[ \t]|$)|(?P<plain>[^ \t].*?):(?=[ \t]|$)")
_FLOW_WORD = re.compile(r"(?!:|-(?:[?,\[\]{}:\s]|$))(?:[^,\[\]{}:#?\n]|:(?![ ,\[\]{}\n]|$)|(?<! )#)+")
_DASHES = re.compile("(?:- +)+")
_FLOW_COLON = re.compile(" *:")  # on the line of its key
_ESCAPE = re.compile(r"\\(?:x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|(.))")
_ESCAPES = {
    '"': '"', "\\": "\\", "/": "/", "n": "\n", "t": "\t", "r": "\r", "0": "\0", "a": "\a", "b": "\b",
    "e": "\x1b", "f": "\f", "v": "\v", " ": " ", "N": "\x85", "_": "\xa0", "L": "\u2028", "P": "\u2029",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Line:
    number: int
    indent: int
    text: str  # without indentation, comment and trailing blanks


def parse(text: str) -> Node:
    """The one document of `text`; None for an empty one. Raises GuestError that names the line."""
    lines = [_line(number, raw) for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), 1)]
    present = [line for line in lines if line.text]
    if present and _is_border(present[0], "---") and present[0].text == "---":
        present = present[1:]
    for line in present:
        if _is_border(line, "---", "..."):
            raise _refused(line.number, "begins another document")
    if not present:
        return None
    reader = _Blocks(present)
    node = reader.node(present[0].indent, 0)
    if reader.at < len(present):
        raise _refused(present[reader.at].number, "is not indented like the lines before it")
    return node


def _line(number: int, raw: str) -> _Line:
    if len(raw) > _MAX_LINE:
        raise _refused(number, "is longer than a line of a configuration")
    body = raw.removesuffix("\r").lstrip(" ")
    indent = len(raw.removesuffix("\r")) - len(body)
    text = _without_comment(number, body).rstrip(" \t")
    if "\t" in _QUOTED.sub("", text) or text.startswith("%"):
        raise _refused(number, "holds what is not read here")
    return _Line(number, indent, text)


def _is_border(line: _Line, *marks: str) -> bool:
    return line.indent == 0 and line.text.split(" ")[0] in marks


def _without_comment(number: int, body: str) -> str:
    """Quoted text may hold a "#"; a quote inside a plain scalar is a character like any other."""
    kept, at = "", 0
    while at < len(body):
        if body[at] in "'\"" and _may_open_quote(kept):
            quoted = _QUOTED.match(body, at)
            if quoted is None or (" #" in quoted[0] and kept.rstrip(" ")[-1:] in ("[", "{", ",")):
                raise _refused(
                    number, "holds what is not read here"
                )  # over several lines, or not surely quoted
            kept, at = kept + quoted[0], quoted.end()
        elif body[at] == "#" and (not kept or kept[-1] in " \t"):
            break
        else:
            kept, at = kept + body[at], at + 1
    return kept


def _may_open_quote(before: str) -> bool:
    """At the start, after the dash of an item, the colon of a key, or inside brackets."""
    stripped = before.rstrip(" ")
    if not stripped or stripped[-1] in "[{,":
        return True
    return (stripped != before and stripped[-1] == ":") or _DASHES.fullmatch(before) is not None


class _Blocks:
    """Reads block collections line by line; `at` is the next line."""

    def __init__(self, lines: list[_Line]) -> None:
        self._lines = lines
        self.at = 0

    def node(self, indent: int, depth: int) -> Node:
        line = self._lines[self.at]
        if depth > _MAX_DEPTH:
            raise _refused(line.number, "is nested too deep")
        if _is_item(line.text):
            return self._sequence(indent, depth)
        if line.text[0] not in "[{" and _KEY.match(line.text):
            return self._mapping(indent, depth)
        self.at += 1
        return self._inline(line, line.text)

    def _sequence(self, indent: int, depth: int) -> list[Node]:
        items: list[Node] = []
        while (line := self._here(indent)) and _is_item(line.text):
            rest = line.text[1:].lstrip(" \t")
            if rest:  # what follows the dash is a block of its own, indented as far as it stands
                inner = line.indent + len(line.text) - len(rest)
                self._lines[self.at] = _Line(line.number, inner, rest)
                items.append(self.node(inner, depth + 1))
            else:
                self.at += 1
                items.append(self._deeper(indent, depth))
        return items

    def _mapping(self, indent: int, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        while (line := self._here(indent)) and not _is_item(line.text):
            key = _KEY.match(line.text)
            if key is None or line.text[0] in "?[{":
                raise _refused(line.number, "is no `key: value`")
            self.at += 1
            rest = line.text[key.end() :].strip(" \t")
            name = _scalar(line.number, key["quoted"] or key["plain"].rstrip(" \t"))
            if rest:
                found[name] = self._inline(line, rest)
            elif (below := self._here(indent)) and _is_item(below.text):
                found[name] = self._sequence(indent, depth + 1)  # a list may stand as far left as its key
            else:
                found[name] = self._deeper(indent, depth)
        return found

    def _here(self, indent: int) -> _Line | None:
        line = self._lines[self.at] if self.at < len(self._lines) else None
        return line if line and line.indent == indent else None

    def _deeper(self, indent: int, depth: int) -> Node:
        line = self._lines[self.at] if self.at < len(self._lines) else None
        return self.node(line.indent, depth + 1) if line and line.indent > indent else None

    def _inline(self, line: _Line, text: str) -> Node:
        if text[0] not in "[{":
            return _scalar(line.number, text)
        parts, still_open = [text], _opened(text)
        while still_open > 0 and self.at < len(self._lines):
            parts.append(self._lines[self.at].text)
            still_open += _opened(parts[-1])
            self.at += 1
        text = "\n".join(parts)
        flow = _Flow(line.number, text)
        node = flow.node(0)
        if flow.at < len(text):
            raise _refused(line.number, "goes on after its bracket is closed")
        return node


class _Flow:
    """Reads `[a, b]` and `{a: b}`."""

    def __init__(self, number: int, text: str) -> None:
        self._number = number
        self._text = text
        self.at = 0

    def node(self, depth: int) -> Node:
        if depth > _MAX_DEPTH:
            raise _refused(self._number, "is nested too deep")
        match self._peek():
            case "[":
                return self._list(depth)
            case "{":
                return self._dict(depth)
        return self._scalar()

    def _list(self, depth: int) -> list[Node]:
        items: list[Node] = []
        self._take("[")
        while self._peek() != "]":
            items.append(self.node(depth + 1))
            if self._peek() != "]":
                self._take(",")
        self._take("]")
        return items

    def _dict(self, depth: int) -> dict[str, Node]:
        found: dict[str, Node] = {}
        self._take("{")
        while self._peek() != "}":
            key = self._scalar()
            found[key] = None
            if colon := _FLOW_COLON.match(self._text, self.at):
                self.at = colon.end()
                found[key] = None if self._peek() in (",", "}") else self.node(depth + 1)
            if self._peek() != "}":
                self._take(",")
        self._take("}")
        return found

    def _scalar(self) -> str:
        self._peek()
        found = _QUOTED.match(self._text, self.at) or _FLOW_WORD.match(self._text, self.at)
        if found is None:
            raise _refused(self._number, "has brackets that do not fit together")
        self.at = found.end()
        return _scalar(self._number, found[0].strip(" "))

    def _peek(self) -> str:
        while self._text[self.at : self.at + 1] in (" ", "\n"):
            self.at += 1
        return self._text[self.at : self.at + 1]

    def _take(self, character: str) -> None:
        if self._peek() != character:
            raise _refused(self._number, "has brackets that do not fit together")
        self.at += 1


def _is_item(text: str) -> bool:
    return text == "-" or text.startswith(("- ", "-\t"))


def _opened(text: str) -> int:
    """How many more brackets a line opens than it closes."""
    bare = _QUOTED.sub("", text)
    return bare.count("[") + bare.count("{") - bare.count("]") - bare.count("}")


def _scalar(number: int, text: str) -> str:
    if _QUOTED.fullmatch(text):
        return text[1:-1].replace("''", "'") if text[0] == "'" else _unescaped(number, text[1:-1])
    if not _PLAIN_START.match(text) or ": " in text or text.endswith(":"):
        raise _refused(number, "holds what is not read here")
    return text


def _unescaped(number: int, text: str) -> str:
    def character(found: re.Match[str]) -> str:
        code = found[1] or found[2] or found[3]
        if code:
            point = int(code, 16)
            if point > 0x10FFFF:
                raise _refused(number, "names a character that does not exist")
            return chr(point)
        if found[4] not in _ESCAPES:
            raise _refused(number, "has an escape that is none")
        return _ESCAPES[found[4]]

    return _ESCAPE.sub(character, text)


def _refused(number: int, what: str) -> GuestError:
    return GuestError(f"line {number} {what}.", hint="look at the file in the guest.")
