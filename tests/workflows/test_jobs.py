import pytest

from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.errors import JobCancelled
from napari_mmsubtype.workflows.jobs import run_job


def counting(seen):
    try:
        for done in range(3):
            yield Progress("count", done + 1, 3)
        return "result"
    finally:
        seen.append("closed")


def test_returns_what_the_job_returns_and_reports_every_event():
    seen, events = [], []
    assert run_job(counting(seen), events.append) == "result"
    assert [event.done for event in events] == [1, 2, 3]
    assert seen == ["closed"]


@pytest.mark.parametrize("error", [JobCancelled("stop"), KeyboardInterrupt()])
def test_stopping_closes_the_job_and_is_cancelled_not_failed(error):
    seen = []

    def stop(_event):
        raise error

    with pytest.raises(JobCancelled):
        run_job(counting(seen), stop)
    assert seen == ["closed"]


def test_a_fault_inside_the_job_reaches_the_caller():
    def faulty():
        yield Progress("a")
        raise ValueError("inside")

    with pytest.raises(ValueError, match="inside"):
        run_job(faulty())
