"""The panel Omics: tables in, what was recognised, the patient, what a model takes."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from itertools import count
from typing import TYPE_CHECKING, Any

from napari.utils.notifications import show_error
from qtpy.QtCore import QTimer
from qtpy.QtGui import QDragEnterEvent, QDropEvent
from qtpy.QtWidgets import (
    QComboBox,
    QFormLayout,
    QLabel,
    QPushButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.plugin.slide_pixel_size import slide_facts, slide_images
from napari_mmsubtype.widgets.analyze_link import (
    SharedRequest,
    find_analyze,
    hand_to,
    open_analyze,
    take_from,
)
from napari_mmsubtype.widgets.bundle_field import BundleField
from napari_mmsubtype.widgets.column_scroll import ColumnScroll
from napari_mmsubtype.widgets.dock_panel import DockPanel
from napari_mmsubtype.widgets.drop_area import DropArea, dropped_paths
from napari_mmsubtype.widgets.field_note import NotedField
from napari_mmsubtype.widgets.job_runner import JobRunner
from napari_mmsubtype.widgets.omics_card import OmicsCard
from napari_mmsubtype.widgets.omics_lookup import Lookup, ModelFeatures, lookup_job
from napari_mmsubtype.widgets.omics_table import (
    MODALITY_NAMES,
    OmicsTable,
    TableRequest,
)
from napari_mmsubtype.widgets.patient_picker import PatientPicker
from napari_mmsubtype.widgets.queue_bar import QueueBar
from napari_mmsubtype.widgets.table_choice import TableChoice
from napari_mmsubtype.widgets.table_field import TABLES
from napari_mmsubtype.widgets.table_queue import TableQueue

if TYPE_CHECKING:
    import napari

_TYPING_MS = 250
_DROP = "Drop tables here: RNA, methylation or clinical"


class OmicsPanel(DockPanel):
    """Reads tables and shows what they hold of a slide's patient for a model.

    It takes over what the panel Analyze slide has when it opens, and hands its tables,
    patient and model back on demand.

    Parameters
    ----------
    napari_viewer : napari.Viewer
        Whose slides are offered, and whose window has the panel Analyze slide.
    parent : QWidget, optional
        Owner.
    """

    def __init__(
        self, napari_viewer: napari.Viewer, parent: QWidget | None = None
    ) -> None:
        super().__init__(parent)
        self._viewer = napari_viewer
        self.cards: dict[int, OmicsCard] = {}
        self._keys = count()
        self._features = ModelFeatures()
        self._choice = TableChoice()
        self._is_stale = False
        self._arriving: list[str] = []
        self._turn = QTimer(self)
        self._turn.setSingleShot(True)
        self._turn.timeout.connect(self._add_next)
        self.queue = TableQueue(self)
        self.finder = JobRunner("Look up patient", self, has_bar=False)
        self._timer = QTimer(self)
        self._timer.setSingleShot(True)
        self._timer.timeout.connect(self._look_up)
        self._build()
        self.queue.done.connect(self._on_read)
        self.queue.dropped.connect(self._on_dropped)
        self.finder.succeeded.connect(self._on_found)
        self.finder.finished.connect(self._look_up_again)
        self.patient.valueChanged.connect(self._on_patient)
        self.bundle.valueChanged.connect(self._on_patient)
        layers = napari_viewer.layers
        layers.events.inserted.connect(self._offer_slides)
        layers.events.removed.connect(self._offer_slides)
        layers.selection.events.active.connect(self._on_active)
        self.destroyed.connect(self._disconnector())
        self._offer_slides()
        self._take_over()

    def value(self) -> SharedRequest:
        """Give what Analyze slide would be handed.

        Returns
        -------
        SharedRequest
            The tables that are used and can serve, patient and model.
        """
        tables = {}
        for card in self._used():
            table = card.table
            if table is not None and not (card.lookup and card.lookup.obstacle):
                request = replace(card.request, modality=table.modality)
                tables[table.modality] = request
        return SharedRequest(tables, self.patient.value(), self.bundle.value())

    def setValue(self, request: SharedRequest) -> None:
        """Show other tables, another patient and model.

        Parameters
        ----------
        request : SharedRequest
            The tables are read at once.
        """
        for key in list(self.cards):
            self.remove(key)
        self.bundle.setValue(request.bundle)
        if request.patient:
            self.patient.setValue(request.patient)
        for table in request.tables.values():
            self.add(table)

    def add(self, request: TableRequest) -> None:
        """Read one more table.

        Parameters
        ----------
        request : TableRequest
            A table that is there already is read again.
        """
        for key, card in self.cards.items():
            if card.request.path == request.path:
                self._read(key, request)
                return
        key = next(self._keys)
        card = OmicsCard(request, self)
        card.requestChanged.connect(partial(self._read, key))
        card.usedChanged.connect(lambda _, key=key: self._on_used(key))
        card.removed.connect(partial(self.remove, key))
        self.cards[key] = card
        self._column.insertWidget(self._column.count() - 1, card)
        self.queue.add(key, request)

    def remove(self, key: int) -> None:
        """Take a table away.

        Parameters
        ----------
        key : int
            Of `cards`.
        """
        card = self.cards.pop(key)
        self.queue.remove(key)
        self._column.removeWidget(card)
        card.hide()
        card.deleteLater()
        self._refresh()

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:
        """Accept files anywhere on the panel.

        Parameters
        ----------
        event : QDragEnterEvent
            From Qt.
        """
        if dropped_paths(event):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:
        """Take files that were dropped beside the drop area.

        Parameters
        ----------
        event : QDropEvent
            From Qt.
        """
        self.drop.dropEvent(event)

    def _on_paths(self, paths: list[str]) -> None:
        """Add one file per turn of the event loop: making a card takes a while."""
        self._arriving += paths
        if len(self._arriving) == len(paths):
            self._add_next()

    def _add_next(self) -> None:
        self.add(TableRequest(self._arriving.pop(0)))
        if self._arriving:
            self._turn.start(0)

    def _build(self) -> None:
        self.setAcceptDrops(True)
        self.drop = DropArea(_DROP, TABLES, self)
        self.drop.pathsAdded.connect(self._on_paths)
        self.slides = QComboBox(self)
        self.slides.setAccessibleName("Slide")
        self.slides.setPlaceholderText("no slide open")
        self.slides.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self.slides.setMinimumContentsLength(12)
        self.slides.currentIndexChanged.connect(self._on_slide)
        self.patient, self.bundle = PatientPicker(self), BundleField(self)
        self._model = NotedField(self.bundle, self)
        self.link = QLabel(self)
        self.link.setWordWrap(True)
        self.linkButton = QPushButton("Use in Analyze slide", self)
        self.linkButton.clicked.connect(self.useInAnalyze)
        inner = QWidget(self)
        self._column = QVBoxLayout(inner)
        self._column.setContentsMargins(0, 0, 4, 0)
        self._column.addWidget(self.drop)
        self._column.addWidget(QueueBar(self.queue, self))
        form = QFormLayout()
        form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
        form.addRow("Slide", self.slides)
        form.addRow("Patient", self.patient)
        form.addRow("Model", self._model)
        self._column.addLayout(form)
        self._column.addStretch(1)
        scroll = ColumnScroll(self)
        scroll.setWidget(inner)
        layout = QVBoxLayout(self)
        layout.addWidget(scroll, 1)
        layout.addWidget(self.link)
        layout.addWidget(self.linkButton)
        self._show_link()

    def _disconnector(self) -> Any:
        """Make a function that lets go of the viewer when this is deleted."""
        layers, offer, active = self._viewer.layers, self._offer_slides, self._on_active

        def disconnect(*_: object) -> None:
            layers.events.inserted.disconnect(offer)
            layers.events.removed.disconnect(offer)
            layers.selection.events.active.disconnect(active)

        return disconnect

    def _take_over(self) -> None:
        panel = find_analyze(self._viewer)
        if panel is not None:
            panel.form.valueChanged.connect(self._show_link)
            self.setValue(take_from(panel.form))

    def _offer_slides(self, event: Any = None) -> None:
        """Offer the slides that are open; the chosen one stays."""
        paths = {layer.name: slide_facts(layer)["path"] for layer in self._images()}
        chosen = self.slides.currentText()
        self.slides.blockSignals(True)
        self.slides.clear()
        for name, path in paths.items():
            self.slides.addItem(name, path)
        kept = self.slides.findText(chosen)
        self.slides.setCurrentIndex(kept if kept >= 0 else len(paths) - 1)
        self.slides.blockSignals(False)
        self._on_slide()

    def _images(self) -> list[Any]:
        return list(slide_images(self._viewer.layers))

    def _on_active(self, event: Any = None) -> None:
        active = self._viewer.layers.selection.active
        if active is not None and active in self._images():
            self.slides.setCurrentIndex(self.slides.findText(active.name))

    def _on_slide(self) -> None:
        self.patient.setSlide(self.slides.currentData() or "")

    def _used(self) -> list[OmicsCard]:
        return [card for card in self.cards.values() if card.use.isChecked()]

    def _read(self, key: int, request: TableRequest) -> None:
        card = self.cards[key]
        card.request, card.table = request, None
        card.setReading()
        self.queue.add(key, request)

    def _on_read(self, key: int, result: Any) -> None:
        card = self.cards.get(key)
        if card is None:
            return
        if isinstance(result, OmicsTable):
            card.setTable(result)
        else:
            card.setUnread(result)
        self._refresh()

    def _on_dropped(self, key: int) -> None:
        if key in self.cards:
            self.remove(key)

    def _on_used(self, key: int) -> None:
        card = self.cards[key]
        if card.table is not None:
            chosen = key if card.use.isChecked() else None
            self._choice.say(card.table.modality, chosen)
            self._choose()
            self._show_link()

    def _choose(self) -> None:
        """Use one table per modality."""
        tables = {key: card.table for key, card in self.cards.items() if card.table}
        lookups = {key: self.cards[key].lookup for key in tables}
        choices = self._choice.decide(tables, lookups, self.patient.value())
        for key, choice in choices.items():
            self.cards[key].setChoice(choice)

    def _refresh(self) -> None:
        """Follow a change of the tables."""
        tables = [card.table for card in self.cards.values() if card.table]
        self.patient.setPatients(p for table in tables for p in table.patients)
        self._on_patient()

    def _on_patient(self) -> None:
        for card in self.cards.values():
            card.setLookup(None)
        self._choose()
        self._timer.start(_TYPING_MS)
        self._show_link()

    def _look_up(self) -> None:
        """Look the patient up in a worker; the last wish counts."""
        if self.finder.is_running:
            self._is_stale = True
            return
        self._is_stale = False
        problem = self.bundle.problem()
        self._model.setNote(problem)
        tables = {key: c.table for key, c in self.cards.items() if c.table}
        if not tables or problem:
            return
        patient, bundle = self.patient.value(), self.bundle.value()
        self.finder.start(lambda: lookup_job(tables, patient, bundle, self._features))

    def _look_up_again(self) -> None:
        if self._is_stale:
            self._look_up()

    def _on_found(self, found: dict[int, Lookup]) -> None:
        if self._is_stale or self._timer.isActive():
            return
        for key, lookup in found.items():
            if key in self.cards:
                self.cards[key].setLookup(lookup)
        self._choose()
        self._show_link()

    def _show_link(self) -> None:
        """Say whether Analyze slide has the same, and what it would not get."""
        value, panel = self.value(), find_analyze(self._viewer)
        settled = all(c.lookup is not None for c in self._used())
        same = panel is not None and take_from(panel.form) == value
        ready = bool(value.tables and value.patient and settled)
        self.linkButton.setEnabled(ready and not same)
        left = [
            MODALITY_NAMES[card.table.modality]
            for card in self._used()
            if card.table and card.lookup and card.lookup.obstacle
        ]
        words = []
        if same and value.tables:
            words.append("Analyze slide has these tables and this patient.")
        elif panel is not None and take_from(panel.form).tables:
            words.append("Analyze slide has other tables, patient or model.")
        if left:
            words.append(
                f"{' and '.join(left)} cannot serve for this patient and is left out."
            )
        self.link.setText(" ".join(words))
        self.link.setVisible(bool(words))

    def useInAnalyze(self) -> None:
        """Hand tables, patient and model to the panel Analyze slide."""
        value = self.value()
        if getattr(self._viewer, "window", None) is None:
            show_error("There is no window to open Analyze slide in.")
            return
        known = find_analyze(self._viewer)
        panel = known or open_analyze(self._viewer)
        if known is None:
            panel.form.valueChanged.connect(self._show_link)
        hand_to(panel.form, value)
        self._show_link()
