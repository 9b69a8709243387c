"""What dpkg and apk say is installed: /var/lib/dpkg/status (deb-control(5)) and apk's db/installed.

Read only. Of each package its name, what it cannot do without, and what it stands for besides.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z0-9][^\s(:,|<>=~!]*")
_CONTINUED = re.compile(r"\n[ \t]+")


@dataclass(frozen=True, slots=True, kw_only=True)
class Package:
    """`needs`: of each tuple one must be installed. `provides` are other names for it."""

    name: str
    needs: tuple[tuple[str, ...], ...] = ()
    provides: tuple[str, ...] = ()


def parse_dpkg(text: str) -> tuple[Package, ...]:
    """The packages that are installed or half so; those whose settings alone are left are not among them."""
    found = (_dpkg_package(stanza) for stanza in text.split("\n\n"))
    return tuple(package for package in found if package)


def _dpkg_package(stanza: str) -> Package | None:
    lines = _CONTINUED.sub(" ", stanza.strip("\n")).split("\n")
    fields = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
    state = fields.get("Status", "").split()
    if not fields.get("Package") or not state or state[-1] in ("not-installed", "config-files"):
        return None
    needs = [fields.get(key, "") for key in ("Pre-Depends", "Depends")]
    clauses = (clause for text in needs for clause in text.split(","))
    return Package(
        name=fields["Package"],
        needs=tuple(tuple(_names(clause.split("|"))) for clause in clauses if clause.strip()),
        provides=tuple(_names(fields.get("Provides", "").split(","))),
    )


def parse_apk(text: str) -> tuple[Package, ...]:
    return tuple(package for stanza in text.split("\n\n") if (package := _apk_package(stanza)))


def _apk_package(stanza: str) -> Package | None:
    fields = {line[:1]: line[2:] for line in stanza.split("\n") if line[1:2] == ":"}
    if not fields.get("P"):
        return None
    return Package(
        name=fields["P"],
        needs=tuple((_bare(word),) for word in fields.get("D", "").split() if not word.startswith("!")),
        provides=tuple(map(_bare, fields.get("p", "").split())),
    )


def removable(packages: Iterable[Package], names: frozenset[str]) -> tuple[frozenset[str], dict[str, str]]:
    """Those of `names` that no other package needs, and of the others which package does."""
    kept: dict[str, str] = {}
    known = tuple(packages)
    while True:
        going = names - kept.keys()
        staying = [package for package in known if package.name not in going]
        there = {name for package in staying for name in (package.name, *package.provides)}
        going_names = {
            name: package.name
            for package in known
            if package.name in going
            for name in (package.name, *package.provides)
        }
        found = dict(_needed(staying, there, going_names))
        if not found:
            return going, kept
        kept |= found


def _needed(staying: Iterable[Package], there: set[str], going: dict[str, str]) -> Iterator[tuple[str, str]]:
    for package in staying:
        for choice in package.needs:
            if not there.intersection(choice):
                yield from ((going[name], package.name) for name in choice if name in going)


def _names(words: Iterable[str]) -> Iterator[str]:
    """`libc6:any (>= 2.34)` → libc6"""
    found = (_NAME.match(word.strip()) for word in words)
    return (name[0] for name in found if name)


def _bare(word: str) -> str:
    """`so:libvmtools.so.0=0.0.0` → so:libvmtools.so.0"""
    return re.split("[<>=~]", word, maxsplit=1)[0]
