from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from builders.omics import tpm_frame, write
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.widgets import table_queue
from napari_mmsubtype.widgets.omics_table import TableRequest, UnreadTable
from napari_mmsubtype.widgets.table_queue import TableQueue


@pytest.fixture
def queue(qtbot: Any) -> Any:
    queue = TableQueue()
    queue.results = {}
    queue.lost = []
    queue.done.connect(queue.results.__setitem__)
    queue.dropped.connect(queue.lost.append)
    yield queue
    qtbot.waitUntil(lambda: not queue.is_busy, timeout=20_000)
    queue.deleteLater()


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Reading waits until it is let go; what is read is the request itself."""
    gate = threading.Event()

    def job(request: TableRequest) -> Any:
        yield Progress("read")
        gate.wait(10)
        yield Progress("describe")
        return request

    monkeypatch.setattr(table_queue, "read_table_job", job)
    return gate


def test_files_are_read_one_after_the_other(queue, qtbot, tmp_path: Path) -> None:
    good = write(tpm_frame(4), tmp_path / "rna.csv")
    (tmp_path / "empty.csv").touch()
    queue.add(0, TableRequest(str(tmp_path / "empty.csv")))
    queue.add(1, TableRequest(str(good)))
    assert queue.text() == "Reading empty.csv (1 of 2)…"
    qtbot.waitUntil(lambda: not queue.is_busy, timeout=20_000)
    assert list(queue.results) == [0, 1]
    assert isinstance(queue.results[0], UnreadTable)
    assert queue.results[1].unit == "tpm"
    assert queue.text() == ""


def test_cancel_drops_what_waits_and_what_is_read(queue, gate, qtbot) -> None:
    for key in range(3):
        queue.add(key, TableRequest(f"{key}.csv"))
    queue.cancel()
    assert queue.lost == [1, 2]
    assert queue.is_stopping
    assert "Stopping to read 0.csv" in queue.text()
    gate.set()
    qtbot.waitUntil(lambda: not queue.is_busy, timeout=20_000)
    assert queue.lost == [1, 2, 0]
    assert queue.results == {}


def test_a_request_that_was_replaced_is_not_given(queue, gate, qtbot) -> None:
    queue.add(0, TableRequest("a.csv"))
    queue.add(0, TableRequest("a.csv", unit="tpm"))
    gate.set()
    qtbot.waitUntil(lambda: not queue.is_busy, timeout=20_000)
    assert queue.results == {0: TableRequest("a.csv", unit="tpm")}


def test_a_table_that_was_removed_is_not_given(queue, gate, qtbot) -> None:
    queue.add(0, TableRequest("a.csv"))
    queue.add(1, TableRequest("b.csv"))
    queue.remove(0)
    queue.remove(1)
    gate.set()
    qtbot.waitUntil(lambda: not queue.is_busy, timeout=20_000)
    assert queue.results == {}


def test_the_next_may_be_asked_for_when_one_is_done(queue, gate, qtbot) -> None:
    def more(key: int, _: Any) -> None:
        if key == 0:
            queue.add(1, TableRequest("b.csv"))

    queue.done.connect(more)
    queue.add(0, TableRequest("a.csv"))
    gate.set()
    qtbot.waitUntil(lambda: 1 in queue.results, timeout=20_000)
    assert queue.results[1].path == "b.csv"


def test_an_unexpected_error_is_told_as_well(
    queue, qtbot, monkeypatch, notifications
) -> None:
    def job(request: TableRequest) -> Any:
        yield Progress("read")
        raise RuntimeError("boom")

    monkeypatch.setattr(table_queue, "read_table_job", job)
    queue.add(0, TableRequest("a.csv"))
    qtbot.waitUntil(lambda: not queue.is_busy, timeout=20_000)
    assert "boom" in queue.results[0].sentence
    assert len(notifications) == 1
