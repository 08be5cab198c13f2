"""A part of a panel that is folded away until it is asked for."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QSizePolicy, QToolButton, QVBoxLayout, QWidget


class FoldedPart(QWidget):
    """Shows a title and, once that is clicked, a widget at its full height.

    Parameters
    ----------
    title : str
        What is folded away.
    content : QWidget
        It becomes a child.
    parent : QWidget, optional
        Owner.
    """

    def __init__(
        self, title: str, content: QWidget, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.content = content
        self.button = QToolButton(self)
        self.button.setCheckable(True)
        self.button.setToolButtonStyle(Qt.ToolButtonStyle.ToolButtonTextBesideIcon)
        self.button.setAutoRaise(True)
        self.button.toggled.connect(self.setOpen)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.button, 0, Qt.AlignmentFlag.AlignLeft)
        layout.addWidget(content)
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
        self.setTitle(title)
        self.setOpen(False)

    def setTitle(self, title: str) -> None:
        """Set the title.

        Parameters
        ----------
        title : str
            What is folded away.
        """
        self._title = title
        self.setOpen(self.isOpen())

    def isOpen(self) -> bool:
        """Tell whether the content is shown.

        Returns
        -------
        bool
            False at first.
        """
        return bool(self.button.isChecked())

    def setOpen(self, is_open: bool) -> None:
        """Show the content or fold it away.

        Parameters
        ----------
        is_open : bool
            Whether it is shown.
        """
        self.button.setChecked(is_open)
        self.button.setText(f"{'▾' if is_open else '▸'} {self._title}")
        self.content.setVisible(is_open)
