"""cloud-init keeps a moved machine what it is: its datasource is pinned with `cloud_init_datasource`.

On VMware it finds its data in guestinfo. On KVM it finds none there: it may wait for a metadata service, or
take the machine for a new one and make SSH keys, host name and network settings anew. Without the
setting that is a finding; with it a drop-in names the datasource and keeps host name and keys. The
datasource "None" keeps all that is known, the network settings included.
"""

from collections.abc import Iterator, Sequence
from functools import partial

from vmdk2kvm.errors import GuestError
from vmdk2kvm.fixes.fix import Fix, Planned, PlannedGuest
from vmdk2kvm.fixes.guest_text import GuestText, read_guest_text, read_linked_text, unparsed, with_text
from vmdk2kvm.formats import cloud_config
from vmdk2kvm.formats.escapes import visible
from vmdk2kvm.guest.protocol import GuestReader
from vmdk2kvm.model.changes import WriteFile
from vmdk2kvm.model.choices import CloudDatasource
from vmdk2kvm.model.guest_os import LINUX_FAMILIES, GuestOs
from vmdk2kvm.model.report import Finding, Level

CONFIG = "/etc/cloud/cloud.cfg"
PIN = "/etc/cloud/cloud.cfg.d/99-vmdk2kvm.cfg"
_DROP_INS = "/etc/cloud/cloud.cfg.d/*.cfg"
_OFF = "/etc/cloud/cloud-init.disabled"
_OFF_ARGUMENT = "cloud-init=disabled"
_IDENTIFY = "/etc/cloud/ds-identify.cfg"
_IDENTIFY_PROGRAM = "/usr/lib/cloud-init/ds-identify"
_CACHED = "/var/lib/cloud/instance/datasource"
_ON_DISK = frozenset({"NoCloud", "ConfigDrive", "OpenNebula", "OVF"})
_VMWARES = frozenset({"VMware", "OVF", "VMwareGuestInfo"})
_REMEDY = (
    "name the datasource in cloud_init_datasource (None keeps the machine as it is), "
    f'or switch cloud-init off in the guest: touch "{_OFF}".'
)


def cloud_init_fix(datasource: CloudDatasource | None) -> Fix:
    return Fix(
        name="cloud-init-datasource",
        reason="without VMware's data cloud-init waits, or takes the machine for a new one",
        families=LINUX_FAMILIES,
        plan=partial(_plan, datasource),
    )


def _plan(datasource: CloudDatasource | None, guest: PlannedGuest, os: GuestOs) -> Planned:
    if not guest.exists(CONFIG):
        if datasource is not None:
            yield _no_cloud_init(datasource)
        return
    if datasource is not None:
        yield from _pinned(datasource, guest)
    elif not _is_off(guest, os):
        yield from _trap(guest)


def _pinned(datasource: CloudDatasource, guest: GuestReader) -> Planned:
    identify = read_guest_text(guest, _IDENTIFY)
    if isinstance(identify, GuestText) and cloud_config.identified(identify.text):
        yield with_text(identify, cloud_config.without_identified(identify.text))
    present = read_guest_text(guest, PIN)
    if isinstance(present, Finding):
        yield _in_the_way()
        return
    text = cloud_config.render_pin(datasource.value)
    if present is None or present.text != text:
        yield WriteFile(path=PIN, before=present.before if present else None, after=text.encode())
    yield from _overridden(guest)


def _overridden(guest: GuestReader) -> Iterator[Finding]:
    """Files that cloud-init reads after ours."""
    for path in guest.glob(_DROP_INS):
        if path > PIN and _names_datasource(_text(guest, path)):
            yield Finding(
                id="cloud-init-pin-overridden",
                level=Level.WARNING,
                message=f'"{visible(path)}" is read after "{PIN}" and names the datasource, too.',
                remedy="take datasource_list out of it in the guest.",
            )


def _trap(guest: GuestReader) -> Iterator[Finding]:
    told: tuple[str, ...] | None = None
    keeps_network = False
    for path in (CONFIG, *guest.glob(_DROP_INS)):
        file = read_linked_text(guest, path)
        if not isinstance(file, GuestText):
            yield _unread(path)
            continue
        try:
            told = cloud_config.datasources(file.text) or told
            keeps_network = keeps_network or cloud_config.disables_network(file.text)
        except GuestError as error:
            yield unparsed(path, error, prefix="cloud-init", level=Level.WARNING)
    identified = cloud_config.identified(_text(guest, _IDENTIFY))
    cached = _text(guest, _CACHED).partition(":")[0].removeprefix("DataSource").strip()
    names = (identified,) if identified else told or ()
    if _VMWARES.intersection(names) and set(names) <= _VMWARES | {"None"}:
        yield _vmware_only(f"looks for its data in {', '.join(map(visible, names))} only", keeps_network)
    elif cached in _VMWARES:
        yield _vmware_only(f"found its data in {visible(cached)}", keeps_network)
    elif not _is_narrow(names) and not guest.exists(_IDENTIFY_PROGRAM):
        yield _waits()


def _is_narrow(names: Sequence[str]) -> bool:
    """Whether a list leaves no choice, or only what is on the machine's own disks."""
    others = set(names) - {"None"}
    return bool(names) and (len(others) < 2 or others <= _ON_DISK)


def _is_off(guest: GuestReader, os: GuestOs) -> bool:
    paths = [path for loader in os.boot_loaders for path in loader.files]
    return guest.exists(_OFF) or any(_OFF_ARGUMENT in _text(guest, path).split() for path in paths)


def _names_datasource(text: str) -> bool:
    """A list that cannot be read may name one, too."""
    try:
        return cloud_config.datasources(text) is not None
    except GuestError:
        return True


def _text(guest: GuestReader, path: str) -> str:
    file = read_linked_text(guest, path)
    return file.text if isinstance(file, GuestText) else ""


def _vmware_only(what: str, keeps_network: bool) -> Finding:
    network = "" if keeps_network else " and network settings"
    return Finding(
        id="cloud-init-vmware-datasource",
        level=Level.WARNING,
        message=f"cloud-init {what}; on KVM there is none, so it takes the machine for a new one "
        f"and may give it new SSH keys, another host name{network}.",
        remedy=_REMEDY,
    )


def _in_the_way() -> Finding:
    return Finding(
        id="cloud-init-in-the-way",
        level=Level.WARNING,
        message=f'"{PIN}" is no regular file of a usual size, so the datasource is not pinned.',
        remedy="move it away in the guest, then run again.",
    )


def _unread(path: str) -> Finding:
    return Finding(
        id="cloud-init-unread",
        level=Level.WARNING,
        message=f'"{visible(path)}" is no file of a usual size, so what it tells cloud-init is not known.',
        remedy=_REMEDY,
    )


def _waits() -> Finding:
    return Finding(
        id="cloud-init-waits",
        level=Level.WARNING,
        message="cloud-init asks every datasource it knows, and may wait minutes for a metadata service "
        "that KVM does not have.",
        remedy=_REMEDY,
    )


def _no_cloud_init(datasource: CloudDatasource) -> Finding:
    return Finding(
        id="cloud-init-absent",
        level=Level.INFO,
        message=f'cloud_init_datasource is "{datasource.value}", and the guest has no cloud-init.',
        remedy="leave the setting out.",
    )
