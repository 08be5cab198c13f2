"""Qt under test: a platform that needs no display, and a guard against leaks."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from typing import Any

import pytest

# Before Qt is imported: without a display its default platform ends the process.
if sys.platform == "linux" and not (
    os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
):
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")


@pytest.fixture(autouse=True)
def _no_leaked_widgets(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fail a test that leaves a top-level widget behind."""
    if not {"qtbot", "make_napari_viewer"} & set(request.fixturenames):
        yield
        return
    from qtpy.QtCore import QEvent

    qapp = request.getfixturevalue("qapp")
    before = {id(widget) for widget in qapp.topLevelWidgets()}
    yield
    if request.node.get_closest_marker("gui"):
        return  # the viewer's own fixture looks after its window
    # pytest-qt has asked for its widgets to be deleted; this sees to it.
    leaked: list[Any] = []
    for attempt in range(3):
        if attempt:
            gc.collect()  # slow, and needed only where references form a ring
        qapp.sendPostedEvents(None, QEvent.Type.DeferredDelete)
        qapp.processEvents()
        leaked = [w for w in qapp.topLevelWidgets() if id(w) not in before]
        if not leaked:
            return
    assert not leaked, f"widgets left behind: {leaked}"


@pytest.fixture
def notifications(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Error messages that napari would have shown."""
    from napari_mmsubtype.widgets import job_runner

    messages: list[str] = []
    monkeypatch.setattr(job_runner, "show_error", messages.append)
    return messages


@pytest.fixture
def run_job(qtbot: Any) -> Callable[[Any, Any], None]:
    """Start a job on a runner and wait for its end."""

    def run(runner: Any, job: Any) -> None:
        with qtbot.waitSignal(runner.finished, timeout=10_000):
            runner.start(job)

    return run
