"""Losses of a training, drawn while it runs."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from qtpy.QtCore import QPointF, QRectF, QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent, QPen, QPolygonF
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from collections.abc import Sequence

_TRAINING = QColor("#56b4e9")
_VALIDATION = QColor("#e69f00")
# Half-transparent grey reads on napari's dark and light themes alike.
_AXIS = QColor(128, 128, 128, 160)
_MARGIN_PX = 22
_HEIGHT_PX = 120


class CurvePlot(QWidget):
    """Draws training and validation loss against the epoch, and marks the best one.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._training: tuple[float, ...] = ()
        self._validation: tuple[float, ...] = ()
        self._best = 0
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setAccessibleName("Losses by epoch")

    def setCurves(
        self, training: Sequence[float], validation: Sequence[float], best: int
    ) -> None:
        """Set what is drawn.

        Parameters
        ----------
        training, validation : sequence of float
            Losses of each epoch.
        best : int
            Epoch whose model is kept, from 0.
        """
        self._training, self._validation = tuple(training), tuple(validation)
        self._best = best
        self.setToolTip(
            "Loss of the training patients (blue) and of the inner validation patients "
            f"(orange) in {len(self._training)} epochs; the mark is the epoch whose "
            "model is kept"
        )
        self.update()

    def points(self) -> dict[str, list[QPointF]]:
        """Give the corners of both lines, in pixels.

        Returns
        -------
        dict of str to list of QPointF
            ``training`` and ``validation``; losses that are not numbers are left out.
        """
        area = self._area()
        finite = [x for x in (*self._training, *self._validation) if math.isfinite(x)]
        if not finite:
            return {"training": [], "validation": []}
        low, high = min(finite), max(finite)
        span = (high - low) or 1.0
        steps = max(len(self._training) - 1, 1)

        def _corner(epoch: int, loss: float) -> QPointF:
            x = area.left() + area.width() * epoch / steps
            return QPointF(x, area.bottom() - area.height() * (loss - low) / span)

        return {
            name: [_corner(e, x) for e, x in enumerate(losses) if math.isfinite(x)]
            for name, losses in (
                ("training", self._training),
                ("validation", self._validation),
            )
        }

    def sizeHint(self) -> QSize:
        """Give the size that is asked for.

        Returns
        -------
        QSize
            In pixels.
        """
        return QSize(220, _HEIGHT_PX)

    def paintEvent(self, event: QPaintEvent) -> None:
        """Draw.

        Parameters
        ----------
        event : QPaintEvent
            From Qt.
        """
        painter = QPainter(self)
        painter.setRenderHint(QPainter.RenderHint.Antialiasing)
        area = self._area()
        painter.setPen(QPen(_AXIS, 1))
        painter.drawLine(area.bottomLeft(), area.bottomRight())
        painter.drawLine(area.bottomLeft(), area.topLeft())
        self._write(painter, area)
        lines = self.points()
        for name, color in (("training", _TRAINING), ("validation", _VALIDATION)):
            painter.setPen(QPen(color, 1.6))
            painter.drawPolyline(QPolygonF(lines[name]))
        if self._best < len(lines["validation"]):
            painter.setBrush(_VALIDATION)
            painter.drawEllipse(lines["validation"][self._best], 3.5, 3.5)
        painter.end()

    def _area(self) -> QRectF:
        return QRectF(self.rect()).adjusted(_MARGIN_PX + 14, 16, -6, -_MARGIN_PX)

    def _write(self, painter: QPainter, area: QRectF) -> None:
        """Name both lines, and the ends of both axes."""
        finite = [x for x in (*self._training, *self._validation) if math.isfinite(x)]
        font = painter.font()
        font.setPointSizeF(max(font.pointSizeF() * 0.8, 6.5))
        painter.setFont(font)
        for text, color, at in (
            ("training", _TRAINING, Qt.AlignmentFlag.AlignLeft),
            ("inner validation", _VALIDATION, Qt.AlignmentFlag.AlignRight),
        ):
            painter.setPen(color)
            painter.drawText(QRectF(area.left() + 4, 0, area.width() - 4, 14), at, text)
        painter.setPen(_AXIS)
        below = QRectF(area.left(), area.bottom() + 3, area.width(), 16)
        painter.drawText(below, Qt.AlignmentFlag.AlignLeft, "epoch 1")
        painter.drawText(
            below, Qt.AlignmentFlag.AlignRight, str(max(len(self._training), 1))
        )
        if finite:
            beside = QRectF(0, area.top() - 4, area.left() - 4, area.height() + 8)
            right = Qt.AlignmentFlag.AlignRight
            painter.drawText(
                beside, right | Qt.AlignmentFlag.AlignTop, f"{max(finite):.2f}"
            )
            painter.drawText(
                beside, right | Qt.AlignmentFlag.AlignBottom, f"{min(finite):.2f}"
            )
