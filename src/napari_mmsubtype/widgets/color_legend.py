"""What the colors of a map mean: a strip of them, on white, with its ends named."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from qtpy.QtCore import QRectF, QSize, Qt
from qtpy.QtGui import QColor, QImage, QPainter, QPaintEvent
from qtpy.QtWidgets import QSizePolicy, QWidget

if TYPE_CHECKING:
    from numpy.typing import NDArray

_STRIP_PX = 12
_GAP_PX = 2
_STEPS = 256
_GLASS = 1.0


class ColorLegend(QWidget):
    """Shows the colors of one layer from its least to its largest value.

    They lie on white, as they do on the glass of a slide.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self._strip = np.zeros((0, 3), np.uint8)
        self._words: tuple[str, ...] = ()
        self.hide()

    def words(self) -> tuple[str, ...]:
        """Give what is written below the strip.

        Returns
        -------
        tuple of str
            From left to right; empty where no map is shown.
        """
        return self._words

    def strip(self) -> NDArray[np.uint8]:
        """Give the colors of the strip.

        Returns
        -------
        ndarray of uint8, shape (n, 3)
            From left to right.
        """
        return self._strip

    def setLayer(self, layer: Any, about: str) -> None:
        """Show the colors of a layer.

        Parameters
        ----------
        layer : napari.layers.Image or None
            None hides the legend.
        about : str
            The class it speaks for and against; empty where it is never negative.
        """
        if layer is None:
            self._words = ()
            self.hide()
            return
        rgba = np.asarray(layer.colormap.map(np.linspace(0, 1, _STEPS)), np.float64)
        opacity = rgba[:, 3:] * float(layer.opacity)
        seen = opacity * rgba[:, :3] + (1 - opacity) * _GLASS
        self._strip = np.rint(seen * 255).astype(np.uint8)
        most = f"{float(layer.contrast_limits[1]):.2g}"
        if about:
            self._words = (f"-{most} against", "0", f"for {about} +{most}")
        else:
            self._words = ("0", most)
        self.setAccessibleName(f"Colors from {' to '.join(self._words)}")
        self.show()
        self.update()

    def sizeHint(self) -> QSize:
        """Ask for a strip and a line of text.

        Returns
        -------
        QSize
            In pixels.
        """
        return QSize(200, _STRIP_PX + _GAP_PX + self.fontMetrics().height())

    def minimumSizeHint(self) -> QSize:
        """Ask for no less height.

        Returns
        -------
        QSize
            In pixels.
        """
        return QSize(80, self.sizeHint().height())

    def _has_room(self, left: str, middle: str, right: str) -> bool:
        """Tell whether the word in the middle touches neither of the others."""
        ends, own = (
            max(int(self.fontMetrics().horizontalAdvance(word)) for word in words)
            for words in ((left, right), (f" {middle} ",))
        )
        return 2 * ends + own < int(self.width())

    def paintEvent(self, event: QPaintEvent) -> None:
        """Paint strip and words.

        Parameters
        ----------
        event : QPaintEvent
            From Qt.
        """
        count = len(self._strip)
        if not count:
            return
        image = QImage(
            self._strip.tobytes(), count, 1, 3 * count, QImage.Format.Format_RGB888
        )
        painter = QPainter(self)
        painter.drawImage(QRectF(0, 0, self.width(), _STRIP_PX), image)
        painter.setPen(QColor(self.palette().color(self.foregroundRole())))
        top = _STRIP_PX + _GAP_PX
        place = QRectF(0, top, self.width(), self.height() - top)
        sides = [Qt.AlignmentFlag.AlignLeft, Qt.AlignmentFlag.AlignRight]
        ends = (self._words[0], self._words[-1])
        for side, word in zip(sides, ends, strict=True):
            painter.drawText(place, side | Qt.AlignmentFlag.AlignVCenter, word)
        if len(self._words) > len(ends) and self._has_room(*self._words):
            painter.drawText(place, Qt.AlignmentFlag.AlignCenter, self._words[1])
        painter.end()
