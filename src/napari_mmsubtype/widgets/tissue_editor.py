"""Find the tissue of a slide and lay it over the slide for correcting."""

from __future__ import annotations

import hashlib
import logging
import os
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari.layers import Layer
from napari.utils.notifications import show_info
from qtpy.QtCore import QObject
from qtpy.QtWidgets import QMessageBox, QWidget

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.plugin.slide_pixel_size import find_slide
from napari_mmsubtype.plugin.tissue_layers import (
    find_tissue_layer,
    take_brush,
    tissue_edit_layer,
)
from napari_mmsubtype.slides.slide_name import slide_name
from napari_mmsubtype.widgets.analyze_form import AnalyzeForm, results_folder
from napari_mmsubtype.widgets.job_runner import JobRunner

if TYPE_CHECKING:
    import napari
    import zarr

    from napari_mmsubtype.slides.slide import Slide
    from napari_mmsubtype.slides.tissue import TissueMask

logger = logging.getLogger(__name__)

SPARE_FOLDER = Path.home() / "napari-mmsubtype"
"""Masks go here where the folder of the results is read-only: they are the user's
work, which a cache that may be emptied must not hold."""


@dataclass(frozen=True, slots=True)
class _Ready:
    """A mask that the worker made ready to be painted on."""

    slide: str
    path: Path
    array: zarr.Array[Any]


class TissueEditor(QObject):
    """Serves the tissue field of the Analyze panel.

    Parameters
    ----------
    viewer : napari.Viewer
        Shows the slide and receives the mask.
    form : AnalyzeForm
        Whose slide is meant, and which is told of the mask.
    parent : QWidget
        Owner.
    """

    def __init__(
        self, viewer: napari.Viewer, form: AnalyzeForm, parent: QWidget
    ) -> None:
        super().__init__(parent)
        self._viewer = viewer
        self._form = form
        self._window = parent
        self.runner = JobRunner("Find tissue", self)
        self.runner.succeeded.connect(self._on_ready)
        button = form.tissue.editButton
        self.runner.started.connect(lambda: button.setEnabled(False))
        self.runner.finished.connect(lambda: button.setEnabled(True))
        form.tissue.editRequested.connect(self.edit)

    def edit(self) -> None:
        """Show the mask of the chosen slide, and find the tissue first if need be."""
        choice = self._form.slide.choice()
        if self.runner.is_running:
            return
        if choice is None or self._form.slide.problem():
            self._form.validate()
            return
        if find_slide(self._viewer.layers, choice.path) is None:
            show_info(f"Open {choice.name} in the viewer to edit its tissue.")
            return
        given = self._form.tissue.value()
        shown = given and find_tissue_layer(self._viewer.layers, given)
        if shown:
            self._take_up(shown)
            return
        folder = Path(self._form.out.value() or results_folder(choice.path))
        places = mask_places(folder, choice.path)
        source = Path(given) if given else None
        former = next((place for place in places if place.exists()), None)
        if source is None and former is not None:
            answer = self.ask(former)
            if answer is None:
                return
            source = former if answer else None
        mpp = self._form.slide.userMpp()
        self.runner.start(lambda: _ready_job(choice.path, mpp, source, places))

    def ask(self, former: Path) -> bool | None:
        """Ask what to do with a mask of the slide that was edited before.

        Parameters
        ----------
        former : Path
            Where that mask is kept.

        Returns
        -------
        bool or None
            True to go on with it, False to find the tissue anew, None to do nothing.
        """
        box = QMessageBox(self._window)
        box.setWindowTitle("Edit tissue")
        box.setText("There is an edited tissue mask of this slide.")
        box.setInformativeText(f"{former}\nFinding the tissue anew replaces it.")
        roles = QMessageBox.ButtonRole
        keep = box.addButton("Go on with it", roles.AcceptRole)
        anew = box.addButton("Find anew", roles.DestructiveRole)
        box.addButton(QMessageBox.StandardButton.Cancel)
        box.setDefaultButton(keep)
        box.exec()
        pressed = box.clickedButton()
        return None if pressed not in (keep, anew) else pressed is keep

    def _on_ready(self, ready: _Ready) -> None:
        slide = find_slide(self._viewer.layers, ready.slide)
        if slide is None:
            return  # closed meanwhile; the mask waits in its file
        former = find_tissue_layer(self._viewer.layers, str(ready.path))
        if former is not None:
            self._viewer.layers.remove(former)
        layer = Layer.create(*tissue_edit_layer(ready.array, ready.path, slide))
        self._viewer.add_layer(layer)
        self._form.tissue.setMask(ready.slide, str(ready.path))
        self._take_up(layer)

    def _take_up(self, layer: Any) -> None:
        self._viewer.layers.selection.active = layer
        layer.visible = True
        take_brush(layer)


def mask_places(folder: Path, slide: str) -> tuple[Path, Path]:
    """Say where the mask of a slide is kept.

    Parameters
    ----------
    folder : Path
        Folder of the results.
    slide : str
        Path of the slide, or a ``synthetic:`` address.

    Returns
    -------
    tuple of (Path, Path)
        The place for it, and one in the user's home for where that cannot be written.
    """
    from napari_mmsubtype.slides.tissue_file import tissue_path

    name = slide_name(slide)
    # Slides of one name may lie in many folders.
    tag = hashlib.sha256(slide.encode()).hexdigest()[:8]
    return tissue_path(folder, name), tissue_path(SPARE_FOLDER, f"{name}-{tag}")


def _ready_job(
    address: str, mpp: float | None, source: Path | None, places: tuple[Path, Path]
) -> Job[_Ready]:
    """Find the tissue or take up a mask, and open its file for painting."""
    from napari_mmsubtype.slides.registry import open_slide
    from napari_mmsubtype.slides.tissue import find_tissue
    from napari_mmsubtype.slides.tissue_file import (
        is_geojson,
        open_tissue,
        read_tissue,
    )

    yield Progress("tissue", message="finding tissue")
    with open_slide(address, mpp=mpp) as slide:
        if source is None:
            path = _write(find_tissue(slide), slide, places)
        elif is_geojson(source) or not os.access(source, os.W_OK):
            path = _write(read_tissue(source, slide), slide, places)
        else:
            path = source
        array, _ = open_tissue(path, slide, mode="r+")
    # napari imports this when it makes its first label layer: half a second.
    import_module("skimage.color.colorconv")
    return _Ready(address, path, array)


def _write(tissue: TissueMask, slide: Slide, places: tuple[Path, Path]) -> Path:
    """Write a mask to the first place that takes it."""
    from napari_mmsubtype.slides.tissue_file import write_tissue

    first, spare = places
    try:
        return write_tissue(first, tissue, slide)
    except ConfigurationError as err:
        logger.warning("%s; it is kept in %s", err, spare)
        return write_tissue(spare, tissue, slide)
