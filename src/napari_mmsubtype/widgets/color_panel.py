"""The panel Colors: color profile and stain of a slide in the viewer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from qtpy.QtCore import QTimer
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QPushButton,
    QSizePolicy,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.core.color_words import STAIN_NAMES
from napari_mmsubtype.core.progress import Job
from napari_mmsubtype.plugin.color_view import (
    PREVIEW_KIND,
    ShownSlide,
    StainPreview,
    placement_of,
    preview_job,
    profile_job,
    window_of,
)
from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.plugin.slide_opening import show_problem
from napari_mmsubtype.slides.stain import StainNormalizer
from napari_mmsubtype.widgets.column_scroll import ColumnScroll
from napari_mmsubtype.widgets.dock_panel import DockPanel
from napari_mmsubtype.widgets.field_note import NotedField
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.layer_adder import build_images
from napari_mmsubtype.widgets.stain_swatches import StainSwatches

if TYPE_CHECKING:
    import napari
    from napari.layers import Layer

_NO_SLIDE = "Open a slide first, or drop one on the viewer."
_PROFILES = {
    "none": "The file has no color profile.",
    "unusable": "The color profile in the file cannot be used.",
}
_PLACED = ("scale", "translate", "rotate", "shear", "affine", "units")
"""A preview lies where its slide lies, also when that is placed anew."""


class ColorPanel(DockPanel):
    """Switches the color profile of a slide and previews stain normalization.

    Slides are opened, fitted and read away from the GUI thread.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose slides are offered.
    parent : QWidget, optional
        Owner.
    """

    def __init__(
        self, napari_viewer: napari.Viewer, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self.runner = JobRunner("Colors", self)
        self._slides: list[Layer] = []
        self._previews: dict[Layer, Layer] = {}
        self._sampled: dict[tuple[str, str], Any] = {}
        self._next: Callable[[], None] | None = None
        self._take: Callable[[Any], None] | None = None
        self._build()
        self.runner.started.connect(self._show_state)
        self.runner.succeeded.connect(self._on_result)
        self.runner.finished.connect(self._on_finished)
        layers = napari_viewer.layers
        for emitter in (layers.events.inserted, layers.events.removed):
            emitter.connect(self._on_layers)
        layers.selection.events.active.connect(self._on_active)
        self.destroyed.connect(self._disconnector())
        self._on_layers()
        self._on_active()

    def slide(self) -> Layer | None:
        """Give the layer of the slide that is chosen.

        Returns
        -------
        napari.layers.Image or None
            None while no slide is open.
        """
        index = self.slides.currentIndex()
        return self._slides[index] if 0 <= index < len(self._slides) else None

    def preview(self) -> Layer | None:
        """Give the preview of the slide that is chosen.

        Returns
        -------
        napari.layers.Image or None
            None while there is none.
        """
        slide = self.slide()
        return None if slide is None else self._previews.get(slide)

    def _build(self) -> None:
        self.slides = QComboBox(self)
        self.slides.setAccessibleName("Slide")
        self.slides.setPlaceholderText("Open a slide first")
        self.slides.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.slides.setMinimumContentsLength(12)
        self.slides.currentIndexChanged.connect(self._on_slide)
        self.profile = QCheckBox("Apply color profile", self)
        self.profile.setToolTip(
            "Show sRGB colors by the ICC profile of the scanner, or colors as stored"
        )
        self.profile.clicked.connect(self._on_profile)
        self.profileName = _words(self)
        self.method = QComboBox(self)
        self.method.setAccessibleName("Stain normalization")
        for key, name in STAIN_NAMES.items():
            self.method.addItem(name, key)
        self.method.currentIndexChanged.connect(self._on_method)
        self.previewButton = QPushButton("Preview", self)
        self.previewButton.setToolTip("Fit the stain and show the slide in it")
        self.previewButton.clicked.connect(self.showPreview)
        self.removeButton = QPushButton("Remove preview", self)
        self.removeButton.clicked.connect(self._on_remove)
        self.state = _words(self)
        self.swatches = StainSwatches(self)
        self.fitted = NotedField(self.swatches, self)
        profile = QWidget(self)
        column = QVBoxLayout(profile)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(2)
        column.addWidget(self.profile)
        column.addWidget(self.profileName)
        buttons = QHBoxLayout()
        buttons.setSpacing(4)
        buttons.addWidget(self.previewButton, 1)
        buttons.addWidget(self.removeButton, 1)
        inner = QWidget(self)
        form = QFormLayout(inner)
        form.setContentsMargins(0, 0, 4, 0)
        form.addRow("Slide", self.slides)
        form.addRow("Profile", profile)
        form.addRow("Stain", self.method)
        form.addRow(buttons)
        form.addRow(self.state)
        form.addRow(self.fitted)
        scroll = ColumnScroll(self)
        scroll.setWidget(inner)
        QVBoxLayout(self).addWidget(scroll)

    def _disconnector(self) -> Any:
        """Make a function that lets go of the viewer when this is deleted."""
        layers = self._viewer.layers
        change, active = self._on_layers, self._on_active
        watched, placed = self._slides, self._on_placed

        def disconnect(*_: object) -> None:
            for slide in watched:
                _watch(slide, placed, on=False)
            layers.events.inserted.disconnect(change)
            layers.events.removed.disconnect(change)
            layers.selection.events.active.disconnect(active)

        return disconnect

    def _on_layers(self, event: Any = None) -> None:
        """Offer the slides that are in the viewer; the chosen one stays."""
        layers = list(self._viewer.layers)
        slides = [layer for layer in layers if _facts(layer)]
        if slides != self._slides:
            chosen = self.slide()
            for layer in set(slides).symmetric_difference(self._slides):
                _watch(layer, self._on_placed, on=layer in slides)
            self._slides[:] = slides
            self.slides.blockSignals(True)
            self.slides.clear()
            self.slides.addItems([layer.name for layer in slides])
            kept = slides.index(chosen) if chosen in slides else len(slides) - 1
            self.slides.setCurrentIndex(kept)
            self.slides.blockSignals(False)
            if chosen not in slides:
                self.fitted.setNote("")
        for slide, preview in list(self._previews.items()):
            if preview not in layers:
                del self._previews[slide]
            elif slide not in slides:
                # Not within the removal that is under way, which may go on to it.
                QTimer.singleShot(0, partial(self._drop, self._previews.pop(slide)))
        self._show_state()

    def _drop(self, preview: Layer) -> None:
        if preview in self._viewer.layers:
            self._viewer.layers.remove(preview)

    def _on_placed(self, event: Any) -> None:
        """Follow a slide that was renamed or placed anew."""
        for index, slide in enumerate(self._slides):
            self.slides.setItemText(index, slide.name)
            preview = self._previews.get(slide)
            if preview is not None and event.type in _PLACED:
                setattr(preview, event.type, getattr(slide, event.type))

    def _on_active(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active in self._slides:
            self.slides.setCurrentIndex(self._slides.index(active))

    def _on_slide(self) -> None:
        self.fitted.setNote("")
        self._show_state()

    def _show_state(self) -> None:
        """Show what holds for the slide that is chosen."""
        slide, busy = self.slide(), self.runner.is_running
        facts = _facts(slide)
        state, preview = facts.get("icc", "none"), self.preview()
        usable = state in ("applied", "off")
        self.profile.setEnabled(usable and not busy)
        self.profile.setChecked(state == "applied")
        name = facts.get("icc_profile") or "The profile has no name."
        self.profileName.setText(name if usable else _PROFILES.get(state, ""))
        self.profileName.setVisible(slide is not None)
        self.previewButton.setEnabled(slide is not None)
        self.removeButton.setEnabled(preview is not None)
        self.swatches.setVisible(preview is not None)
        if preview is not None:
            fit = StainNormalizer.from_dict(preview.metadata[METADATA_KEY]["stain"])
            self.swatches.setFit(fit)
        text = _NO_SLIDE if slide is None else ""
        self.state.setText("Working…" if busy else text)
        self.state.setVisible(bool(self.state.text()))

    def _on_profile(self, checked: bool) -> None:
        slide = self.slide()
        if slide is not None:
            self._do(partial(self._start_profile, slide, checked))

    def _on_method(self) -> None:
        if self.preview() is not None:
            self.showPreview()

    def showPreview(self) -> None:
        """Fit the stain of the chosen slide and show the slide in it."""
        slide = self.slide()
        if slide is not None:
            self._do(partial(self._start_preview, slide))

    def _on_remove(self) -> None:
        preview = self.preview()
        if preview is not None:
            self._viewer.layers.remove(preview)

    def _do(self, start: Callable[[], None]) -> None:
        """Start a job now, or after the one that runs; the last wish counts."""
        if self.runner.is_running:
            self._next = start
        else:
            start()

    def _start(self, take: Callable[[Any], None], job: Callable[[], Job[Any]]) -> None:
        self._take = take
        self.runner.start(job)

    def _start_profile(self, slide: Layer, icc: bool) -> None:
        facts, window = _facts(slide), window_of(slide)
        self._start(
            partial(self._show_recolored, slide),
            partial(profile_job, facts, icc, window),
        )

    def _start_preview(self, slide: Layer) -> None:
        facts, method = _facts(slide), self.method.currentData()
        key = (facts["path"], facts.get("icc", ""))
        make = partial(
            preview_job,
            facts,
            method,
            window_of(slide),
            placement_of(slide),
            self._sampled.get(key),
        )
        job = partial(_built, make, is_new=slide not in self._previews)
        self._start(partial(self._show_preview, slide, key), job)

    def _on_result(self, result: Any) -> None:
        take, self._take = self._take, None
        if take is not None:
            take(result)

    def _on_finished(self) -> None:
        start, self._next = self._next, None
        self._show_state()
        if start is not None:
            start()

    def _show_recolored(self, slide: Layer, shown: ShownSlide) -> None:
        """Put the other colors in place of the layer's, which stays where it is."""
        if slide not in self._viewer.layers:
            return
        slide.data = shown.data
        slide.metadata = {**slide.metadata, METADATA_KEY: shown.facts}
        if shown.problem:
            show_problem(shown.problem)
        if slide in self._previews:
            self._next = partial(self._start_preview, slide)

    def _show_preview(
        self, slide: Layer, key: tuple[str, str], built: tuple[StainPreview, Layer]
    ) -> None:
        """Put the preview directly above its slide, in place of an older one."""
        preview, layer = built
        layers = self._viewer.layers
        if slide not in layers:
            return
        self._sampled = {key: preview.pixels}
        self.fitted.setNote(_sentence(preview.fit.problem))
        older = self._previews.get(slide)
        if preview.layer is None:
            if older is not None:
                layers.remove(older)
            return
        data, kwargs, _ = preview.layer
        if older is not None:
            # A tenth of the time that napari takes to remove a layer and add another.
            older.data = data
            older.name, older.metadata = kwargs["name"], kwargs["metadata"]
            return
        if layer is None:
            (layer,) = build_images([preview.layer])
        chosen = layers.selection.active
        layers.insert(layers.index(slide) + 1, layer)
        self._previews[slide] = layer
        layers.selection.active = chosen


def _built(
    make_job: Callable[[], Job[StainPreview]], *, is_new: bool
) -> Job[tuple[StainPreview, Any]]:
    """Make the preview's layer in the worker as well: napari reads it at once."""
    preview = yield from make_job()
    layers = [preview.layer] if is_new and preview.layer is not None else []
    return preview, next(iter(build_images(layers)), None)


def _watch(layer: Layer, callback: Callable[[Any], None], *, on: bool) -> None:
    """Begin or end to follow the name and the place of a layer."""
    for name in ("name", *_PLACED):
        emitter = getattr(layer.events, name)
        if on:
            emitter.connect(callback)
        else:
            emitter.disconnect(callback)


def _facts(layer: Any) -> dict[str, Any]:
    """Give what `slide_layers` recorded; nothing for a layer of another kind."""
    if layer is None:
        return {}
    facts: dict[str, Any] = layer.metadata.get(METADATA_KEY, {})
    return facts if facts.get("kind") == "slide" else {}


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "." if text else ""


def _words(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setWordWrap(True)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    return label


__all__ = ["PREVIEW_KIND", "ColorPanel"]
