"""Ask whether to go on without a device that was lost."""

from __future__ import annotations

from qtpy.QtWidgets import QMessageBox, QWidget

LOST = "The GPU stopped answering. What was done is kept."
_MORE = (
    "Go on with the CPU? It is slower; the result says which patches ran where. Later, "
    "Run goes on where it stopped."
)


def ask_for_cpu(parent: QWidget) -> bool:
    """Ask whether the CPU shall go on with an analysis.

    Parameters
    ----------
    parent : QWidget
        The panel whose analysis it is.

    Returns
    -------
    bool
        False where the user would rather wait; closing the question means that too.
    """
    box = QMessageBox(parent)
    box.setIcon(QMessageBox.Icon.Warning)
    box.setWindowTitle("Device lost")
    box.setText(LOST)
    box.setInformativeText(_MORE)
    go_on = box.addButton("Go on with the CPU", QMessageBox.ButtonRole.AcceptRole)
    stop = box.addButton("Not now", QMessageBox.ButtonRole.RejectRole)
    box.setDefaultButton(go_on)
    box.setEscapeButton(stop)
    box.exec()
    answer = box.clickedButton() is go_on
    box.deleteLater()
    return answer
