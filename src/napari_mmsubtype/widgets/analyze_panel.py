"""The panel Analyze slide: from an open slide and tables to layers and a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

import numpy as np
from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtGui import QGuiApplication
from qtpy.QtWidgets import QFileDialog, QPushButton, QVBoxLayout, QWidget

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError, DeviceLostError
from napari_mmsubtype.models.torch_import import import_torch
from napari_mmsubtype.plugin.layer_list import raise_slide
from napari_mmsubtype.plugin.layers import METADATA_KEY, slide_layers, to_layers
from napari_mmsubtype.plugin.live_layers import follow
from napari_mmsubtype.plugin.reader import warn_missing_pixel_size
from napari_mmsubtype.plugin.region_layers import DrawnShapes
from napari_mmsubtype.plugin.slide_opening import open_for_view
from napari_mmsubtype.plugin.slide_pixel_size import (
    own_size,
    set_slide_pixel_size,
    slide_facts,
    slide_images,
)
from napari_mmsubtype.plugin.tissue_layers import lay_brush_down
from napari_mmsubtype.widgets.analyze_form import AnalyzeForm
from napari_mmsubtype.widgets.associated_images import AssociatedImages
from napari_mmsubtype.widgets.column_scroll import ColumnScroll
from napari_mmsubtype.widgets.command_line import command_line
from napari_mmsubtype.widgets.device_question import ask_for_cpu
from napari_mmsubtype.widgets.dock_panel import DockPanel
from napari_mmsubtype.widgets.job_bar import JobBar
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.layer_adder import LayerAdder, build_images
from napari_mmsubtype.widgets.live_view import LiveView
from napari_mmsubtype.widgets.region_tools import RegionTools, with_drawn_regions
from napari_mmsubtype.widgets.result_panel import ResultPanel
from napari_mmsubtype.widgets.result_summary import ResultSummary, summarize
from napari_mmsubtype.widgets.slide_field import SlideChoice
from napari_mmsubtype.widgets.tissue_editor import TissueEditor

if TYPE_CHECKING:
    import napari

    from napari_mmsubtype.results.store import Result

AnalyzeJob = Callable[[AnalyzeRecipe], "Job[Result]"]
RESULT_TITLE = "Result"
_SLIDES = (
    "Slides (*.svs *.tif *.tiff *.btf *.ndpi *.mrxs *.scn *.bif *.svslide *.vms *.vmu "
    "*.czi *.dcm *.dzi *.qptiff *.ozx *.png *.jpg *.jpeg *.webp *.bmp);;All files (*)"
)


@dataclass(frozen=True, slots=True)
class _Shown:
    """What the worker prepared for the GUI thread: nothing is read after this."""

    slide: str
    layers: list[Any]
    summary: ResultSummary


class AnalyzePanel(DockPanel):
    """Lets the user choose slide, model, tables and patient, and runs the analysis.

    It builds one `AnalyzeRecipe`, runs it away from the GUI thread, adds the layers of
    the result and opens the result panel.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose slides are offered and which receives the layers.
    job : callable, optional
        Makes the job of a recipe; by default `workflows.analyze.analyze_job`.
    parent : QWidget, optional
        Owner.
    """

    def __init__(
        self,
        napari_viewer: napari.Viewer,
        job: AnalyzeJob | None = None,
        parent: QWidget | None = None,
    ) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self._job = job
        self.form = AnalyzeForm(self)
        self.runner = JobRunner(
            "Analyze slide",
            self,
            has_bar=False,
            is_long=True,
            asked_about=(DeviceLostError,),
        )
        self.opener = JobRunner("Open slide", self)
        self.bar = JobBar(self.runner, self)
        self.images = AssociatedImages(self.form.slide, self)
        self.tissue = TissueEditor(napari_viewer, self.form, self)
        self.regions = RegionTools(napari_viewer, self.form, self)
        self._copier = JobRunner("Copy as command", self)
        self._copier.succeeded.connect(_copy_line)
        self._adder = LayerAdder(napari_viewer, self)
        self.live = LiveView(napari_viewer, self._adder, self)
        self.runner.progressed.connect(self.live.show)
        self.runner.finished.connect(self.live.stop)
        self._summary: ResultSummary | None = None
        self._adder.finished.connect(self._show_summary)
        self._copy = QPushButton("Copy as command", self)
        self._copy.setToolTip("The line that does the same in a terminal")
        self._copy.clicked.connect(self._on_copy)
        self._lay_out()
        self.form.slide.openRequested.connect(self._choose_slide)
        self.form.slide.pixelSizeChanged.connect(self._on_pixel_size)
        self.bar.runRequested.connect(self.run)
        self.runner.succeeded.connect(self._on_result)
        self.runner.failed.connect(self._on_failed)
        self.opener.succeeded.connect(self._on_opened)
        self.opener.started.connect(
            lambda: self.form.slide.openButton.setEnabled(False)
        )
        self.opener.finished.connect(
            lambda: self.form.slide.openButton.setEnabled(True)
        )
        self._started: tuple[AnalyzeRecipe, DrawnShapes | None] | None = None
        napari_viewer.layers.events.connect(self._follow_layers)
        napari_viewer.layers.selection.events.active.connect(self._follow_selection)
        self.destroyed.connect(self._disconnector())
        self._offer_slides()
        self._follow_selection()

    def value(self) -> AnalyzeRecipe:
        """Build the request that Run would run.

        Returns
        -------
        AnalyzeRecipe
            What the form shows.
        """
        return self.form.value()

    def setValue(self, recipe: AnalyzeRecipe) -> None:
        """Show a request.

        Parameters
        ----------
        recipe : AnalyzeRecipe
            What `value` gives back afterwards.
        """
        self.form.setValue(recipe)

    def run(self) -> None:
        """Run what the form describes, or say beside the fields what is missing."""
        if self.runner.is_running or not self.form.validate():
            return
        try:
            drawn = self.regions.drawn()
        except ConfigurationError as err:
            show_error(str(err))
            return
        self._start(self.form.value(), drawn)

    def _start(self, recipe: AnalyzeRecipe, drawn: DrawnShapes | None) -> None:
        self._started = recipe, drawn
        make = self._job
        shown = {slide_facts(x)["path"] for x in slide_images(self._viewer.layers)}
        with_slide = recipe.slide not in shown
        raise_slide(self._viewer.layers, recipe.slide)
        self.runner.start(lambda: _analyze_and_draw(recipe, drawn, make, with_slide))

    def openSlide(self, path: str) -> None:
        """Open a slide away from the GUI thread and add its layer.

        Parameters
        ----------
        path : str
            Path of the slide, or a ``synthetic:`` address.
        """
        if not self.opener.is_running:
            self.opener.start(lambda: _open_job(path))

    def _lay_out(self) -> None:
        inner = QWidget(self)
        column = QVBoxLayout(inner)
        column.setContentsMargins(0, 0, 4, 0)
        column.addWidget(self.form)
        column.addWidget(self.bar)
        column.addWidget(self._copy)
        column.addStretch(1)
        scroll = ColumnScroll(self)
        scroll.setWidget(inner)
        layout = QVBoxLayout(self)
        layout.addWidget(scroll)

    def _disconnector(self) -> Any:
        """Make a function that lets go of the viewer when this is deleted."""
        layers = self._viewer.layers
        follow, select = self._follow_layers, self._follow_selection

        def disconnect(*_: object) -> None:
            layers.events.disconnect(follow)
            layers.selection.events.active.disconnect(select)

        return disconnect

    def _follow_layers(self, event: Any) -> None:
        """Offer what is open; brush strokes and the like are passed by.

        A slide that is opened covers the others, so it becomes the chosen one; not
        beneath an analysis, whose progress would seem to be that of this slide.
        """
        if event.type in {"inserted", "removed", "renamed", "metadata"}:
            is_new = event.type == "inserted" and not self.runner.is_running
            self._offer_slides(slide_facts(event.value).get("path") if is_new else None)

    def _follow_selection(self, event: Any = None) -> None:
        """Tell the form which slide the user points at."""
        active = self._viewer.layers.selection.active
        about = {} if active is None else active.metadata.get(METADATA_KEY, {})
        self.form.slide.setSelected(about.get("path", ""))

    def _offer_slides(self, opened: str | None = None) -> None:
        slides = slide_images(self._viewer.layers)
        self.form.slide.setChoices([_choice(layer) for layer in slides], opened)
        self.regions.refresh()

    def _on_pixel_size(self, path: str, mpp: float) -> None:
        """Redraw a slide at the size that the user gave."""
        set_slide_pixel_size(self._viewer, path, mpp if mpp > 0 else None)

    def _choose_slide(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Open a slide", "", _SLIDES)
        if path:
            self.openSlide(path)

    def _on_opened(self, layers: list[Any]) -> None:
        self._adder.add(layers)
        for facts in map(slide_facts, layers):
            if facts["mpp"] is None:
                warn_missing_pixel_size(facts["name"], facts["path"])

    def _on_failed(self) -> None:
        if isinstance(self.runner.last_error, DeviceLostError):
            # Later: whoever else hears of the failure is told first.
            QTimer.singleShot(0, self, self._offer_cpu)

    def _offer_cpu(self) -> None:
        """Ask whether to go on without the device that was lost."""
        if ask_for_cpu(self) and self._started and not self.runner.is_running:
            # What was lost, not what the form may have come to show meanwhile.
            recipe, drawn = self._started
            self.form.slide.setValue(recipe.slide, recipe.mpp)
            self.form.device.setValue("cpu")
            self._start(replace(recipe, device="cpu"), drawn)

    def _on_result(self, shown: _Shown) -> None:
        self.live.remove(shown.summary.store)
        # The result has the tissue as it was analyzed; the mask would veil the maps.
        lay_brush_down(self._viewer.layers, shown.slide, hide=True)
        self._adder.add(shown.layers)
        self._summary = shown.summary

    def _show_summary(self) -> None:
        """Open the result panel once the layers are there."""
        if self._summary is not None:
            summary, self._summary = self._summary, None
            self._result_panel().addSummary(summary)

    def _result_panel(self) -> ResultPanel:
        """Find the result panel in the window, or open it in a tab beside this one."""
        window = self._viewer.window
        for widget in window.dock_widgets.values():
            inner = getattr(widget, "native", widget)
            if isinstance(inner, ResultPanel):
                return inner
        panel = ResultPanel(self._viewer)
        window.add_dock_widget(panel, name=RESULT_TITLE, area="right", tabify=True)
        return panel

    def _on_copy(self) -> None:
        if self._copier.is_running or not self.form.validate():
            return
        try:
            drawn, recipe = self.regions.drawn(), self.form.value()
        except ConfigurationError as err:
            show_error(str(err))
            return
        if drawn is None:
            _copy_line(recipe)
        else:
            self._copier.start(lambda: with_drawn_regions(recipe, drawn))


def _copy_line(recipe: AnalyzeRecipe) -> None:
    clipboard = QGuiApplication.clipboard()
    if clipboard is not None:
        clipboard.setText(command_line(recipe))


def _choice(layer: Any) -> SlideChoice:
    facts = slide_facts(layer)
    own, source = own_size(facts)
    by_user = facts["mpp_source"] == "user"
    return SlideChoice(
        name=layer.name,
        path=facts["path"],
        mpp=float(np.sqrt(np.prod(own))) if own else None,
        mpp_source=source,
        user_mpp=float(np.sqrt(np.prod(facts["mpp"]))) if by_user else None,
        associated=tuple(facts.get("associated", ())),
    )


def _open_job(path: str) -> Job[list[Any]]:
    """Open a slide and decode what napari shows of it first."""
    yield Progress("open", message=f"opening {path}")
    return build_images(slide_layers(open_for_view(path)))


def _analyze_and_draw(
    recipe: AnalyzeRecipe,
    drawn: DrawnShapes | None,
    make: AnalyzeJob | None,
    with_slide: bool,
) -> Job[_Shown]:
    """Run the analysis and prepare its layers, all in the worker."""
    recipe = yield from with_drawn_regions(recipe, drawn)
    if make is None:
        # Importing PyTorch takes seconds: here it happens away from the GUI thread.
        yield Progress("open", message="loading PyTorch")
        import_torch()
        from napari_mmsubtype.workflows.analyze import analyze_job

        make = analyze_job
    result = yield from follow(make(recipe), build_images)
    yield Progress("draw", message="preparing layers")
    # napari imports this when it makes its first label layer: half a second.
    import_module("skimage.color.colorconv")
    layers = build_images(to_layers(result, with_slide=with_slide))
    return _Shown(slide=recipe.slide, layers=layers, summary=summarize(result))
