"""Dots on a plane, a hundred thousand of them, and a lasso to choose some."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QPointF, QSize, Qt, Signal
from qtpy.QtGui import (
    QColor,
    QImage,
    QMouseEvent,
    QPainter,
    QPaintEvent,
    QPen,
    QPolygonF,
    QResizeEvent,
)
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from numpy.typing import NDArray

_PAPER = (24, 26, 31)
_MARGIN_PX = 10
_DIM = 0.25
_CLICK_PX = 6.0
_SIZES = ((1_000, 3.2), (20_000, 2.2))
"""Up to so many dots have this radius, in pixels; more have 1."""
_LINE = QColor(255, 255, 255, 220)


class DotPlot(QWidget):
    """Shows dots, and tells which ones the user chose.

    A click chooses the nearest dot, a line drawn around some chooses these, a click on
    nothing chooses none. The axes mean nothing, so there are none.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    chosen = Signal(object)

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Expanding)
        self.setAccessibleName("Map of patches")
        self._points = np.zeros((0, 2), np.float32)
        self._colors = np.zeros((0, 3), np.uint8)
        self._behind = np.zeros((0, 2), np.float32)
        self._behind_colors = np.zeros((0, 3), np.uint8)
        self._is_chosen = np.zeros(0, bool)
        self._marked = -1
        self._line: list[tuple[float, float]] = []
        self._image: QImage | None = None

    def sizeHint(self) -> QSize:
        """Ask for a square.

        Returns
        -------
        QSize
            In pixels.
        """
        return QSize(320, 320)

    def minimumSizeHint(self) -> QSize:
        """Ask for room to tell dots apart.

        Returns
        -------
        QSize
            In pixels.
        """
        return QSize(160, 160)

    def setPoints(
        self, points: NDArray[np.float32], behind: NDArray[np.float32] | None = None
    ) -> None:
        """Set the dots; none is chosen then.

        Parameters
        ----------
        points : ndarray of float32, shape (n, 2)
            Places; a dot at NaN is not drawn.
        behind : ndarray of float32, shape (k, 2), optional
            Dots behind them, which cannot be chosen.
        """
        self._points = points
        self._behind = np.zeros((0, 2), np.float32) if behind is None else behind
        self._colors = np.full((len(points), 3), 200, np.uint8)
        self._behind_colors = np.full((len(self._behind), 3), 90, np.uint8)
        self._is_chosen = np.zeros(len(points), bool)
        self._marked = -1
        self._redraw()

    def setColors(
        self, colors: NDArray[np.uint8], behind: NDArray[np.uint8] | None = None
    ) -> None:
        """Set the colors of the dots.

        Parameters
        ----------
        colors : ndarray of uint8, shape (n, 3)
            Red, green, blue.
        behind : ndarray of uint8, shape (k, 3), optional
            Of the dots behind.
        """
        self._colors = colors
        if behind is not None:
            self._behind_colors = behind
        self._redraw()

    def setMarked(self, index: int) -> None:
        """Draw a ring around a dot.

        Parameters
        ----------
        index : int
            The dot; -1 for none.
        """
        self._marked = index
        self.update()

    def choose(self, index: NDArray[np.int64]) -> None:
        """Choose dots, as the user would.

        Parameters
        ----------
        index : ndarray of int
            The dots; the others are dimmed. None of them where empty.
        """
        self._is_chosen = np.zeros(len(self._points), bool)
        self._is_chosen[index] = True
        self._redraw()
        self.chosen.emit(np.flatnonzero(self._is_chosen))

    def places(self) -> NDArray[np.float64]:
        """Give the places of the dots.

        Returns
        -------
        ndarray of float64, shape (n, 2)
            ``(x, y)`` in pixels of the widget; NaN where not drawn.
        """
        return self._to_widget(self._points)

    def _to_widget(self, points: NDArray[np.float32]) -> NDArray[np.float64]:
        """Fit the plane into the widget, both axes on one scale."""
        every = np.concatenate([self._points, self._behind])
        every = every[np.isfinite(every).all(axis=1)]
        if len(every) == 0:
            return np.full((len(points), 2), np.nan)
        low, high = every.min(axis=0), every.max(axis=0)
        room = np.maximum(np.array([self.width(), self.height()]) - 2 * _MARGIN_PX, 1)
        spread = np.maximum(high - low, 1e-6)
        scale = float((room / spread).min())
        shown = (points.astype(np.float64) - (low + high) / 2) * scale
        return np.asarray(shown + np.array([self.width(), self.height()]) / 2)

    def _redraw(self) -> None:
        self._image = None
        self.update()

    def _draw(self) -> QImage:
        """Paint all dots, in one go each for the pixels of a dot."""
        ratio = self.devicePixelRatioF()
        width, height = (
            max(round(v * ratio), 1) for v in (self.width(), self.height())
        )
        canvas = np.empty((height, width, 4), np.uint8)
        canvas[:] = (*_PAPER, 255)
        radius = _radius(len(self._points)) * ratio
        _splat(
            canvas, self._to_widget(self._behind) * ratio, self._behind_colors, ratio
        )
        colors = self._colors
        places = self.places() * ratio
        if self._is_chosen.any():
            dim = _DIM * colors + (1 - _DIM) * np.array(_PAPER)
            _splat(canvas, places, dim.astype(np.uint8), radius)
            kept = self._is_chosen
            _splat(canvas, places[kept], colors[kept], radius)
        else:
            _splat(canvas, places, colors, radius)
        image = QImage(
            canvas.tobytes(), width, height, QImage.Format.Format_RGBA8888
        ).copy()
        image.setDevicePixelRatio(ratio)
        return image

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint the dots, the ring and the line.

        Parameters
        ----------
        event : QPaintEvent
            From Qt.
        """
        if self._image is None:
            self._image = self._draw()
        painter = QPainter(self)
        painter.drawImage(0, 0, self._image)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        painter.setPen(QPen(_LINE, 1.5))
        if 0 <= self._marked < len(self._points):
            x, y = self.places()[self._marked]
            if np.isfinite(x):
                painter.drawEllipse(QPointF(x, y), 7.0, 7.0)
        if len(self._line) > 1:
            painter.setPen(QPen(_LINE, 1, Qt.PenStyle.DashLine))
            painter.drawPolyline(QPolygonF([QPointF(*place) for place in self._line]))
        painter.end()

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Lay the dots out anew.

        Parameters
        ----------
        event : QResizeEvent
            From Qt.
        """
        self._image = None
        super().resizeEvent(event)

    def mousePressEvent(self, event: QMouseEvent) -> None:
        """Begin a line.

        Parameters
        ----------
        event : QMouseEvent
            From Qt.
        """
        if event.button() == Qt.MouseButton.LeftButton:
            self._line = [_place(event)]

    def mouseMoveEvent(self, event: QMouseEvent) -> None:
        """Go on with the line.

        Parameters
        ----------
        event : QMouseEvent
            From Qt.
        """
        if self._line:
            self._line.append(_place(event))
            self.update()

    def mouseReleaseEvent(self, event: QMouseEvent) -> None:
        """Choose what lies within the line, or the dot that was clicked.

        Parameters
        ----------
        event : QMouseEvent
            From Qt.
        """
        line, self._line = self._line, []
        if not line:
            return
        places = self.places()
        reach = np.ptp(np.array([*line, _place(event)]), axis=0).max()
        if reach < _CLICK_PX:
            away = np.hypot(*(places - line[0]).T)
            near = np.flatnonzero(away <= _CLICK_PX)
            self.choose(near[away[near].argsort(kind="stable")[:1]])
        else:
            shown = np.flatnonzero(np.isfinite(places).all(axis=1))
            col, row = np.rint(places[shown]).astype(np.int64).T
            self.choose(shown[self._inside(line)[row, col]])

    def _inside(self, line: list[tuple[float, float]]) -> NDArray[np.bool_]:
        """Paint the area within a line; asking it costs the same for any line."""
        image = QImage(
            self.width() + 1, self.height() + 1, QImage.Format.Format_RGBA8888
        )
        image.fill(0)
        painter = QPainter(image)
        painter.setPen(Qt.PenStyle.NoPen)
        painter.setBrush(QColor(255, 255, 255))
        painter.drawPolygon(QPolygonF([QPointF(*place) for place in line]))
        painter.end()
        bits: Any = image.constBits()
        if hasattr(bits, "setsize"):  # PyQt does not say how long they are
            bits.setsize(image.sizeInBytes())
        shape = (self.height() + 1, self.width() + 1, 4)
        return np.frombuffer(bits, np.uint8).reshape(shape)[..., 3] > 0


def _radius(count: int) -> float:
    """Choose the radius of dots, larger where there is room."""
    return next((radius for most, radius in _SIZES if count <= most), 1.0)


def _place(event: QMouseEvent) -> tuple[float, float]:
    position = event.position()
    return position.x(), position.y()


def _splat(
    canvas: NDArray[np.uint8],
    places: NDArray[np.float64],
    colors: NDArray[np.uint8],
    radius: float,
) -> None:
    """Paint discs."""
    shown = np.isfinite(places).all(axis=1)
    x, y = np.rint(places[shown]).astype(np.int64).T
    reach = int(radius)
    height, width = canvas.shape[:2]
    for dy in range(-reach, reach + 1):
        for dx in range(-reach, reach + 1):
            if dy * dy + dx * dx <= radius * radius:
                row = np.clip(y + dy, 0, height - 1)
                col = np.clip(x + dx, 0, width - 1)
                canvas[row, col, :3] = colors[shown]
