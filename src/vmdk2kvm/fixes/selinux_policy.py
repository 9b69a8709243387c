"""The guest's SELinux policy as far as labels of files go, and giving them (selinux_config(5)).

Labels come from the policy's own lists, so that nothing of the guest's has to run for them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Made
from vmdk2kvm.formats import file_contexts
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.formats.file_contexts import FileContexts
from vmdk2kvm.formats.linear_pattern import NotRead
from vmdk2kvm.guest.paths import parent
from vmdk2kvm.guest.protocol import FileType, GuestReader, GuestWriter
from vmdk2kvm.model.changes import Relabel
from vmdk2kvm.model.guest_os import GuestOs
from vmdk2kvm.model.report import Finding, Level

CONFIG = "/etc/selinux/config"
AUTORELABEL = "/.autorelabel"
LIMIT_BYTES = 8 << 20
_ASSIGNMENT = re.compile(r"^[ \t]*(SELINUX|SELINUXTYPE)[ \t]*=[ \t]*([A-Za-z0-9_-]+)", re.MULTILINE)
_MORE = (".homedirs", ".local")
_SUBS = (".subs", ".subs_dist")
_TYPES = {
    FileType.REGULAR: file_contexts.REGULAR,
    FileType.DIRECTORY: file_contexts.FOLDER,
    FileType.SYMLINK: file_contexts.LINK,
}
_CARRY_LABELS = frozenset({"ext2", "ext3", "ext4", "xfs", "btrfs", "f2fs", "jfs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    path: str  # of its file_contexts
    contexts: FileContexts

    def label(self, path: str, type: FileType, mode: int = 0) -> str | None:
        """Raises NotRead."""
        kind = _TYPES.get(type)
        return None if kind is None else self.contexts.label(_looked_up(path, type, mode), kind)


def read_policy(guest: GuestReader) -> Policy | Finding | None:
    """None where SELinux is off; a Finding where it is on and its lists cannot be read."""
    told = _read(guest, CONFIG)
    if isinstance(told, Finding) or told is None:
        return told
    settings = {found[1]: found[2] for found in _ASSIGNMENT.finditer(told)}
    if settings.get("SELINUX") not in ("enforcing", "permissive"):
        return None
    path = f"/etc/selinux/{settings.get('SELINUXTYPE', 'targeted')}/contexts/files/file_contexts"
    texts = [_read(guest, path + more) for more in ("", *_MORE, *_SUBS)]
    unread = [text for text in texts if isinstance(text, Finding)]
    if unread:
        return unread[0]
    if texts[0] is None:
        return _unread(path, "it is not there")
    given = [text if isinstance(text, str) else "" for text in texts]
    count = 1 + len(_MORE)
    return Policy(path=path, contexts=file_contexts.parse(given[:count], given[count:]))


def unlabelled_mounts(os: GuestOs) -> tuple[str, ...]:
    """Where file systems are mounted that carry no labels."""
    return tuple(mount.mountpoint for mount in os.mounts if mount.type not in _CARRY_LABELS)


def carries_labels(path: str, unlabelled: Sequence[str]) -> bool:
    return not any(f"{path}/".startswith(place.rstrip("/") + "/") for place in unlabelled)


def to_label(made: Iterable[Made], os: GuestOs) -> tuple[Made, ...]:
    places = unlabelled_mounts(os)
    return tuple(one for one in made if carries_labels(one.path, places))


def relabel(guest: GuestWriter, change: Relabel, paths: Sequence[str]) -> tuple[Finding, ...]:
    """Label each of `paths` and the folders above that stand without a label; the others are told."""
    policy = read_policy(guest)
    if not isinstance(policy, Policy):
        return ()  # a program of the guest's removed the policy
    above = (folder for path in paths for folder in _above(path))
    places = (path for path in dict.fromkeys((*above, *paths)) if carries_labels(path, change.unlabelled))
    findings = (_labelled(guest, policy, path) for path in places)
    return tuple(finding for finding in findings if finding)


def _above(path: str) -> Iterator[str]:
    while (path := parent(path)) != "/":
        yield path


def _labelled(guest: GuestWriter, policy: Policy, path: str) -> Finding | None:
    try:
        stat = guest.stat(path)
        if guest.label(path) is None:
            label = policy.label(path, stat.type, 0)
            if label is not None:
                guest.set_label(path, label)
    except FileNotFoundError:
        return None
    except (NotRead, GuestError) as error:
        return Finding(
            id="selinux-unlabelled",
            level=Level.WARNING,
            message=f'"{visible(path)}" got no SELinux label: {visible(str(error))}.',
            remedy=f'run `restorecon -v "{visible(path)}"` in the guest after its first start.',
        )
    return None


def _looked_up(path: str, type: FileType, mode: int) -> str:
    """A program we leave in /etc is labelled as one: systemd runs nothing there that is called etc_t."""
    if type is FileType.REGULAR and mode & 0o111 and path.startswith("/etc/"):
        return "/usr/bin/" + path.rpartition("/")[2]
    return path


def _read(guest: GuestReader, path: str) -> str | Finding | None:
    try:
        stat = guest.stat(guest.realpath(path))
        if stat.size_bytes > LIMIT_BYTES:
            return _unread(path, "it is larger than any such list")
        return guest.read_text(path)
    except FileNotFoundError:
        return None
    except GuestError as error:
        return _unread(path, error.message.rstrip("."))


def _unread(path: str, why: str) -> Finding:
    return Finding(
        id="selinux-policy-unread",
        level=Level.WARNING,
        message=f'SELinux is on in the guest, and "{visible(path)}" cannot be read: {why}.',
        remedy="install the guest's SELinux policy anew, or switch SELinux off in /etc/selinux/config.",
    )
