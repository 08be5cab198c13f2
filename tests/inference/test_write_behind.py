import logging
import threading

import pytest

from napari_mmsubtype.inference import write_behind
from napari_mmsubtype.inference.write_behind import WriteBehind


@pytest.fixture
def later(monkeypatch):
    """Write the first item, and the others at the end."""
    monkeypatch.setattr(write_behind, "EVERY_S", 600.0)


class Story:
    """Writes nothing, and tells what it was given, by whom."""

    def __init__(self):
        self.written, self.threads = [], set()

    def __call__(self, items):
        self.written.append(list(items))
        self.threads.add(threading.current_thread().name.split("_")[0])
        return [f"told {item}" for item in items]


def test_each_item_is_written_before_the_next_and_told_of_once():
    story, told = Story(), []
    with WriteBehind(story) as behind:
        for number in range(4):
            told += behind.submit(number)
            assert told == [f"told {i}" for i in range(number)]
        told += behind.finish()
        assert behind.finish() == []
    assert told == [f"told {i}" for i in range(4)]
    assert story.written == [[0], [1], [2], [3]]
    assert story.threads == {"mmsubtype-write"}


def test_what_comes_in_a_short_time_is_written_together(later):
    story, told = Story(), []
    with WriteBehind(story) as behind:
        for number in range(5):
            told += behind.submit(number)
        told += behind.finish()
    assert story.written == [[0], [1, 2, 3, 4]]
    assert told == [f"told {i}" for i in range(5)]


def test_the_first_item_is_told_of_as_soon_as_it_is_written(later):
    there = threading.Event()

    def write(items):
        there.set()
        return items

    with WriteBehind(write) as behind:
        behind.submit("first")
        assert there.wait(30)
        behind._pending.result(30)
        assert behind.submit("second") == ["first"]
        assert behind.finish() == ["second"]


def test_work_goes_on_while_something_is_written():
    go = threading.Event()

    def write(items):
        return [go.wait(30) for _ in items]

    with WriteBehind(write) as behind:
        assert behind.submit(0) == []
        go.set()  # never reached, were it written before submit returned
        assert behind.finish() == [True]


def test_a_slow_disk_is_waited_for():
    go, story = threading.Event(), Story()

    def write(items):
        go.wait(30)
        return story(items)

    with WriteBehind(write) as behind:
        behind.submit(0)
        threading.Timer(0.05, go.set).start()
        # However slow it is, no more than one item waits.
        assert behind.submit(1) == ["told 0"]


def full(items):
    raise OSError("full")


def test_what_fails_is_raised_and_nothing_is_written_after_it():
    begun = []

    def write(items):
        begun.append(items)
        return full(items)

    with WriteBehind(write) as behind:
        behind.submit(0)
        with pytest.raises(OSError, match="full"):
            behind.submit(1)
    assert begun == [[0]]


def test_whoever_leaves_early_has_the_rest_written(later):
    story = Story()

    def stop():
        with WriteBehind(story) as behind:
            for number in range(3):
                behind.submit(number)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert story.written == [[0], [1, 2]]


def test_whoever_leaves_early_hears_of_a_failure(caplog):
    with caplog.at_level(logging.WARNING), WriteBehind(full) as behind:
        behind.submit(0)
    assert "the last patches were not written: full" in caplog.text
