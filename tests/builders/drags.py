"""Drags over a widget, as a user's mouse makes them."""

from __future__ import annotations

from qtpy.QtCore import QLibraryInfo, QMimeData, QPoint, QPointF, Qt
from qtpy.QtGui import QDragEnterEvent


def drag_enters(data: QMimeData) -> QDragEnterEvent:
    """Make the event of a drag that comes over a widget."""
    # Since Qt 6.12 a place between pixels, and whole ones are deprecated.
    version = QLibraryInfo.version()
    is_new = (version.majorVersion(), version.minorVersion()) >= (6, 12)
    return QDragEnterEvent(
        QPointF(1, 1) if is_new else QPoint(1, 1),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
