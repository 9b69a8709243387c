"""Where packages come from: yum.conf(5) .repo files (zypper's too), sources.list(5), deb822 .sources.

Each edit turns repositories off and leaves all other bytes: what is off can be turned on again.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from vmdk2kvm.formats.spans import Span, splice

IsOurs = Callable[[str], bool]  # of a URL

_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^\s,\"']+", re.IGNORECASE)
_VMWARE = re.compile(
    r"[a-z]+://(?:[^/@\s]*@)?(?:[a-z0-9-]+\.)*(?:vmware|broadcom)\.com(?::[0-9]+)?(/\S*)", re.IGNORECASE
)
_OFF = frozenset({"0", "no", "false", "off", "never"})
_SOURCE = re.compile(r"[ \t]*deb(?:-src)?[ \t]")


def is_vmware_tools(url: str) -> bool:
    """VMware's repositories of its tools; those of Photon and of other products are not meant."""
    found = _VMWARE.fullmatch(url)
    return found is not None and "tools" in found[1].lower().split("/")


@dataclass(frozen=True, slots=True)
class _Line:
    start: int
    text: str  # without its end

    @property
    def span(self) -> Span:
        return Span(self.start, self.start + len(self.text))

    def after(self, end: str, text: str) -> tuple[Span, str]:
        at = self.span.end
        return Span(at, at), f"{end}{text}"


def without_yum(text: str, is_ours: IsOurs) -> str:
    """.repo: `enabled=0` in each section one of whose addresses is ours."""
    edits: dict[Span, str] = {}
    for header, body in _sections(text):
        if _urls(body, ("baseurl", "mirrorlist", "metalink"), is_ours):
            edits |= _switched(header, body, "=", "enabled", "0", _end(text))
    return splice(text, edits)


def without_deb822(text: str, is_ours: IsOurs) -> str:
    """.sources: `Enabled: no` in each stanza one of whose addresses is ours."""
    edits: dict[Span, str] = {}
    for stanza in _stanzas(text):
        if _urls(stanza, ("uris",), is_ours):
            first = next(line for line in stanza if not line.text.startswith("#"))
            before = _Line(first.start, "")
            edits |= _switched(before, stanza, ":", "Enabled", "no", _end(text), in_front=True)
    return splice(text, edits)


def without_sources(text: str, is_ours: IsOurs) -> str:
    """sources.list: the lines whose address is ours become comments."""
    edits = {
        Span(line.start, line.start): "# "
        for line in _lines(text)
        if _SOURCE.match(line.text) and any(map(is_ours, _URL.findall(line.text.partition("#")[0])))
    }
    return splice(text, edits)


def _switched(
    header: _Line, body: list[_Line], mark: str, key: str, off: str, end: str, *, in_front: bool = False
) -> dict[Span, str]:
    switches = [line for line in body if _key(line, mark) == key.lower()]
    if not switches:
        gap = f"{key}{mark} {off}" if mark == ":" else f"{key}{mark}{off}"
        return {header.span: f"{gap}{end}"} if in_front else dict([header.after(end, gap)])
    values = (_value(line, mark) for line in switches)
    return {span: off for span, value in values if value.lower() not in _OFF}


def _value(line: _Line, mark: str) -> tuple[Span, str]:
    name, _, rest = line.text.partition(mark)
    value = rest.strip()
    at = line.start + len(name) + 1 + len(rest) - len(rest.lstrip())
    return Span(at, at + len(value)), value


def _urls(body: list[_Line], keys: tuple[str, ...], is_ours: IsOurs) -> bool:
    """Whether an address under one of `keys` is ours; lines that begin with a blank go on."""
    inside = False
    for line in body:
        if line.text.lstrip().startswith("#"):
            continue
        if not line.text[:1].isspace():
            inside = bool({_key(line, "="), _key(line, ":")}.intersection(keys))
        if inside and any(map(is_ours, _URL.findall(line.text))):
            return True
    return False


def _key(line: _Line, mark: str) -> str:
    return line.text.partition(mark)[0].strip().lower()


def _sections(text: str) -> Iterator[tuple[_Line, list[_Line]]]:
    header: _Line | None = None
    body: list[_Line] = []
    for line in _lines(text):
        if line.text.startswith("["):
            if header:
                yield header, body
            header, body = line, []
        else:
            body.append(line)
    if header:
        yield header, body


def _stanzas(text: str) -> Iterator[list[_Line]]:
    stanza: list[_Line] = []
    for line in (*_lines(text), _Line(len(text), "")):
        if line.text.strip():
            stanza.append(line)
        elif any(not each.text.startswith("#") for each in stanza):
            yield stanza
            stanza = []
        else:
            stanza = []


def _lines(text: str) -> Iterator[_Line]:
    start = 0
    for line in text.split("\n"):
        yield _Line(start, line.removesuffix("\r"))
        start += len(line) + 1


def _end(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
