"""Small bars that show shares and signed values in class colours."""

from __future__ import annotations

from collections.abc import Sequence

from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

# Half-transparent grey reads as a track on napari's dark and light themes alike.
_TRACK = QColor(128, 128, 128, 70)
_AXIS = QColor(128, 128, 128, 200)
_HEIGHT_PX = 14


class _Bar(QWidget):
    """What all bars share: their size and how they are painted."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return QSize(120, _HEIGHT_PX)

    def minimumSizeHint(self) -> QSize:
        return QSize(40, _HEIGHT_PX)

    def _spans(self) -> list[tuple[float, float, QColor]]:
        """Start and end of each coloured span as fractions of the width."""
        raise NotImplementedError

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        width, height = self.width(), self.height()
        top, thickness = (height - _HEIGHT_PX) / 2 + 1, _HEIGHT_PX - 2
        painter.fillRect(QRectF(0, top, width, thickness), _TRACK)
        for start, end, color in self._spans():
            painter.fillRect(
                QRectF(start * width, top, (end - start) * width, thickness), color
            )
        self._paint_axis(painter)
        painter.end()

    def _paint_axis(self, painter: QPainter) -> None:
        """Mark the zero where there is one."""


class StackedBar(_Bar):
    """Shows parts of a whole side by side, for example class probabilities.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._parts: list[tuple[float, QColor]] = []

    def setParts(self, parts: Sequence[tuple[float, str]]) -> None:
        """Set the parts.

        Parameters
        ----------
        parts : sequence of (float, str)
            Fraction of the whole, 0 to 1, and colour ``"#rrggbb"`` of each.
        """
        self._parts = [(float(share), QColor(color)) for share, color in parts]
        self.update()

    def _spans(self) -> list[tuple[float, float, QColor]]:
        spans, start = [], 0.0
        for share, color in self._parts:
            end = min(start + max(share, 0.0), 1.0)
            spans.append((start, end, color))
            start = end
        return spans


class SignedBar(_Bar):
    """Shows one value to the left or the right of zero.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._fraction = 0.0
        self._color = QColor(Qt.GlobalColor.gray)

    def setValue(self, value: float, limit: float, color: str) -> None:
        """Set the value.

        Parameters
        ----------
        value : float
            Signed.
        limit : float
            The absolute value that fills half of the bar; at least that of ``value``.
        color : str
            ``"#rrggbb"``.
        """
        self._fraction = max(-1.0, min(1.0, value / limit)) if limit > 0 else 0.0
        self._color = QColor(color)
        self.update()

    def _spans(self) -> list[tuple[float, float, QColor]]:
        ends = sorted((0.5, 0.5 + self._fraction / 2))
        return [(ends[0], ends[1], self._color)]

    def _paint_axis(self, painter: QPainter) -> None:
        painter.fillRect(QRectF(self.width() / 2 - 0.5, 0, 1, self.height()), _AXIS)
