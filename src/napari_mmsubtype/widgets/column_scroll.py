"""A column that scrolls up and down, never sideways."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QObject, QSize, Qt
from qtpy.QtWidgets import QFrame, QScrollArea, QStyle, QWidget

_LEAST_HEIGHT_PX = 120


class ColumnScroll(QScrollArea):
    """Scrolls one column of widgets and is never narrower than the column.

    A plain scroll area ignores how wide its content has to be and cuts it off.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)

    def setWidget(self, widget: QWidget) -> None:
        """Set the column.

        Parameters
        ----------
        widget : QWidget
            Replaces the former one, which is deleted.
        """
        super().setWidget(widget)
        widget.installEventFilter(self)
        self._fit()

    def eventFilter(self, watched: QObject, event: QEvent) -> bool:
        """Follow the column when it needs more room or less.

        Parameters
        ----------
        watched : QObject
            The column.
        event : QEvent
            Anything that happens to it.

        Returns
        -------
        bool
            Whether the event stops here; it never does.
        """
        if event.type() == QEvent.Type.LayoutRequest and watched is self.widget():
            self._fit()
        return bool(super().eventFilter(watched, event))

    def sizeHint(self) -> QSize:
        """Give the column's own size.

        Returns
        -------
        QSize
            With room for the scroll bar.
        """
        widget = self.widget()
        if widget is None:
            return QSize(super().sizeHint())
        width = max(self.minimumWidth(), widget.sizeHint().width())
        height = widget.sizeHint().height()
        if widget.hasHeightForWidth():
            height = max(height, widget.heightForWidth(width - self._bar_width()))
        return QSize(width, height)

    def _bar_width(self) -> int:
        return int(self.style().pixelMetric(QStyle.PixelMetric.PM_ScrollBarExtent))

    def _fit(self) -> None:
        widget = self.widget()
        if widget is not None:
            width = widget.minimumSizeHint().width() + self._bar_width()
            self.setMinimumSize(width, _LEAST_HEIGHT_PX)
            self.updateGeometry()
