"""Choose how precisely the encoder computes."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QWidget

from napari_mmsubtype.core.recipe import PRECISIONS

_TEXTS = {
    "auto": "auto (what is fast and gives the same)",
    "float32": "float32 (exact, slower)",
    "bfloat16": "bfloat16 (coarser, often faster)",
    "int8": "int8 (coarsest, fastest on a CPU)",
}


class PrecisionField(QWidget):
    """Edits the precision of the encoder.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QComboBox(self)
        self._combo.setAccessibleName("Precision")
        self._combo.setToolTip(
            "auto takes bfloat16 where it saves time and a trial on patches of this "
            "slide shows that the model says the same as in float32; int8 is tried in "
            "the same way, and the result says how well it agrees"
        )
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(12)
        for name in PRECISIONS:
            self._combo.addItem(_TEXTS[name], name)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(lambda _: self.valueChanged.emit())
        self.setFocusProxy(self._combo)

    def value(self) -> str:
        """Give the precision.

        Returns
        -------
        str
            One of `recipe.PRECISIONS`.
        """
        return str(self._combo.currentData())

    def setValue(self, value: str) -> None:
        """Set the precision.

        Parameters
        ----------
        value : str
            One of `recipe.PRECISIONS`.
        """
        self._combo.setCurrentIndex(self._combo.findData(value))
