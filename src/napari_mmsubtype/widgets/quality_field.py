"""Choose which poor patches stay out of a call."""

from __future__ import annotations

from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QCheckBox, QGridLayout, QLabel, QWidget

from napari_mmsubtype.core.quality_spec import DEFAULT_EXCLUDE, FLAGS
from napari_mmsubtype.core.recipe import AnalyzeRecipe

_TEXTS = {
    "pen": ("pen", "Ink of a marker pen: blue, green, black or red"),
    "blur": ("blur", "Much less sharp than the rest of the slide"),
    "fold": ("folds", "Much darker than the slide's dense tissue"),
    "bubble": ("bubbles", "Grey rims of air bubbles and edges of the cover slip"),
}
_COLUMNS = 2


class QualityField(QWidget):
    """Edits what a recipe says about the patches to use.

    The flags to leave out are check boxes. Thresholds, the tissue share and the edge,
    which only recipes and the command line set, are kept and named beneath them.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QGridLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setVerticalSpacing(2)
        self._boxes: dict[str, QCheckBox] = {}
        for place, name in enumerate(FLAGS):
            text, tip = _TEXTS[name]
            box = QCheckBox(text, self)
            box.setChecked(name in DEFAULT_EXCLUDE)
            box.setToolTip(f"{tip}; such patches are flagged in any case")
            box.setAccessibleName(f"Leave out {text}")
            box.toggled.connect(lambda _: self.valueChanged.emit())
            layout.addWidget(box, *divmod(place, _COLUMNS))
            self._boxes[name] = box
        self._kept: dict[str, Any] = {}
        self._note = QLabel(self)
        self._note.setWordWrap(True)
        self._note.hide()
        layout.addWidget(self._note, len(FLAGS), 0, 1, _COLUMNS)
        self.setFocusProxy(self._boxes[FLAGS[0]])

    def value(self) -> dict[str, Any]:
        """Give the fields of a recipe that this widget stands for.

        Returns
        -------
        dict
            ``exclude``, None where it is the default; and ``quality``, ``min_tissue``
            and ``edge`` where a recipe that was shown had set them.
        """
        flags = tuple(name for name, box in self._boxes.items() if box.isChecked())
        return {"exclude": None if flags == DEFAULT_EXCLUDE else flags, **self._kept}

    def setValue(self, recipe: AnalyzeRecipe) -> None:
        """Show what a recipe says about patches.

        Parameters
        ----------
        recipe : AnalyzeRecipe
            The request.
        """
        for name, box in self._boxes.items():
            box.setChecked(name in recipe.excluded_flags)
        plain = AnalyzeRecipe(slide=recipe.slide)
        self._kept = {
            name: getattr(recipe, name)
            for name in ("quality", "min_tissue", "edge")
            if getattr(recipe, name) != getattr(plain, name)
        }
        self._note.setText(self.note())
        self._note.setVisible(bool(self._kept))

    def note(self) -> str:
        """Say what the check boxes do not show.

        Returns
        -------
        str
            For example ``"as the recipe says: blur_ratio 0.05"``, or empty.
        """
        kept = {**self._kept}
        kept.update(kept.pop("quality", None) or {})
        said = ", ".join(f"{name} {value}" for name, value in kept.items())
        return f"as the recipe says: {said}" if said else ""
