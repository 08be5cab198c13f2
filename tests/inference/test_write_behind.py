import logging
import threading

import pytest

from napari_mmsubtype.inference.write_behind import WriteBehind


def test_each_task_ends_before_the_next_begins_and_gives_its_answer():
    told, order = [], []

    def task(number):
        order.append(("begin", number, threading.current_thread().name))
        order.append(("end", number, threading.current_thread().name))
        return number

    with WriteBehind() as behind:
        for number in range(4):
            told += behind.submit(lambda number=number: task(number))
            assert told == list(range(number))
        told += behind.finish()
        assert behind.finish() == []
    assert told == [0, 1, 2, 3]
    assert [step[:2] for step in order] == [
        (what, number) for number in range(4) for what in ("begin", "end")
    ]
    assert {name.split("_")[0] for *_, name in order} == {"mmsubtype-write"}


def test_work_goes_on_while_a_task_runs():
    go = threading.Event()
    with WriteBehind() as behind:
        assert behind.submit(lambda: go.wait(30)) == []
        go.set()  # never reached, were the task run before submit returned
        assert behind.finish() == [True]


def test_what_fails_is_raised_before_the_next_one_is_begun():
    begun = []

    def fail():
        raise OSError("full")

    with WriteBehind() as behind:
        behind.submit(fail)
        with pytest.raises(OSError, match="full"):
            behind.submit(lambda: begun.append(1))
    assert begun == []


def test_whoever_leaves_early_waits_for_the_last_task_and_hears_of_its_failure(caplog):
    go, done = threading.Event(), []

    def slow():
        go.wait(30)
        done.append(1)

    def stop():
        with WriteBehind() as behind:
            behind.submit(slow)
            threading.Timer(0.05, go.set).start()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert done == [1]

    def fail():
        raise OSError("full")

    with caplog.at_level(logging.WARNING), WriteBehind() as behind:
        behind.submit(fail)
    assert "the last batch was not written: full" in caplog.text
