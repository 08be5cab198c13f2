"""A field with room for one sentence about what is wrong with it."""

from __future__ import annotations

from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget


class NotedField(QWidget):
    """Shows a field and, while there is one, a note beneath it.

    Parameters
    ----------
    field : QWidget
        The field; it becomes a child.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, field: QWidget, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.field = field
        self._note = QLabel(self)
        self._note.setWordWrap(True)
        self._note.setObjectName("note")
        self._note.hide()
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(field)
        layout.addWidget(self._note)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)

    def note(self) -> str:
        """Give the note.

        Returns
        -------
        str
            Empty while there is none.
        """
        return str(self._note.text()).removeprefix("⚠ ")

    def setNote(self, text: str) -> None:
        """Show a note, or take it away.

        Parameters
        ----------
        text : str
            One plain sentence; empty takes the note away.
        """
        self._note.setText(f"⚠ {text}" if text else "")
        self._note.setVisible(bool(text))
