from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from builders.omics import clinical_frame, tpm_frame, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.records import ModalityReport
from napari_mmsubtype.widgets.omics_card import OmicsCard
from napari_mmsubtype.widgets.omics_lookup import Coverage, FirstRows, Lookup
from napari_mmsubtype.widgets.omics_table import (
    TableRequest,
    UnreadTable,
    read_table_job,
)
from napari_mmsubtype.widgets.table_choice import Choice
from napari_mmsubtype.workflows.jobs import run_job


@pytest.fixture
def make(qtbot: Any, tmp_path: Path) -> Any:
    def make(frame: Any = None, **options: Any) -> OmicsCard:
        path = write(tpm_frame(4) if frame is None else frame, tmp_path / "t.csv")
        request = TableRequest(str(path), **options)
        card = OmicsCard(request)
        qtbot.addWidget(card)
        card.setTable(run_job(read_table_job(request)))
        return card

    return make


def choose(combo: Any, text: str) -> None:
    combo.setCurrentIndex(combo.findText(text))
    combo.activated.emit(combo.currentIndex())


def test_it_shows_what_was_recognised(make) -> None:
    card = make()
    card.use.setChecked(True)
    assert card.text() == ""
    assert card.modality.currentText() == "RNA (recognized)"
    assert card.unit.currentText() == "tpm (recognized)"
    assert card.axis.currentText() == "rows (recognized)"
    assert "samples sum to" in card.evidence("unit")
    assert card.size.text() == "4 samples × 30 features"
    assert card.name.toolTip().endswith("t.csv")


def test_whether_a_table_is_used_is_shown_with_its_reason(make) -> None:
    card = make()
    card.setChoice(Choice(False, "Not used. Tick the box."))
    assert (card.use.isChecked(), card.text()) == (False, "Not used. Tick the box.")
    assert not card.state.isHidden()
    card.setChoice(Choice(True))
    assert (card.use.isChecked(), card.text()) == (True, "")
    assert card.state.isHidden()


def test_what_the_user_overrules_is_asked_for(make, qtbot) -> None:
    card = make()
    with qtbot.waitSignal(card.requestChanged, timeout=1000) as asked:
        choose(card.unit, "fpkm")
    assert asked.args[0].unit == "fpkm"
    with qtbot.waitSignal(card.requestChanged, timeout=1000) as asked:
        choose(card.axis, "columns")
    assert asked.args[0].reading == {"unit": "fpkm", "samples_in": "columns"}
    with qtbot.assertNotEmitted(card.requestChanged):
        choose(card.axis, "columns")
    with qtbot.waitSignal(card.requestChanged, timeout=1000) as asked:
        choose(card.modality, "Methylation")
    assert asked.args[0] == TableRequest(card.request.path, Modality.METHYLATION)


def test_what_is_overruled_is_shown_and_can_be_taken_back(make, qtbot) -> None:
    card = make(unit="fpkm")
    assert card.unit.currentText() == "fpkm"
    assert card.evidence("unit") == "as declared"
    with qtbot.waitSignal(card.requestChanged, timeout=1000) as asked:
        choose(card.unit, "Recognize")
    assert asked.args[0].unit is None


def test_a_clinical_table_has_neither_unit_nor_orientation(make) -> None:
    card = make(clinical_frame(4))
    card.show()
    assert not card.unit.isVisible()
    assert not card.axis.isVisible()
    assert card.modality.isVisible()
    assert not card.names.isVisible()


def test_what_cannot_be_read_says_why_and_may_be_overruled(make) -> None:
    card = make()
    card.use.setChecked(True)
    card.show()
    card.setUnread(UnreadTable(card.request, "'t.csv' is ragged"))
    assert card.text() == "⚠ 't.csv' is ragged"
    assert card.modality.isVisible()
    assert not card.size.isVisible()
    assert not card.use.isEnabled()
    assert not card.use.isChecked()


def test_the_patient_coverage_and_rows(make) -> None:
    card = make()
    card.show()
    report = ModalityReport("rna", True, matched=1, expected=2, weight_coverage=0.5)
    rows = FirstRows(("ESR1",), (("a", ("1",)),), True)
    card.setLookup(Lookup("a, tumour", "", ("clipped",), rows, Coverage(report, 0.3)))
    assert card.patient.text() == "a, tumour"
    assert card.coverage.isVisible()
    assert "50% of the model's weight" in card.coverage.text()
    assert card.steps.text().endswith("• clipped")
    assert card.rows.item(0, 0).text() == "1"
    card.setLookup(Lookup(problem="not among the 4", rows=rows))
    assert card.patient.text() == "⚠ not among the 4"
    assert not card.coverage.isVisible()
    card.setLookup(Lookup(rows=rows))
    assert card.patient.text() == "no patient chosen"
    card.setLookup(None)
    assert card.patient.text() == "looking…"


def test_it_may_be_removed(make, qtbot) -> None:
    card = make()
    with qtbot.waitSignal(card.removed, timeout=1000):
        card.removeButton.click()
