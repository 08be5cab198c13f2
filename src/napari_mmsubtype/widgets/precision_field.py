"""Choose how precisely the encoder computes."""

from __future__ import annotations

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget

from napari_mmsubtype.core.recipe import COHORT_PRECISIONS, PRECISIONS

_TEXTS = {
    "auto": "auto (what is fast and gives the same)",
    "float32": "float32 (exact, slower)",
    "bfloat16": "bfloat16 (coarser, often faster)",
    "int8": "int8 (coarsest, fastest on a CPU)",
}
_TIP = (
    "auto takes bfloat16 where it saves time and a trial on patches of this slide "
    "shows that the model says the same as in float32; int8 is tried in the same way, "
    "and the result says how well it agrees"
)
_COHORT_TEXTS = {
    "auto": "auto (float32 on a CPU)",
    "float32": "float32 (exact, slower)",
    "bfloat16": "bfloat16 (coarser, often faster)",
}
_COHORT_TIP = (
    "Of the embeddings, for all slides alike; those of another precision are embedded "
    "anew"
)


class PrecisionField(QWidget):
    """Edits the precision of the encoder.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    cohort : bool, default: False
        Offer what treats all slides of a cohort alike, instead of what suits one.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None, *, cohort: bool = False) -> None:
        super().__init__(parent)
        self._combo = QComboBox(self)
        self._combo.setAccessibleName("Precision")
        self._combo.setToolTip(_COHORT_TIP if cohort else _TIP)
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(12)
        texts = _COHORT_TEXTS if cohort else _TEXTS
        for name in COHORT_PRECISIONS if cohort else PRECISIONS:
            self._combo.addItem(texts[name], name)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(lambda _: self.valueChanged.emit())
        # As wide as the form: what is chosen is read whole.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self._combo)

    def value(self) -> str:
        """Give the precision.

        Returns
        -------
        str
            One of `recipe.PRECISIONS`, or of `recipe.COHORT_PRECISIONS`.
        """
        return str(self._combo.currentData())

    def setValue(self, value: str) -> None:
        """Set the precision.

        Parameters
        ----------
        value : str
            One of `recipe.PRECISIONS`, or of `recipe.COHORT_PRECISIONS`.
        """
        self._combo.setCurrentIndex(self._combo.findData(value))
