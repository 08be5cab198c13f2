"""The two stains that were found on a slide, as patches of color."""

from __future__ import annotations

import numpy as np
from qtpy.QtCore import QSize, Qt
from qtpy.QtGui import QColor, QPainter, QPaintEvent
from qtpy.QtWidgets import QGridLayout, QLabel, QSizePolicy, QWidget

from napari_mmsubtype.slides.stain import StainNormalizer
from napari_mmsubtype.slides.stain_vectors import angle_between, color_of

_NAMES = ("Hematoxylin", "Eosin")
_SIZE = QSize(64, 16)
_AMOUNTS = (0.25, 0.5, 1.0, 1.5)
"""Concentrations that a swatch shows from left to right."""


class _Swatch(QWidget):
    """A stain from faint to strong."""

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.colors: list[QColor] = []
        self.setSizePolicy(QSizePolicy.Policy.Fixed, QSizePolicy.Policy.Fixed)

    def sizeHint(self) -> QSize:
        return _SIZE

    def paintEvent(self, event: QPaintEvent) -> None:
        painter = QPainter(self)
        width = self.width() / max(len(self.colors), 1)
        for number, color in enumerate(self.colors):
            left = round(number * width)
            right = round((number + 1) * width)
            painter.fillRect(left, 0, right - left, self.height(), color)
        painter.end()


class StainSwatches(QWidget):
    """Shows hematoxylin and eosin of a fit, their densities and their angle.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._swatches = [_Swatch(self) for _ in _NAMES]
        self._numbers = [QLabel(self) for _ in _NAMES]
        self._angle = QLabel(self)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setHorizontalSpacing(8)
        layout.setVerticalSpacing(4)
        rows = zip(_NAMES, self._swatches, self._numbers, strict=True)
        for row, (name, swatch, number) in enumerate(rows):
            swatch.setAccessibleName(f"{name} of this slide")
            number.setToolTip("Optical density in red, green and blue, of unit length")
            number.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
            layout.addWidget(QLabel(name, self), row, 0)
            layout.addWidget(swatch, row, 1)
            layout.addWidget(number, row, 2)
        layout.addWidget(QLabel("Angle between", self), len(_NAMES), 0)
        layout.addWidget(self._angle, len(_NAMES), 1, 1, 2)
        layout.setColumnStretch(2, 1)

    def texts(self) -> tuple[str, ...]:
        """Give the numbers shown.

        Returns
        -------
        tuple of str
            Densities of hematoxylin and of eosin, and the angle.
        """
        labels = (*self._numbers, self._angle)
        return tuple(str(label.text()) for label in labels)

    def setFit(self, fit: StainNormalizer) -> None:
        """Show the stains of a fit.

        Parameters
        ----------
        fit : StainNormalizer
            One that holds stains.
        """
        stains = np.asarray(fit.stains)
        rows = zip(stains, self._swatches, self._numbers, strict=True)
        for stain, swatch, number in rows:
            shades = color_of(np.outer(_AMOUNTS, stain)).tolist()
            swatch.colors = [QColor(*shade) for shade in shades]
            swatch.update()
            number.setText("  ".join(f"{value:.2f}" for value in stain))
        self._angle.setText(f"{angle_between(*stains):.1f}°")
