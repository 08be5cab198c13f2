"""Choose between the tissue that is found and a mask that was edited."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget


class TissueField(QWidget):
    """Edits which tissue mask an analysis uses; each slide has its own.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals
    editRequested = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slide = ""
        self._masks: dict[str, str] = {}
        self._text = QLabel(self)
        self.editButton = QPushButton("Edit tissue…", self)
        self.editButton.clicked.connect(self.editRequested)
        self._reset = QToolButton(self)
        self._reset.setText("✕")
        self._reset.setAccessibleName("Use the tissue that is found")
        self._reset.setToolTip("Use the tissue that is found; the mask's file stays")
        self._reset.clicked.connect(lambda: self.setValue(None))
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addWidget(self._text, 1)
        layout.addWidget(self._reset)
        layout.addWidget(self.editButton)
        self.setFocusProxy(self.editButton)
        self._show()

    def setSlide(self, path: str | None) -> None:
        """Show the mask of this slide.

        Parameters
        ----------
        path : str or None
            Path of the slide; None while there is none.
        """
        self._slide = path or ""
        self._show()

    def value(self) -> str | None:
        """Give the mask of the slide.

        Returns
        -------
        str or None
            Path of the edited mask; None where the tissue is found.
        """
        return self._masks.get(self._slide)

    def setValue(self, value: str | None) -> None:
        """Set the mask of the slide.

        Parameters
        ----------
        value : str or None
            Path of the edited mask; None lets the tissue be found.
        """
        self.setMask(self._slide, value)

    def setMask(self, slide: str, value: str | None) -> None:
        """Set the mask of one slide, which need not be the one that is shown.

        Parameters
        ----------
        slide : str
            Path of the slide.
        value : str or None
            Path of the edited mask; None lets the tissue be found.
        """
        if value is None:
            self._masks.pop(slide, None)
        else:
            self._masks[slide] = value
        self._show()
        self.valueChanged.emit()

    def problem(self) -> str:
        """Say what is wrong with the mask.

        Returns
        -------
        str
            One sentence, or empty.
        """
        value = self.value()
        if value is None or Path(value).exists():
            return ""
        return f"The tissue mask {Path(value).name} is gone; edit the tissue again."

    def _show(self) -> None:
        value = self.value()
        self._text.setText("found when run" if value is None else "edited mask")
        self._text.setToolTip(value or "")
        self._reset.setVisible(value is not None)
        self.editButton.setEnabled(bool(self._slide))
        self.editButton.setToolTip(
            "Find the tissue and correct it with the brush"
            if value is None
            else "Show the mask and go on correcting it"
        )
