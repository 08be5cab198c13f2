from __future__ import annotations

from typing import Any

import pytest

from napari_mmsubtype.widgets.first_rows_view import FirstRowsView
from napari_mmsubtype.widgets.omics_lookup import FirstRows

ROWS = FirstRows(("ESR1", "PGR"), (("b", ("1", "2")), ("a", ("–", "4"))), True)


@pytest.fixture
def view(qtbot: Any) -> FirstRowsView:
    widget = FirstRowsView()
    qtbot.addWidget(widget)
    return widget


def test_cells_are_shown_and_the_patient_is_marked(view) -> None:
    view.setRows(ROWS)
    assert (view.rowCount(), view.columnCount()) == (2, 2)
    assert view.horizontalHeaderItem(1).text() == "PGR"
    assert view.item(1, 0).text() == "–"
    assert view.verticalHeaderItem(0).text() == "▸ b"
    assert view.verticalHeaderItem(1).text() == "a"
    assert view.item(0, 0).font().bold()
    assert not view.item(1, 0).font().bold()


def test_nobody_is_marked_without_a_patient(view) -> None:
    view.setRows(FirstRows(ROWS.columns, ROWS.rows, False))
    assert view.verticalHeaderItem(0).text() == "b"


def test_it_is_as_high_as_its_rows_and_cannot_be_edited(view) -> None:
    view.setRows(ROWS)
    two = view.height()
    view.setRows(FirstRows(ROWS.columns, ROWS.rows[:1]))
    assert view.height() < two
    assert view.editTriggers() == view.EditTrigger.NoEditTriggers
