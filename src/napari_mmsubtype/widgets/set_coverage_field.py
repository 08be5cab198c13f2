"""Choose how often the set of classes shall hold the true one."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QWidget

from napari_mmsubtype.core.trust import COVERAGES, DEFAULT_COVERAGE


class SetCoverageField(QWidget):
    """Edits the coverage of prediction sets.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QComboBox(self)
        self._combo.setAccessibleName("Set coverage")
        self._combo.setToolTip(
            "Beside the call stands the set of classes that cannot be ruled out. So "
            "many in a hundred patients have their true class in it; more makes larger "
            "sets."
        )
        for value in COVERAGES:
            self._combo.addItem(f"{100 * value:g} %", value)
        self._combo.setCurrentIndex(self._combo.findData(DEFAULT_COVERAGE))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(lambda _: self.valueChanged.emit())
        self.setFocusProxy(self._combo)

    def value(self) -> float | None:
        """Give the coverage.

        Returns
        -------
        float or None
            None for the default.
        """
        chosen = float(self._combo.currentData())
        return None if chosen == DEFAULT_COVERAGE else chosen

    def setValue(self, value: float | None) -> None:
        """Set the coverage.

        Parameters
        ----------
        value : float or None
            Also one that is not among the choices; None for the default.
        """
        wanted = DEFAULT_COVERAGE if value is None else value
        index = self._combo.findData(wanted)
        if index < 0:
            self._combo.addItem(f"{100 * wanted:g} %", wanted)
            index = self._combo.count() - 1
        self._combo.setCurrentIndex(index)
