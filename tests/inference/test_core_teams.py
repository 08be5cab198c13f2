"""Batches are divided among threads with cores of their own."""

import gc
import threading
import weakref

import pytest
import torch

from builders.cores import cores
from napari_mmsubtype.inference.core_teams import CoreTeams, choose_teams

CPU = torch.device("cpu")


@pytest.fixture
def four_cores():
    with cores(4):
        yield


def told_by_a_new_thread():
    """Ask PyTorch in a thread that never asked before."""
    told = []
    thread = threading.Thread(target=lambda: told.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    return told[0]


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(
    "part", [slice(0, 16), slice(5, 12), slice(3, 5), slice(9, 10)]
)
def test_every_patch_is_done_once_in_order(count, part):
    with CoreTeams(count) as teams:
        found = teams.run(lambda own: list(range(own.start, own.stop)), part)
    assert [i for own in found for i in own] == list(range(part.start, part.stop))
    assert len(found) == min(count, part.stop - part.start)
    lengths = [len(own) for own in found]
    assert max(lengths) - min(lengths) <= 1


def test_each_team_has_its_share_of_the_cores(four_cores):
    with CoreTeams(2) as teams:
        meet = threading.Barrier(2)

        def look(own):
            meet.wait(30)
            return threading.current_thread().name, torch.get_num_threads()

        seen = teams.run(look, slice(0, 8))
        assert torch.get_num_threads() == 4
        assert told_by_a_new_thread() == 4
    assert [cores for _, cores in seen] == [2, 2]
    assert len({name for name, _ in seen}) == 2
    assert torch.get_num_threads() == 4
    assert told_by_a_new_thread() == 4


def test_one_team_is_the_thread_that_asks(four_cores):
    with CoreTeams(1) as teams:
        found = teams.run(lambda own: threading.current_thread(), slice(0, 16))
    assert found == [threading.current_thread()]


def test_a_team_that_is_free_takes_up_what_is_next():
    go, order, all_done = threading.Event(), [], threading.Event()

    def work(own):
        if own.start == 0:
            go.wait(30)
        order.append(own.start)
        if len(order) == 3:
            all_done.set()
        return own.start

    with CoreTeams(2) as teams:
        first = teams.begin(work, slice(0, 8))
        second = teams.begin(work, slice(8, 16))
        # One team does three parts while the other is still at its first.
        assert second() == [8, 12]
        assert all_done.wait(30)
        go.set()
        assert first() == [0, 4]
    assert order == [4, 8, 12, 0]


def test_a_thread_that_cannot_begin_leaves_none_waiting(monkeypatch):
    begun = threading.active_count()
    real = threading.Thread.start
    left = [1]

    def start(thread):
        if not left:
            raise RuntimeError("can't start new thread")
        left.pop()
        real(thread)

    monkeypatch.setattr(threading.Thread, "start", start)
    with pytest.raises(RuntimeError, match="can't start"), CoreTeams(2):
        pass
    assert threading.active_count() == begun


def test_what_was_not_taken_up_is_given_up_at_the_end():
    at_work, go, done = threading.Barrier(3), threading.Event(), []

    def work(own):
        if own.start < 2:
            at_work.wait(30)
        go.wait(30)
        done.append(own.start)

    with CoreTeams(2) as teams:
        teams.begin(work, slice(0, 2))
        teams.begin(work, slice(2, 4))
        # A thread may need a while to wake: what it has not taken up is given up too.
        at_work.wait(30)
        threading.Timer(0.1, go.set).start()
    assert sorted(done) == [0, 1]


def test_an_error_keeps_no_tensor():
    kept = []

    def work(own):
        large = torch.zeros(1000)
        kept.append(weakref.ref(large))
        raise MemoryError("none left")

    gc.disable()
    try:
        with CoreTeams(2) as teams:
            end = teams.begin(work, slice(0, 2))
            while len(kept) < 2:
                pass
            with pytest.raises(MemoryError):
                end()
            assert [held() for held in kept] == [None, None]
    finally:
        gc.enable()


def test_an_error_is_raised_when_all_have_ended():
    ended = threading.Event()

    def work(own):
        if own.start == 0:
            raise MemoryError("first half")
        ended.wait(timeout=0.3)
        ended.set()

    with CoreTeams(2) as teams:
        with pytest.raises(MemoryError, match="first half"):
            teams.run(work, slice(0, 4))
        assert ended.is_set()
        assert teams.run(lambda own: own.start, slice(0, 4)) == [0, 2]


@pytest.mark.parametrize(
    ("count", "batch_size", "expected"),
    [
        (1, 16, 1),
        (2, 16, 2),
        (2, 15, 1),
        (3, 64, 3),
        (3, 16, 1),
        (8, 16, 2),
        (6, 40, 3),
    ],
)
def test_teams_are_of_one_size_and_have_enough_to_do(count, batch_size, expected):
    with cores(count):
        assert choose_teams(CPU, batch_size).count == expected


def test_other_devices_get_whole_batches(four_cores):
    assert choose_teams(torch.device("cuda"), 128).count == 1


def test_without_openmp_batches_stay_whole(four_cores, monkeypatch):
    monkeypatch.setattr(torch.__config__, "parallel_info", lambda: "backend: native")
    assert choose_teams(CPU, 16).count == 1
