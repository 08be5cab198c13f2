"""One table of the panel Omics: what was recognised, the patient in it, its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFormLayout,
    QFrame,
    QHBoxLayout,
    QLabel,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)
from superqt import QElidingLabel

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.widgets.coverage_bar import CoverageBar
from napari_mmsubtype.widgets.first_rows_view import FirstRowsView
from napari_mmsubtype.widgets.folded_part import FoldedPart
from napari_mmsubtype.widgets.omics_lookup import Lookup
from napari_mmsubtype.widgets.omics_table import (
    MODALITY_NAMES,
    OmicsTable,
    TableRequest,
    UnreadTable,
    unit_names,
)
from napari_mmsubtype.widgets.table_choice import Choice

_RECOGNIZE = "Recognize"


class OmicsCard(QFrame):
    """Shows one table and lets the user overrule how it is read.

    ``requestChanged`` gives the card's new `TableRequest`, ``usedChanged`` whether the
    table is to be used, ``removed`` that the user wants it gone.

    Parameters
    ----------
    request : TableRequest
        What is being read.
    parent : QWidget, optional
        Owner.
    """

    requestChanged = Signal(object)  # noqa: N815 - as Qt names signals
    usedChanged = Signal(bool)  # noqa: N815 - as Qt names signals
    removed = Signal()

    def __init__(self, request: TableRequest, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.request = request
        self.table: OmicsTable | None = None
        self.lookup: Lookup | None = None
        self.setFrameShape(QFrame.Shape.StyledPanel)
        self.use = QCheckBox(self)
        self.use.setToolTip("Use this table; one per modality")
        self.use.clicked.connect(self.usedChanged)
        self.name = QElidingLabel(request.name, self)
        self.name.setElideMode(Qt.TextElideMode.ElideMiddle)
        self.name.setToolTip(request.path)
        self.name.setStyleSheet("font-weight: bold")
        # A long name is cut rather than making the panel wide.
        self.name.setSizePolicy(QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Fixed)
        self.removeButton = QToolButton(self)
        self.removeButton.setText("✕")
        self.removeButton.setToolTip("Remove this table")
        self.removeButton.clicked.connect(self.removed)
        self.state = _words(self)
        self.modality = self._combo("Modality")
        self.unit = self._combo("Unit")
        self.axis = self._combo("Samples in")
        self._evidence = {n: _words(self) for n in ("modality", "unit", "samples_in")}
        self._fields = {name: QWidget(self) for name in self._evidence}
        self.size, self.names, self.patient = _words(self), _words(self), _words(self)
        self.coverage = CoverageBar(self)
        self.steps, self.rows = _words(self), FirstRowsView(self)
        self.stepsPart = FoldedPart("Steps and notes", self.steps, self)
        self.rowsPart = FoldedPart("First rows", self.rows, self)
        self._lay_out()
        self.setReading()

    def setReading(self) -> None:
        """Show that the table is being read."""
        self._say("To be read…")
        self._offer()

    def setTable(self, table: OmicsTable) -> None:
        """Show what was recognised.

        Parameters
        ----------
        table : OmicsTable
            The table.
        """
        self.table, self.lookup = table, None
        self._say("")
        self._offer()
        for name, label in self._evidence.items():
            _show(label, table.evidence[name])
        self.size.setText(table.size)
        _show(self.names, table.names)
        self._form.labelForField(self.names).setVisible(bool(table.names))
        self.setLookup(None)

    def setChoice(self, choice: Choice) -> None:
        """Show whether the table is used.

        Parameters
        ----------
        choice : Choice
            With the sentence, if the table has others beside it.
        """
        self.use.setChecked(choice.used)
        _show(self.state, choice.sentence)

    def setUnread(self, unread: UnreadTable) -> None:
        """Show why the table cannot be read.

        Parameters
        ----------
        unread : UnreadTable
            With the sentence.
        """
        self.table, self.lookup = None, None
        self.use.setChecked(False)
        self._say(f"⚠ {unread.sentence}")
        self._offer()

    def setLookup(self, lookup: Lookup | None) -> None:
        """Show what the table holds of the patient.

        Parameters
        ----------
        lookup : Lookup or None
            None while it is being looked for.
        """
        self.lookup = lookup
        if self.table is None:
            return
        found = lookup or Lookup()
        if found.problem:
            self.patient.setText(f"⚠ {found.problem}")
        else:
            self.patient.setText(found.sample or "no patient chosen")
        if lookup is None:
            self.patient.setText("looking…")
        coverage = found.coverage
        self.coverage.setVisible(coverage is not None)
        self._form.labelForField(self.coverage).setVisible(coverage is not None)
        if coverage is not None:
            self.coverage.setCoverage(coverage)
        lines = [*self.table.steps, *found.notes]
        self.steps.setText("\n".join(f"• {line}" for line in lines))
        self.stepsPart.setTitle(f"Steps and notes ({len(lines)})")
        if lookup is not None:
            self.rows.setRows(lookup.rows)

    def text(self) -> str:
        """Give the sentence about the table as a whole.

        Returns
        -------
        str
            Once the table is read: why it is used or not; empty where it is alone.
        """
        return str(self.state.text())

    def evidence(self, name: str) -> str:
        """Give what spoke for a finding.

        Parameters
        ----------
        name : str
            ``modality``, ``unit`` or ``samples_in``.

        Returns
        -------
        str
            As shown beneath the choice.
        """
        return str(self._evidence[name].text())

    def _say(self, text: str) -> None:
        """Show a sentence in place of the facts, or the facts."""
        self.state.setText(text)
        self.state.setVisible(bool(text))
        has_table = self.table is not None
        self.use.setEnabled(has_table)
        self._facts.setVisible(has_table)
        self.stepsPart.setVisible(has_table)
        self.rowsPart.setVisible(has_table)
        # Where reading failed, another modality or unit may be the remedy.
        self._choices.setVisible(has_table or text.startswith("⚠"))

    def _offer(self) -> None:
        """Fill the choices; the first one leaves it to what is recognised."""
        table, asked = self.table, self.request
        kind = asked.modality or (table.modality if table else None)
        names = {str(m): name for m, name in MODALITY_NAMES.items()}
        found = names[str(table.modality)] if table else ""
        _fill(self.modality, found, names, asked.modality)
        units = unit_names(kind)
        _fill(self.unit, table.unit if table else "", dict.fromkeys(units), asked.unit)
        axis = table.samples_in if table else ""
        axes = {"rows": "rows", "columns": "columns"}
        _fill(self.axis, axis, axes, asked.samples_in)
        is_plain = bool(axis) or table is None
        self._show_row("unit", kind is not Modality.CLINICAL)
        self._show_row("samples_in", is_plain and kind is not Modality.CLINICAL)
        for label in self._evidence.values():
            if table is None:
                _show(label, "")

    def _show_row(self, name: str, shown: bool) -> None:
        field = self._fields[name]
        field.setVisible(shown)
        self._choice_form.labelForField(field).setVisible(shown)

    def _label(self, title: str) -> QLabel:
        """Make the label of a row; those of both forms are of one width."""
        label = QLabel(title, self)
        label.setFixedWidth(label.fontMetrics().horizontalAdvance("Samples in mm"))
        label.setAlignment(Qt.AlignmentFlag.AlignTop)
        return label

    def _on_choice(self, name: str, combo: QComboBox) -> None:
        value = combo.currentData()
        if name == "modality":
            # Another modality has other units.
            modality = None if value is None else Modality(value)
            request = TableRequest(self.request.path, modality)
        else:
            request = replace(self.request, **{name: value})
        if request != self.request:
            self.request = request
            self.requestChanged.emit(request)

    def _combo(self, name: str) -> QComboBox:
        combo = QComboBox(self)
        combo.setAccessibleName(name)
        combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        combo.setMinimumContentsLength(12)
        combo.setFocusPolicy(Qt.FocusPolicy.StrongFocus)
        return combo

    def _lay_out(self) -> None:
        head = QHBoxLayout()
        head.setSpacing(4)
        head.addWidget(self.use)
        head.addWidget(self.name, 1)
        head.addWidget(self.removeButton)
        self._choices, self._facts = QWidget(self), QWidget(self)
        self._choice_form = _form(self._choices)
        for name, combo, title in (
            ("modality", self.modality, "Modality"),
            ("unit", self.unit, "Unit"),
            ("samples_in", self.axis, "Samples in"),
        ):
            column = QVBoxLayout(self._fields[name])
            column.setContentsMargins(0, 0, 0, 0)
            column.setSpacing(1)
            column.addWidget(combo)
            column.addWidget(self._evidence[name])
            self._choice_form.addRow(self._label(title), self._fields[name])
            combo.activated.connect(
                lambda _, name=name, combo=combo: self._on_choice(name, combo)
            )
        self._form = _form(self._facts)
        for title, widget in (
            ("Size", self.size),
            ("Names", self.names),
            ("Patient", self.patient),
            ("Coverage", self.coverage),
        ):
            self._form.addRow(self._label(title), widget)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(6, 6, 6, 6)
        layout.setSpacing(4)
        layout.addLayout(head)
        for widget in (
            self.state,
            self._choices,
            self._facts,
            self.stepsPart,
            self.rowsPart,
        ):
            layout.addWidget(widget)


def _fill(
    combo: QComboBox, found: str, values: Mapping[str, str | None], chosen: str | None
) -> None:
    """Offer what is recognised and every other value."""
    combo.clear()
    is_found = found and chosen is None
    combo.addItem(f"{found} (recognized)" if is_found else _RECOGNIZE, None)
    for value, name in values.items():
        combo.addItem(name or value, value)
    index = 0 if chosen is None else combo.findData(str(chosen))
    combo.setCurrentIndex(max(index, 0))


def _form(widget: QWidget) -> QFormLayout:
    form = QFormLayout(widget)
    form.setFieldGrowthPolicy(QFormLayout.FieldGrowthPolicy.AllNonFixedFieldsGrow)
    form.setContentsMargins(0, 0, 0, 0)
    form.setVerticalSpacing(3)
    form.setHorizontalSpacing(8)
    return form


def _show(label: QLabel, text: str) -> None:
    label.setText(text)
    label.setVisible(bool(text))


def _words(parent: QWidget) -> QLabel:
    label = QLabel(parent)
    label.setWordWrap(True)
    label.setAlignment(Qt.AlignmentFlag.AlignTop)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    label.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum)
    return label
