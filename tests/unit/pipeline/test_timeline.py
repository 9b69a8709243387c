import pytest

from vmdk2kvm.model.progress import StageEnded, StageStarted
from vmdk2kvm.model.report import StageName, StageStatus
from vmdk2kvm.pipeline.timeline import Timeline


def statuses(timeline):
    return {result.name: result.status for result in timeline.results}


def test_every_stage_has_a_result_in_order():
    timeline = Timeline(lambda event: None)
    with timeline.stage(StageName.FETCH):
        pass
    timeline.reused(StageName.CONVERT, 2.5)
    assert [result.name for result in timeline.results] == list(StageName)
    assert statuses(timeline)[StageName.FETCH] is StageStatus.OK
    assert statuses(timeline)[StageName.CONVERT] is StageStatus.REUSED
    assert statuses(timeline)[StageName.VALIDATE] is StageStatus.SKIPPED


def test_a_stage_that_raises_has_failed_and_the_listener_hears_it():
    events = []
    timeline = Timeline(events.append)
    with pytest.raises(ValueError), timeline.stage(StageName.FIX):
        raise ValueError
    assert statuses(timeline)[StageName.FIX] is StageStatus.FAILED
    assert [type(event) for event in events] == [StageStarted, StageEnded]
    assert events[1].status is StageStatus.FAILED


def test_a_stage_can_fail_by_its_verdict():
    timeline = Timeline(lambda event: None)
    with timeline.stage(StageName.VALIDATE):
        pass
    timeline.failed(StageName.VALIDATE)
    assert statuses(timeline)[StageName.VALIDATE] is StageStatus.FAILED
