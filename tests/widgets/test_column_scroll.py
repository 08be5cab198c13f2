from __future__ import annotations

from qtpy.QtWidgets import QLabel, QVBoxLayout, QWidget

from napari_mmsubtype.widgets.column_scroll import ColumnScroll


def column(width: int) -> QWidget:
    widget = QWidget()
    layout = QVBoxLayout(widget)
    label = QLabel("x")
    label.setMinimumWidth(width)
    layout.addWidget(label)
    return widget


def test_never_narrower_than_its_column(qtbot) -> None:
    scroll = ColumnScroll()
    qtbot.addWidget(scroll)
    scroll.setWidget(column(300))
    assert scroll.minimumWidth() >= 300
    scroll.setWidget(column(100))
    assert 100 <= scroll.minimumWidth() < 300


def test_follows_a_column_that_grows(qtbot) -> None:
    scroll = ColumnScroll()
    qtbot.addWidget(scroll)
    widget = column(100)
    scroll.setWidget(widget)
    scroll.show()
    widget.findChild(QLabel).setMinimumWidth(400)
    qtbot.waitUntil(lambda: scroll.minimumWidth() >= 400, timeout=2000)


def test_asks_for_the_height_of_its_column(qtbot) -> None:
    scroll = ColumnScroll()
    qtbot.addWidget(scroll)
    assert scroll.sizeHint().isValid()
    widget = column(100)
    widget.findChild(QLabel).setMinimumHeight(700)
    scroll.setWidget(widget)
    assert scroll.sizeHint().height() >= 700
