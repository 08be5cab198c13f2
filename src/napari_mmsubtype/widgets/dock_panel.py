"""What the panels of a window have in common: one that was closed is gone."""

from __future__ import annotations

from qtpy.QtCore import QEvent, QTimer
from qtpy.QtWidgets import QWidget

from napari_mmsubtype.widgets.job_bar import JobBar


class DockPanel(QWidget):
    """A widget that is deleted when it is taken out of its dock.

    The x of the title bar takes a panel out of its dock, and napari deletes the dock
    alone: what was in it would go on listening and working, and nobody could see it or
    stop it. Its jobs end with it, and the user is told of those that a bar shows.
    Hiding a panel, moving it and letting it float leave it in its dock.
    """

    def changeEvent(self, event: QEvent) -> None:
        """Notice that the panel lost its place.

        Parameters
        ----------
        event : QEvent
            Any change.
        """
        super().changeEvent(event)
        if event.type() == QEvent.Type.ParentChange and self.parent() is None:
            # Later: whoever took it out may give it another place at once. The timer
            # holds it till then: Python might end it in a worker, searching for cycles.
            QTimer.singleShot(0, self, self._close_unseen)

    def _close_unseen(self) -> None:
        if self.parent() is None and not self.isVisible():
            for bar in self.findChildren(JobBar):
                bar.endUnseen()
            self.deleteLater()
