"""Show the macro, the thumbnail or, if it must be, the label of a slide."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from qtpy.QtCore import QObject, Qt
from qtpy.QtGui import QImage, QPixmap, QResizeEvent
from qtpy.QtWidgets import QDialog, QLabel, QMessageBox, QVBoxLayout, QWidget

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.identifiers import is_label
from napari_mmsubtype.widgets.job_runner import JobRunner

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.widgets.slide_field import SlideField

_LARGEST_PX = 700
_LEAST_PX = 240


@dataclass(frozen=True, slots=True)
class _Found:
    """An image as the worker read it."""

    title: str
    image: NDArray[np.uint8]


class AssociatedImages(QObject):
    """Serves the slide field: shows the images that a slide's file carries along.

    They are not registered with the slide, so each has a small window of its own
    instead of a layer.

    Parameters
    ----------
    field : SlideField
        Whose slide is meant.
    parent : QWidget
        Window that the pictures belong to.
    """

    def __init__(self, field: SlideField, parent: QWidget) -> None:
        super().__init__(parent)
        self._field = field
        self._window = parent
        self.runner = JobRunner("Show image", self)
        self.runner.succeeded.connect(self._on_found)
        field.associatedRequested.connect(self.show)

    def show(self, name: str) -> None:
        """Show one of the images; the label only after a question.

        Parameters
        ----------
        name : str
            ``"macro"``, ``"thumbnail"``, ...
        """
        choice = self._field.choice()
        if choice is None or self.runner.is_running:
            return
        if is_label(name) and not self.confirm():
            return
        self.runner.start(lambda: _read_job(choice.path, name))

    def confirm(self) -> bool:
        """Ask whether to show the label.

        Returns
        -------
        bool
            Whether the user wants to see it.
        """
        buttons = QMessageBox.StandardButton
        answer = QMessageBox.question(
            self._window,
            "Show label",
            "The label may carry a patient's name. Show it on this screen?",
            buttons.Yes | buttons.Cancel,
            buttons.Cancel,
        )
        return bool(answer == buttons.Yes)

    def _on_found(self, found: _Found) -> None:
        PictureDialog(found.title, found.image, self._window).show()


class PictureDialog(QDialog):
    """Shows one picture, as large as its window.

    Parameters
    ----------
    title : str
        Title of the window.
    image : ndarray of uint8, shape (y, x, 3)
        RGB.
    parent : QWidget, optional
        Window that it belongs to.
    """

    def __init__(
        self, title: str, image: NDArray[np.uint8], parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self.setWindowTitle(title)
        self.setAttribute(Qt.WidgetAttribute.WA_DeleteOnClose)
        height, width = image.shape[:2]
        shown = QImage(
            image.tobytes(), width, height, 3 * width, QImage.Format.Format_RGB888
        )
        self._picture = QPixmap.fromImage(shown)
        self._label = QLabel(self)
        self._label.setAccessibleName(title)
        self._label.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self._label.setMinimumSize(_LEAST_PX, _LEAST_PX // 2)
        layout = QVBoxLayout(self)
        layout.addWidget(self._label)
        factor = min(1.0, _LARGEST_PX / max(height, width))
        self.resize(
            max(round(width * factor), _LEAST_PX), max(round(height * factor), 1)
        )

    def resizeEvent(self, event: QResizeEvent) -> None:
        """Draw the picture at the size of the window.

        Parameters
        ----------
        event : QResizeEvent
            From Qt.
        """
        super().resizeEvent(event)
        self._label.setPixmap(
            self._picture.scaled(
                self._label.size(),
                Qt.AspectRatioMode.KeepAspectRatio,
                Qt.TransformationMode.SmoothTransformation,
            )
        )


def _read_job(address: str, name: str) -> Job[_Found]:
    from napari_mmsubtype.slides.registry import open_slide

    yield Progress("open", message=f"reading the {name} image")
    with open_slide(address) as slide:
        try:
            image = slide.read_associated(name)
        except KeyError as err:
            msg = f"slide {slide.name!r} has no image named {name!r}"
            raise ConfigurationError(msg) from err
        return _Found(f"{name} of {slide.name}", image)
