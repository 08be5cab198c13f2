"""Ask where to save a file."""

from __future__ import annotations

from pathlib import Path

from qtpy.QtWidgets import QFileDialog, QMessageBox, QWidget


def ask_save_path(
    parent: QWidget, title: str, start: str, name_filter: str, suffixes: tuple[str, ...]
) -> str:
    """Ask for the name of a file, which gets its ending where it has none.

    The dialog asks before a file of the name that is typed is replaced, so the same is
    asked here of the name with its ending. The dialogs of Qt and of the systems differ
    in what they do about that, and none completes ``report v1.2``.

    Parameters
    ----------
    parent : QWidget
        The panel that saves.
    title : str
        Of the dialog.
    start : str
        Proposed path.
    name_filter : str
        Qt name filter, for example ``"HTML (*.html)"``.
    suffixes : tuple of str
        Endings that the file may have, each with its dot; the first is added.

    Returns
    -------
    str
        The path; empty where the user thought better of it.
    """
    path = str(QFileDialog.getSaveFileName(parent, title, start, name_filter)[0])
    if not path or path.lower().endswith(suffixes):
        return path
    path += suffixes[0]
    if Path(path).exists() and not _may_replace(parent, title, path):
        return ask_save_path(parent, title, path, name_filter, suffixes)
    return path


def _may_replace(parent: QWidget, title: str, path: str) -> bool:
    text = f"{Path(path).name} already exists. Do you want to replace it?"
    answer = QMessageBox.question(parent, title, text)
    return bool(answer == QMessageBox.StandardButton.Yes)
