"""Drop files on a real napari window."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def drop(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any, Path], None]:
    """Drop a file on a viewer, through the event that Qt would send.

    napari reads some of these endings itself (one level, no microns), so it asks which
    reader to use unless it was told to remember; here the user chooses this plugin.
    """
    from napari._qt.dialogs.qt_reader_dialog import QtReaderDialog
    from qtpy.QtCore import QMimeData, QPointF, Qt, QUrl
    from qtpy.QtGui import QDropEvent

    monkeypatch.setattr(
        QtReaderDialog, "get_user_choices", lambda _: ("Multimodal subtype", False)
    )

    def drop(viewer: Any, path: Path) -> None:
        mime = QMimeData()
        mime.setUrls([QUrl.fromLocalFile(str(path.resolve()))])
        event = QDropEvent(
            QPointF(10, 10),
            Qt.DropAction.CopyAction,
            mime,
            Qt.MouseButton.LeftButton,
            Qt.KeyboardModifier.NoModifier,
        )
        viewer.window._qt_viewer.dropEvent(event)

    return drop
