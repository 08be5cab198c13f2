from __future__ import annotations

import threading
from typing import Any

from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.widgets import table_queue
from napari_mmsubtype.widgets.omics_table import TableRequest
from napari_mmsubtype.widgets.queue_bar import QueueBar
from napari_mmsubtype.widgets.table_queue import TableQueue


def test_it_shows_what_is_read_and_cancels_it(qtbot, monkeypatch) -> None:
    gate = threading.Event()

    def job(request: TableRequest) -> Any:
        yield Progress("read")
        gate.wait(10)
        yield Progress("describe")
        return request

    monkeypatch.setattr(table_queue, "read_table_job", job)
    queue = TableQueue()
    bar = QueueBar(queue)
    qtbot.addWidget(bar)
    assert bar.isHidden()
    queue.add(0, TableRequest("folder/a.csv"))
    assert not bar.isHidden()
    assert bar.text() == "Reading a.csv…"
    bar.cancelButton.click()
    assert "Stopping" in bar.text()
    assert not bar.cancelButton.isEnabled()
    gate.set()
    qtbot.waitUntil(bar.isHidden, timeout=20_000)
    assert bar.cancelButton.isEnabled()
    queue.deleteLater()


def test_it_shows_how_much_of_a_file_is_read(qtbot, monkeypatch) -> None:
    gates = [threading.Event(), threading.Event()]

    def job(request: TableRequest) -> Any:
        for gate, event in zip(
            gates, (Progress("r", 1, 4), Progress("r")), strict=True
        ):
            yield event
            gate.wait(10)
        return request

    monkeypatch.setattr(table_queue, "read_table_job", job)
    queue = TableQueue()
    bar = QueueBar(queue)
    qtbot.addWidget(bar)
    queue.add(0, TableRequest("a.h5ad"))
    assert bar._bar.maximum() == 0
    qtbot.waitUntil(lambda: bar._bar.value() == 25, timeout=5000)
    assert bar._bar.maximum() == 100
    gates[0].set()
    qtbot.waitUntil(lambda: bar._bar.maximum() == 0, timeout=5000)
    gates[1].set()
    qtbot.waitUntil(bar.isHidden, timeout=20_000)
    queue.deleteLater()
