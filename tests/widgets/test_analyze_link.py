from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from napari.components import ViewerModel
from qtpy.QtWidgets import QWidget

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.widgets.analyze_form import AnalyzeForm
from napari_mmsubtype.widgets.analyze_link import (
    SharedRequest,
    find_analyze,
    hand_to,
    open_analyze,
    take_from,
)
from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel
from napari_mmsubtype.widgets.omics_table import TableRequest

REQUEST = SharedRequest(
    {
        Modality.RNA: TableRequest("/d/rna.csv", Modality.RNA, "tpm", "rows"),
        Modality.CLINICAL: TableRequest("/d/c.csv", Modality.CLINICAL),
    },
    "TCGA-E2-A14V",
    "/d/bundle",
)


@pytest.fixture
def form(qtbot: Any) -> AnalyzeForm:
    widget = AnalyzeForm()
    qtbot.addWidget(widget)
    return widget


class Window:
    def __init__(self, viewer: Any) -> None:
        self.dock_widgets: dict[str, Any] = {}

    def add_dock_widget(self, widget: Any, name: str, **_: Any) -> None:
        self.dock_widgets[name] = widget


@pytest.mark.parametrize("request_", [REQUEST, SharedRequest()])
def test_what_is_handed_over_is_taken_back(form, request_) -> None:
    form.tables[Modality.METHYLATION].setValue("/d/old.csv")
    hand_to(form, request_)
    assert take_from(form) == request_


def test_the_panel_is_found_or_opened(qtbot) -> None:
    model = ViewerModel()
    assert find_analyze(model) is None
    viewer = SimpleNamespace(layers=model.layers, window=Window(model))
    other = QWidget()
    qtbot.addWidget(other)
    viewer.window.dock_widgets["other"] = other
    assert find_analyze(viewer) is None
    panel = open_analyze(viewer)
    qtbot.addWidget(panel)
    assert isinstance(panel, AnalyzePanel)
    assert find_analyze(viewer) is panel
    assert open_analyze(viewer) is panel
