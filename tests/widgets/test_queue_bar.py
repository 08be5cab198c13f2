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
