"""report.json, report.md and the text of plans."""

import json
import re
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.sample_report import CHANGES, EVIL, guest, report
from vmdk2kvm.formats import plan_text, report_json, report_md
from vmdk2kvm.model.changes import (
    MakeSymlink,
    PlannedChange,
    RunCommand,
)
from vmdk2kvm.model.guest_os import RaidArray
from vmdk2kvm.model.report import (
    BootEvidence,
    Report,
    RunStatus,
    StageName,
    StageResult,
    StageStatus,
    Verdict,
)


def test_report_json_has_the_shape_programs_rely_on() -> None:
    told = json.loads(report_json.render(report("web")))
    guest_told, changes = told.pop("guest"), told.pop("changes")
    assert told == {
        "schema": 1,
        "vm": "web",
        "status": "failed",
        "stages": [{"name": "fix", "status": "ok", "seconds": 61.0}],
        "disks": [{"path": "/o/web", "format": "vdi", "virtual_size_bytes": 512, "sha256": None}],
        "boot": {
            "verdict": "failed",
            "firmware": "bios",
            "bus": "virtio-blk",
            "seconds": 2.0,
            "evidence": ["boot/console.log"],
            "reason": "web",
            "facts": {"kernel": "web"},
        },
        "findings": [{"id": "an-id", "level": "error", "message": "web", "remedy": "web"}],
    }
    assert [one["fix"] for one in changes] == ["a-fix"] * len(CHANGES)
    assert [one["kind"] for one in changes] == [change.kind for change in CHANGES]
    assert guest_told == {
        "family": "debian",
        "id": "debian",
        "version": "12",
        "name": "web",
        "arch": "x86_64",
        "firmware": "bios",
        "lvm": False,
        "initramfs_tool": "dracut",
        "filesystems": [
            {
                "device": "/dev/sda1",
                "type": "ext4",
                "size_bytes": 2**30,
                "uuid": "1",
                "label": "web",
                "partuuid": None,
                "partlabel": None,
                "disk": None,
                "partition": None,
            }
        ],
        "mounts": [{"device": "/dev/sda1", "mountpoint": "/", "type": "ext4", "options": []}],
        "space": [{"mountpoint": "/", "free_bytes": 5, "free_inodes": None}],
        "kernels": [
            {
                "version": "6.1",
                "image": "/boot/vmlinuz",
                "initramfs": {
                    "path": "/boot/initrd",
                    "size_bytes": 1,
                    "compression": "zstd",
                    "modules": ["a", "b"],
                    "error": None,
                },
            }
        ],
        "boot_loaders": [{"kind": "grub2", "firmware": "bios", "files": ["/boot/grub/grub.cfg"]}],
        "fstab": "web\n",
        "luks": [],
        "raids": [],
        "nics": [],
    }


def test_report_json_of_a_guest_with_little_in_it() -> None:
    bare = replace(
        guest("web"),
        initramfs_tool=None,
        fstab=None,
        kernels=(replace(guest("web").kernels[0], initramfs=None),),
    )
    told = json.loads(report_json.render(replace(report("web"), guest=bare)))["guest"]
    assert (told["initramfs_tool"], told["fstab"]) == (None, None)
    assert told["kernels"] == [{"version": "6.1", "image": "/boot/vmlinuz", "initramfs": None}]
    assert "- kernel `6.1`, no initramfs\n" in report_md.render(replace(report("web"), guest=bare))


def test_arrays_are_told() -> None:
    array = RaidArray(uuid="u", name="h:0", level="raid1", member_count=2, missing_count=1, device="/dev/md0")
    told = report_json.render(replace(report("web"), guest=replace(guest("web"), raids=(array,))))
    assert json.loads(told)["guest"]["raids"] == [
        {
            "device": "/dev/md0",
            "name": "h:0",
            "uuid": "u",
            "level": "raid1",
            "member_count": 2,
            "missing_count": 1,
        }
    ]


def test_report_json_holds_sums_and_not_contents() -> None:
    text = report_json.render(report("web"))
    assert "UUID=1" not in text
    assert set(json.loads(text)["changes"][0]["after"]) == {"sha256"}


def test_a_boot_test_that_did_not_run_says_so() -> None:
    empty = Report(vm="web", status=RunStatus.OK, stages=())
    told = json.loads(report_json.render(empty))
    assert told["boot"]["verdict"] == "not-run"
    assert told["guest"] is None
    assert "\n\nBoot: not tested.\n\n" in report_md.render(empty)


def test_a_reused_stage_is_not_told_as_new() -> None:
    stages = (
        StageResult(name=StageName.FETCH, status=StageStatus.OK, seconds=2.0),
        StageResult(name=StageName.FIX, status=StageStatus.REUSED, seconds=61.0),
    )
    text = report_md.render(Report(vm="web", status=RunStatus.OK, stages=stages))
    assert "Took 2.0s." in text
    assert "| fetch | ok | 2.0s |\n| fix | reused | 1m01s, in an earlier run |\n" in text


def test_a_boot_that_could_not_be_tested_says_why_in_the_report() -> None:
    boot = BootEvidence(
        verdict=Verdict.NOT_RUN, firmware="uefi", bus="ahci", seconds=0.0, reason="no boot test for <arm>"
    )
    text = report_md.render(Report(vm="web", status=RunStatus.OK, stages=(), boot=boot))
    assert "\n\nBoot: not tested: no boot test for \\<arm\\>.\n\n" in text


def test_report_json_is_text_for_every_reader() -> None:
    text = report_json.render(report(EVIL))
    assert text.isascii()
    assert not re.search(r"\\ud[c-f]", text, re.IGNORECASE)


REPORT_MD = """\
# web: failed

Took 1m01s. 2 changes in the guest.

Boot: failed.

## Findings

- **error** `an-id`: web
  → web

## Disks

| file | format | size | SHA-256 |
|---|---|---|---|
| `/o/web` | vdi | 512 B | not asked for |

## Boot test

**failed** on virtio-blk by BIOS, after 2.0s: web.

| fact | value |
|---|---|
| kernel | `web` |

Evidence: `boot/console.log`

## Guest

web (x86\\_64, BIOS)

| device | type | size | mounted at | UUID |
|---|---|---|---|---|
| `/dev/sda1` | `ext4` | 1 GiB | `/` | `1` |

- kernel `6.1`, `/boot/initrd`

## Changes

### a-fix: `write file "/etc/fstab"`

````diff
--- a/etc/fstab
+++ b/etc/fstab
@@ -1 +1,2 @@
-/dev/sda1 / ext4
+UUID=1 / ext4
+```
````

### a-fix: `rebuild initramfs "/boot/initrd"`

```
rebuild initramfs "/boot/initrd" for kernel "6.1" with dracut
  must hold ext4, virtio_blk
```

## Stages

| stage | status | time |
|---|---|---|
| fix | ok | 1m01s |
"""


def test_report_md_reads_like_this() -> None:
    whole = report("web")
    assert report_md.render(replace(whole, changes=(whole.changes[0], whole.changes[-1]))) == REPORT_MD


def test_report_md_leaves_out_what_there_is_not() -> None:
    empty = Report(vm="web", status=RunStatus.OK, stages=())
    heads = [line for line in report_md.render(empty).splitlines() if line.startswith("#")]
    assert heads == ["# web: ok", "## Stages"]
    not_run = BootEvidence(verdict=Verdict.NOT_RUN, firmware="bios", bus="x", seconds=0.0)
    assert report_md.render(replace(empty, boot=not_run)) == report_md.render(empty)


def test_a_boot_that_worked_needs_no_reason_and_no_facts() -> None:
    boot = BootEvidence(verdict=Verdict.BOOTED, firmware="uefi", bus="virtio-scsi", seconds=30.0)
    text = report_md.render(Report(vm="web", status=RunStatus.OK, stages=(), boot=boot))
    assert "**booted** on virtio-scsi by UEFI, after 30.0s.\n\n## Stages" in text
    assert "Boot: booted." in text


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain-text, 5 % (all) #1", "plain-text, 5 % (all) #1"),
        ("a_b*c", r"a\_b\*c"),
        ("<b>&amp;", r"\<b\>\&amp;"),
        ("[x](y) ~~z~~ | `q`", r"\[x\](y) \~\~z\~\~ \| \`q\`"),
        ("http://x www.y a@b", r"http\://x www\.y a\@b"),
        ("# x", r"\# x"),
        ("  - x", r"\- x"),
        ("+ x", r"\+ x"),
        ("===", r"\==="),
        ("1. x", r"1\. x"),
        ("12) x", r"12\) x"),
        ("a\nb\tc", r"a\\nb\\tc"),
    ],
)
def test_escaped_text(text: str, escaped: str) -> None:
    assert report_md.escape(text) == escaped


def outside_code(markdown: str) -> str:
    """What Markdown acts on: the text without fences and spans."""
    text = re.sub(r"^(`{3,})\w*\n.*?^\1\n", "", markdown, flags=re.DOTALL | re.MULTILINE)
    return re.sub(r"(?<!`)(`+)(?!`).*?(?<!`)\1(?!`)", "", text)


@given(st.text() | st.just(EVIL))
def test_text_of_a_guest_is_never_markup(text: str) -> None:
    plain, evil = report_md.render(report("w")), report_md.render(report(text))
    for line in outside_code(evil).split("\n"):
        unescaped = re.sub(r"\\[!-/:-@\[-`{-~]", "", line)
        assert not re.search(r"<|\[|~~|__", unescaped)
    heads = [line.split(" ")[0] for line in outside_code(evil).split("\n") if line.startswith("#")]
    assert heads == [line.split(" ")[0] for line in outside_code(plain).split("\n") if line.startswith("#")]
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]", evil)


@pytest.mark.parametrize("text", ["plain", "a`b", "``", "`", " ", "", "a|b"])
def test_code_spans_hold_their_backticks(text: str) -> None:
    span = report_md.code(text)
    ticks = re.match("`+", span)
    assert ticks is not None
    inner = span[len(ticks.group()) : -len(ticks.group())]
    assert ticks.group() not in re.findall("`+", inner)
    assert "|" not in span


PLAN_TEXT = r"""# fix-one
--- a/etc/fstab
+++ b/etc/fstab
@@ -1 +1,2 @@
-/dev/sda1 / ext4
+UUID=1 / ext4
+```
# fix-two
new file, mode 0600
--- /dev/null
+++ b/new
nothing -> 2 bytes, sha256 06eb7d6a69ee19e5fbdf749018d3d2abfa04bcbd1365db312eb86dc7169389b8
--- a/boot/grub/device.map
+++ /dev/null
@@ -1 +0,0 @@
-(hd0) /dev/sda
link "/link" -> "x\x1b[31m|`<b>*_\n# y\u202e\xff" (was "old")
copy "x\x1b[31m|`<b>*_\n# y\u202e\xff" to "/copy" (1.5 KiB)
append 2 KiB of drivers to "/boot/initrd" for kernel "6.1"
  + "conf/modules" (sha256 c0)
  + "x\x1b[31m|`<b>*_\n# y\u202e\xff" (sha256 f1)
  must hold virtio_blk
label "x\x1b[31m|`<b>*_\n# y\u202e\xff" "x\x1b[31m|`<b>*_\n# y\u202e\xff"
run sh -c 'x\x1b[31m|`<b>*_\n# y\u202e\xff'
  done when "/done" exists; may write below "/var/lib"
label what programs made by "x\x1b[31m|`<b>*_\n# y\u202e\xff"
rebuild initramfs "/boot/initrd" for kernel "6.1" with dracut
  must hold ext4, virtio_blk
"""


def test_plans_show_diffs_and_commands() -> None:
    planned = [PlannedChange(fix="fix-one", change=CHANGES[0])]
    planned += [PlannedChange(fix="fix-two", change=change) for change in CHANGES[1:]]
    assert plan_text.render(planned) == PLAN_TEXT


def test_a_new_link_and_a_command_that_writes_nothing() -> None:
    link = MakeSymlink(path="/l", before=None, target="t")
    assert plan_text.describe(link) == 'link "/l" -> "t"\n'
    command = RunCommand(argv=("true",), done_when="/d", may_write=())
    assert plan_text.describe(command) == 'run true\n  done when "/d" exists; may write below nothing\n'
    assert plan_text.title(command) == "run true"
    assert plan_text.title(link) == 'make symlink "/l"'


def test_an_empty_plan_is_no_text() -> None:
    assert plan_text.render([]) == ""
