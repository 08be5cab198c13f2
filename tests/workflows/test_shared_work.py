"""Processes take units of work, wait for each other, and say when they cannot go on."""

from threading import Thread

import pytest
import torch
from torch.distributed import DistNetworkError

from builders.processes import two_processes
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.errors import ComputeError, ConfigurationError, JobCancelled
from napari_mmsubtype.workflows import shared_work
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.shared_work import SharedWork


@pytest.fixture
def two():
    return two_processes()


def tell(message):
    return Progress("fits", message=message)


def test_a_process_alone_does_everything_in_order():
    work = SharedWork()
    units = work.units("abc", "folds")
    seen = [(unit, units.done, units.all_taken) for unit in units]
    assert seen == [("a", 0, False), ("b", 1, False), ("c", 2, True)]
    assert (units.done, len(units)) == (3, 3)
    assert run_job(units.gather_job("mine")) == ["mine"]
    work.lead()
    assert list(work.follow_job()) == []
    assert list(work.units("de", "folds")) == ["d", "e"]


def test_each_unit_is_taken_once_by_whoever_is_free(two):
    first, second = (work.units("abcd", "folds") for work in two)
    one, other = iter(first), iter(second)
    assert [next(one), next(other), next(other)] == ["a", "b", "c"]
    assert (first.done, second.done) == (1, 1)
    assert not first.all_taken
    assert [*one, *other] == ["d"]
    assert first.all_taken
    assert (first.done, second.done) == (4, 4)
    assert next(iter(two[1].units("ef", "folds"))) == "e"


def test_everyone_waits_for_the_last_and_hears_all(two, monkeypatch):
    monkeypatch.setattr(shared_work, "_PAUSE_S", 0.001)
    first, second = (work.units("ab", "folds") for work in two)
    list(first)
    heard, told = {}, []
    waiting = Thread(
        target=lambda: heard.update(
            first=run_job(first.gather_job({"a": "é"}, tell), told.append)
        )
    )
    waiting.start()
    waiting.join(0.2)
    assert heard == {}
    assert told == [Progress("fits", message="waiting for 1 of 2 processes")]
    assert second.step("a") == Progress("folds", 2, 2, "a")
    assert run_job(second.gather_job(None)) == [{"a": "é"}, None]
    waiting.join(10)
    assert heard == {"first": [{"a": "é"}, None]}


def test_others_begin_when_the_first_has_checked_the_request(two, monkeypatch):
    monkeypatch.setattr(shared_work, "_PAUSE_S", 0.001)
    first, second = two
    assert list(first.follow_job()) == []
    told = []
    follower = Thread(target=lambda: told.extend(second.follow_job()))
    follower.start()
    second.lead()
    follower.join(0.2)
    assert follower.is_alive()
    first.lead()
    follower.join(10)
    assert [event.message for event in told] == ["waiting for the first process"]


def test_each_process_has_a_gpu_unless_one_is_named(two, monkeypatch):
    second = two[1]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert second.device("auto") == "auto"
    with pytest.raises(ConfigurationError, match="'cuda' is not there"):
        second.device("cuda")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: (9, 0))
    monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_90"])
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    assert [second.device(name) for name in ("auto", "cuda")] == ["cuda:1", "cuda:1"]
    assert [second.device(name) for name in ("cuda:0", "cpu")] == ["cuda:0", "cpu"]
    assert SharedWork().device("auto") == "auto"
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    with pytest.raises(ConfigurationError, match=r"2 processes .* for 1 GPU\(s\)"):
        second.device("auto")


def test_an_error_says_in_which_process_it_came(two):
    with pytest.raises(ConfigurationError) as caught, two[1]:
        raise ConfigurationError("too small")
    assert "process 1 (of 0 to 1)" in caught.value.__notes__[0]
    with pytest.raises(JobCancelled, match="process 1 was stopped"), two[1]:
        raise KeyboardInterrupt
    with pytest.raises(ConfigurationError) as caught, SharedWork():
        raise ConfigurationError("too small")
    assert not hasattr(caught.value, "__notes__")
    with pytest.raises(KeyboardInterrupt), SharedWork():
        raise KeyboardInterrupt


def test_without_torchrun_nothing_can_be_shared_any_more():
    class Gone:
        def add(self, key, amount):
            raise DistNetworkError("Connection reset by peer\nat Socket.cpp")

    with pytest.raises(ComputeError, match=r"torchrun .*\(Connection reset by peer\)"):
        SharedWork(Gone(), 1, 2).count("fits")
