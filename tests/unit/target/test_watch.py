"""When a boot is over: each test is a short film of observations."""

from dataclasses import replace

import pytest

from tests.unit.target.test_judgement import REPORT
from vmdk2kvm.model.report import BootBus
from vmdk2kvm.target.console import FailureName
from vmdk2kvm.target.judgement import Judgement
from vmdk2kvm.target.watch import Observation, Patience, Watch, patience
from vmdk2kvm.tools.accelerator import Accelerator

PATIENCE = Patience(cap_s=300, silence_s=60, settle_s=3, repeat_s=20, witness_s=10)
SHELL = "Gave up waiting for root\n(initramfs) "
EMERGENCY = "You are in emergency mode. After logging in"
LOGIN = "Debian GNU/Linux 12\n\nguest login: "


def film(*scenes: Observation, expects_witness: bool = True) -> tuple[Judgement | None, float]:
    """Play scenes second by second, each until the next one; the last one for 400 s."""
    watch = Watch(PATIENCE, BootBus.VIRTIO_BLK, expects_witness=expects_witness)
    for scene, end_s in zip(scenes, [*(scene.now_s for scene in scenes[1:]), 400.0], strict=True):
        now_s = scene.now_s
        while now_s < end_s:
            if (judgement := watch.look(replace(scene, now_s=now_s))) is not None:
                return judgement, now_s
            now_s += 1
    return None, now_s


def test_the_report_ends_the_boot_at_once() -> None:
    judgement, at_s = film(
        Observation(now_s=0, console="Linux"),
        Observation(now_s=9, heartbeats=1),
        Observation(now_s=12, report=REPORT),
    )
    assert judgement is not None and judgement.failure is None
    assert at_s == 12


def test_a_report_outranks_any_text() -> None:
    judgement, _ = film(Observation(now_s=0, console=SHELL, report=REPORT))
    assert judgement is not None and judgement.failure is None


def test_a_shell_in_the_initramfs_ends_it_when_it_stands_still() -> None:
    judgement, at_s = film(
        Observation(now_s=0, console="Loading"),
        Observation(now_s=30, console="Gave up waiting for root"),
        Observation(now_s=31, console=SHELL),
    )
    assert judgement is not None and judgement.failure is FailureName.INITRAMFS_SHELL
    assert judgement.detail == "Gave up waiting for root"
    assert at_s == 34


def test_without_a_serial_console_the_screen_tells() -> None:
    judgement, _ = film(Observation(now_s=0), Observation(now_s=30, screen=SHELL))
    assert judgement is not None and judgement.failure is FailureName.INITRAMFS_SHELL


def test_a_blinking_cursor_is_no_news() -> None:
    watch = Watch(PATIENCE, BootBus.VIRTIO_BLK, expects_witness=True)
    screens = [SHELL + ("?" if second % 2 else " ") for second in range(6)]
    seen = [watch.look(Observation(now_s=at, screen=text)) for at, text in enumerate(screens)]
    assert [judgement is not None for judgement in seen] == [False, False, False, True, True, True]


def test_a_hang_that_repeats_itself_is_named_all_the_same() -> None:
    watch = Watch(PATIENCE, BootBus.VIRTIO_BLK, expects_witness=True)
    line, at_s = "dracut-initqueue[1]: Warning: dracut-initqueue: timeout\n", 0
    while (judgement := watch.look(Observation(now_s=at_s, console=line * (at_s + 1)))) is None:
        at_s += 1
    assert judgement.failure is FailureName.INITRAMFS_HANG
    assert at_s == PATIENCE.repeat_s


def test_old_messages_do_not_count_once_the_guest_lives() -> None:
    judgement, at_s = film(
        Observation(now_s=0, console=SHELL),
        Observation(now_s=2, console=SHELL, heartbeats=1),
        Observation(now_s=50, console=SHELL, heartbeats=2, report=REPORT),
    )
    assert judgement is not None and judgement.failure is None
    assert at_s == 50


def test_a_guest_that_restarts_may_fail_before_it_lives_again() -> None:
    judgement, at_s = film(
        Observation(now_s=0, console="Linux", heartbeats=1),
        Observation(now_s=5, console="Linux", heartbeats=3, resets=1),
        Observation(now_s=6, console=f"Linux\n{SHELL}", heartbeats=3, resets=1),
    )
    assert judgement is not None and judgement.failure is FailureName.INITRAMFS_SHELL
    assert at_s == 9


def test_emergency_mode_waits_for_the_witness_to_say_why() -> None:
    report = {**REPORT, "states": "inactive active inactive", "failed-units": "data.mount x failed"}
    judgement, at_s = film(
        Observation(now_s=0, console=EMERGENCY, heartbeats=1),
        Observation(now_s=8, console=EMERGENCY, heartbeats=2, report=report),
    )
    assert judgement is not None and judgement.failure is FailureName.EMERGENCY_MODE
    assert "data.mount" in judgement.detail
    assert at_s == 8


@pytest.mark.parametrize(("heartbeats", "after_s"), [(0, 3), (1, 10)])
def test_emergency_mode_without_a_report_is_named_by_its_text(heartbeats: int, after_s: float) -> None:
    judgement, at_s = film(Observation(now_s=0, console=EMERGENCY, heartbeats=heartbeats))
    assert judgement is not None and judgement.failure is FailureName.EMERGENCY_MODE
    assert at_s == after_s


def test_a_panic_ends_it_even_late() -> None:
    text = "Kernel panic - not syncing: Attempted to kill init!"
    judgement, _ = film(Observation(now_s=0, heartbeats=1), Observation(now_s=5, heartbeats=1, console=text))
    assert judgement is not None and judgement.failure is FailureName.KERNEL_PANIC


def test_qemu_reports_a_panic_at_once() -> None:
    judgement, at_s = film(Observation(now_s=0), Observation(now_s=5, panicked=True))
    assert judgement is not None and judgement.failure is FailureName.KERNEL_PANIC
    assert at_s == 5


def test_a_restart_after_a_named_failure_is_that_failure() -> None:
    text = "Kernel panic - not syncing: no init"
    judgement, at_s = film(
        Observation(now_s=0), Observation(now_s=5, console=text), Observation(now_s=6, console=text, resets=1)
    )
    assert judgement is not None and judgement.failure is FailureName.KERNEL_PANIC
    assert at_s == 6


def test_a_guest_may_restart_but_not_for_ever() -> None:
    judgement, at_s = film(*(Observation(now_s=10 * n, resets=n) for n in range(5)))
    assert judgement is not None and judgement.failure is FailureName.REBOOT_LOOP
    assert at_s == 30


def test_a_guest_that_switches_itself_off_has_not_booted() -> None:
    judgement, _ = film(Observation(now_s=0), Observation(now_s=5, powered_off=True))
    assert judgement is not None and judgement.failure is FailureName.POWERED_OFF


def test_silence_ends_in_a_time_out() -> None:
    judgement, at_s = film(Observation(now_s=0), Observation(now_s=10, console="Loading Linux ..."))
    assert judgement is not None and judgement.failure is FailureName.TIME_OUT
    assert "Loading Linux" in judgement.detail
    assert at_s == 70


def test_a_heartbeat_buys_time_but_not_past_the_cap() -> None:
    watch = Watch(PATIENCE, BootBus.VIRTIO_BLK, expects_witness=True)
    for at_s in range(300):
        assert watch.look(Observation(now_s=at_s, heartbeats=at_s)) is None
    judgement = watch.look(Observation(now_s=300, heartbeats=300))
    assert judgement is not None and judgement.failure is FailureName.TIME_OUT


def test_a_login_prompt_is_proof_only_where_no_witness_is() -> None:
    judgement, at_s = film(Observation(now_s=0, console=LOGIN), expects_witness=False)
    assert judgement is not None and judgement.failure is None
    assert judgement.facts == (("proof", "login prompt"),)
    assert at_s == 3


def test_a_login_prompt_without_the_witness_is_not_enough() -> None:
    judgement, at_s = film(Observation(now_s=0, console=LOGIN))
    assert judgement is not None and judgement.failure is FailureName.WITNESS_SILENT
    assert at_s == 10


def test_a_login_prompt_while_the_witness_lives_means_wait() -> None:
    judgement, at_s = film(
        Observation(now_s=0, console=LOGIN, heartbeats=1), Observation(now_s=50, console=LOGIN, report=REPORT)
    )
    assert judgement is not None and judgement.failure is None
    assert at_s == 50


def test_emulation_gets_more_time_and_an_asked_time_out_is_kept() -> None:
    slow, fast = patience(Accelerator.TCG, None), patience(Accelerator.KVM, None)
    assert slow.cap_s > fast.cap_s and slow.silence_s > fast.silence_s
    assert patience(Accelerator.TCG, 42).cap_s == patience(Accelerator.KVM, 42).cap_s == 42


STUCK = "the guest asks, and no key for it was given"


def test_an_open_question_for_a_passphrase_ends_the_boot_by_name() -> None:
    judgement, now_s = film(*(Observation(now_s=t, console=f"text {t}", stuck=STUCK) for t in range(40)))
    assert judgement and (judgement.failure, judgement.detail) == (FailureName.PASSPHRASE_PROMPT, STUCK)
    assert now_s == 20.0, "whatever else the console says meanwhile"


def test_a_question_that_was_answered_after_all_does_not() -> None:
    scenes = [Observation(now_s=t, console=f"{t}", stuck=STUCK if t % 15 else "") for t in range(100)]
    judgement, now_s = film(*scenes, Observation(now_s=100, report=REPORT))
    assert judgement and judgement.failure is None and now_s == 100


def test_a_question_for_another_volume_ends_nothing_until_time_is_up() -> None:
    asks = Observation(now_s=0, console="a", heartbeats=1, stuck=STUCK)
    judgement, _ = film(asks, Observation(now_s=50, report=REPORT))
    assert judgement and judgement.failure is None
    judgement, now_s = film(asks)
    assert judgement and judgement.failure is FailureName.PASSPHRASE_PROMPT
    assert now_s == PATIENCE.silence_s
