"""Choose the patient among those of the tables, by the slide's name where it fits."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path

from qtpy.QtCore import QSignalBlocker, QStringListModel, Qt, Signal
from qtpy.QtWidgets import QComboBox, QCompleter, QVBoxLayout, QWidget

from napari_mmsubtype.widgets.analyze_form import suggest_patient
from napari_mmsubtype.widgets.field_note import NotedField

_SYNTHETIC = "synthetic:"


def match_slide(slide: str, patients: Iterable[str]) -> str:
    """Find the patient whom a slide's name names.

    Parameters
    ----------
    slide : str
        Name or path of a slide.
    patients : iterable of str
        Those of the tables.

    Returns
    -------
    str
        The first three parts of a TCGA barcode in the name; otherwise the patient that
        equals the name without its suffixes but for case and spaces, or empty.
    """
    barcode = suggest_patient(slide)
    if barcode or not slide or slide.startswith(_SYNTHETIC):
        return barcode
    known = {_plain(patient): patient for patient in patients}
    name = Path(slide).name
    while True:
        if _plain(name) in known:
            return known[_plain(name)]
        shorter = name.rpartition(".")[0]
        if not shorter:
            return ""
        name = shorter


class PatientPicker(QWidget):
    """Edits the patient's identifier, with those of the tables for completion.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._slide = ""
        self._suggested = ""
        self._known: frozenset[str] = frozenset()
        self._model = QStringListModel(self)
        self._combo = QComboBox(self)
        self._combo.setEditable(True)
        self._combo.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self._combo.setModel(self._model)
        self._combo.setAccessibleName("Patient")
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(12)
        self._combo.lineEdit().setPlaceholderText("add a table, then choose")
        self._combo.lineEdit().setClearButtonEnabled(True)
        completer = QCompleter(self._model, self)
        completer.setFilterMode(Qt.MatchFlag.MatchContains)
        completer.setCaseSensitivity(Qt.CaseSensitivity.CaseInsensitive)
        self._combo.setCompleter(completer)
        self._noted = NotedField(self._combo, self)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._noted)
        self._combo.editTextChanged.connect(self._on_text)
        self.setFocusProxy(self._combo)

    def value(self) -> str:
        """Give the patient.

        Returns
        -------
        str
            Empty while none is chosen.
        """
        return str(self._combo.currentText()).strip()

    def setValue(self, patient: str) -> None:
        """Choose a patient.

        Parameters
        ----------
        patient : str
            It need not be in a table.
        """
        self._combo.setEditText(patient)

    def patients(self) -> tuple[str, ...]:
        """Give the patients that are offered.

        Returns
        -------
        tuple of str
            Sorted.
        """
        return tuple(self._model.stringList())

    def setPatients(self, patients: Iterable[str]) -> None:
        """Offer the patients of the tables; what is chosen stays.

        Parameters
        ----------
        patients : iterable of str
            In any order, possibly repeated.
        """
        known = frozenset(patients)
        if known == self._known:
            return
        self._known, chosen = known, self.value()
        blocker = QSignalBlocker(self._combo)
        self._model.setStringList(sorted(known))
        self._combo.setCurrentIndex(self._combo.findText(chosen) if chosen else -1)
        self._combo.setEditText(chosen)
        blocker.unblock()
        self._combo.lineEdit().setPlaceholderText(
            f"one of {len(known):,} patients" if known else "add a table, then choose"
        )
        self._suggest()

    def setSlide(self, slide: str) -> None:
        """Propose the patient of another slide, unless the user chose one.

        Parameters
        ----------
        slide : str
            Path or name; empty for none.
        """
        if slide != self._slide:
            self._slide = slide
            self._suggest()

    def note(self) -> str:
        """Give the note about slide and patient.

        Returns
        -------
        str
            Empty while there is nothing to say.
        """
        return self._noted.note()

    def _suggest(self) -> None:
        found = match_slide(self._slide, self._known)
        replaced = self.value() == self._suggested
        self._suggested = found
        if replaced and found != self.value():
            self.setValue(found)
        else:
            self._show_note()

    def _on_text(self) -> None:
        self._show_note()
        self.valueChanged.emit()

    def _show_note(self) -> None:
        chosen, text = self.value(), ""
        if self._slide and chosen and self._suggested not in ("", chosen):
            text = f"The slide's name says {self._suggested}."
        elif self._slide and self._known and not chosen:
            text = f"No patient is named as the slide {Path(self._slide).name}: choose."
        self._noted.setNote(text)


def _plain(text: str) -> str:
    """Reduce an identifier to what case and spaces do not change."""
    return re.sub(r"\s+", "", text).casefold()
