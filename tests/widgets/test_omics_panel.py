from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from napari.layers import Image
from qtpy.QtCore import QMimeData, QPointF, Qt, QTimer, QUrl
from qtpy.QtGui import QDropEvent

from builders.drags import drag_enters
from builders.omics import clinical_frame, log_frame, tpm_frame, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.plugin.layers import METADATA_KEY
from napari_mmsubtype.widgets import omics_panel, table_queue
from napari_mmsubtype.widgets.analyze_link import SharedRequest, take_from
from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel
from napari_mmsubtype.widgets.omics_panel import OmicsPanel
from napari_mmsubtype.widgets.omics_table import TableRequest

PATIENT = "TCGA-E2-A002"


class Window:
    """What the panel needs of napari's window."""

    def __init__(self, qtbot: Any) -> None:
        self.dock_widgets: dict[str, Any] = {}
        self._qtbot = qtbot

    def add_dock_widget(self, widget: Any, name: str, **_: Any) -> None:
        self.dock_widgets[name] = widget
        self._qtbot.addWidget(widget)


@pytest.fixture
def viewer(qtbot: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    viewer = ViewerModel()
    monkeypatch.setattr(type(viewer), "window", Window(qtbot), raising=False)
    return viewer


@pytest.fixture
def idle(qtbot: Any) -> Any:
    def idle(panel: OmicsPanel) -> None:
        def is_idle() -> bool:
            busy = panel.queue.is_busy or panel.finder.is_running
            waits = panel._arriving or panel._timer.isActive()
            return not busy and not waits

        qtbot.waitUntil(is_idle, timeout=30_000)

    return idle


@pytest.fixture
def panel(qtbot: Any, viewer: Any) -> OmicsPanel:
    panel = OmicsPanel(viewer)
    qtbot.addWidget(panel)
    return panel


@pytest.fixture
def rna(tmp_path: Path) -> Path:
    return write(log_frame(12, suffix="-01A"), tmp_path / "rna.csv")


@pytest.fixture
def clinical(tmp_path: Path) -> Path:
    return write(clinical_frame(12), tmp_path / "clinical.csv")


def slide(name: str) -> Image:
    import numpy as np

    facts = {
        "kind": "slide",
        "path": f"/d/{name}.tif",
        "mpp": None,
        "mpp_source": "none",
        "backend": "tifffile",
    }
    return Image(
        np.zeros((4, 4, 3), np.uint8), name=name, metadata={METADATA_KEY: facts}
    )


def mime(*paths: Path) -> QMimeData:
    data = QMimeData()
    data.setUrls([QUrl.fromLocalFile(str(path)) for path in paths])
    return data


def drop(widget: Any, *paths: Path) -> None:
    data = mime(*paths)
    event = QDropEvent(
        QPointF(1, 1),
        Qt.DropAction.CopyAction,
        data,
        Qt.MouseButton.LeftButton,
        Qt.KeyboardModifier.NoModifier,
    )
    widget.dropEvent(event)
    assert event.isAccepted()


def cards(panel: OmicsPanel) -> list[Any]:
    return list(panel.cards.values())


def test_what_is_dropped_is_read_and_looked_up(
    panel, viewer, idle, rna, clinical, tmp_path
) -> None:
    viewer.add_layer(slide(f"{PATIENT}-01Z-00-DX1"))
    assert panel.patient.value() == PATIENT
    (tmp_path / "empty.csv").touch()
    drop(panel.drop, rna, clinical, tmp_path / "empty.csv")
    assert cards(panel)[0].text() == "To be read…"
    idle(panel)
    first, second, third = cards(panel)
    assert first.patient.text() == f"{PATIENT}-01A, primary solid tumour"
    assert "of the model's weight" in first.coverage.text()
    assert first.rows.verticalHeaderItem(0).text() == f"▸ {PATIENT}-01A"
    assert second.patient.text() == PATIENT
    assert "is empty" in third.text()
    assert len(panel.patient.patients()) == 12
    assert panel.value() == SharedRequest(
        {
            Modality.RNA: TableRequest(str(rna), Modality.RNA),
            Modality.CLINICAL: TableRequest(str(clinical), Modality.CLINICAL),
        },
        PATIENT,
    )


def test_a_drag_is_accepted_anywhere(panel, idle, rna) -> None:
    data = mime(rna)
    event = drag_enters(data)
    event.ignore()
    panel.dragEnterEvent(event)
    assert event.isAccepted()
    drop(panel, rna)
    idle(panel)
    assert cards(panel)[0].table is not None


def test_the_same_file_is_not_added_twice(panel, idle, rna) -> None:
    drop(panel, rna, rna)
    idle(panel)
    assert len(panel.cards) == 1


def test_another_patient_is_looked_up(panel, idle, rna) -> None:
    drop(panel, rna)
    idle(panel)
    (card,) = cards(panel)
    assert card.patient.text() == "no patient chosen"
    panel.patient.setValue("TCGA-E2-A005")
    assert card.patient.text() == "looking…"
    idle(panel)
    assert card.patient.text().startswith("TCGA-E2-A005-01A")
    panel.patient.setValue("TCGA-E2-B005")
    idle(panel)
    assert "not among the 12 samples" in card.patient.text()
    assert panel.value().tables == {}
    assert "RNA cannot serve" in panel.link.text()


def test_what_is_overruled_is_read_again(panel, idle, tmp_path) -> None:
    drop(panel, write(tpm_frame(4), tmp_path / "t.csv"))
    idle(panel)
    (card,) = cards(panel)
    card.unit.setCurrentIndex(card.unit.findText("fpkm"))
    card.unit.activated.emit(card.unit.currentIndex())
    assert card.text() == "To be read…"
    idle(panel)
    assert card.table.unit == "fpkm"
    assert panel.value().tables[Modality.RNA].reading == {"unit": "fpkm"}


def test_one_table_per_modality_is_used(panel, idle, rna, tmp_path) -> None:
    drop(panel, rna, write(tpm_frame(12), tmp_path / "tpm.csv"))
    idle(panel)
    first, second = cards(panel)
    assert (first.use.isChecked(), second.use.isChecked()) == (True, False)
    second.use.click()
    assert (first.use.isChecked(), second.use.isChecked()) == (False, True)
    assert panel.value().tables[Modality.RNA].path.endswith("tpm.csv")


def test_the_table_that_holds_the_patient_is_used(panel, idle, rna, tmp_path) -> None:
    others = log_frame(12, suffix="-01A").set_axis(
        [f"TCGA-A1-B{i:03d}-01A" for i in range(12)]
    )
    drop(panel, rna, write(others, tmp_path / "others.csv"))
    idle(panel)
    first, second = cards(panel)
    for patient, used in (("TCGA-A1-B003", second), (PATIENT, first)):
        panel.patient.setValue(patient)
        idle(panel)
        assert [c.use.isChecked() for c in cards(panel)] == [
            used is first,
            used is second,
        ]
        assert used.text() == f"Used: the only RNA table that holds {patient}."
        path = panel.value().tables[Modality.RNA].path
        assert path == used.request.path
    second.use.click()
    assert second.use.isChecked()
    assert f"rna.csv holds {PATIENT}" in second.text()
    assert "RNA cannot serve" in panel.link.text()


def test_of_two_tables_that_hold_the_patient_the_user_chooses(
    panel, idle, rna, tmp_path
) -> None:
    drop(panel, rna, write(log_frame(12), tmp_path / "again.csv"))
    panel.patient.setValue(PATIENT)
    idle(panel)
    first, second = cards(panel)
    assert "first of 2 RNA tables" in first.text()
    assert "tick again.csv" in first.text()
    assert f"Not used, though it holds {PATIENT}" in second.text()
    second.use.click()
    assert not first.use.isChecked()
    panel.patient.setValue("TCGA-E2-A005")
    idle(panel)
    assert second.use.isChecked()
    assert "Used as you ticked it" in second.text()


def test_a_table_is_removed(panel, idle, rna, clinical) -> None:
    drop(panel, rna, clinical)
    idle(panel)
    cards(panel)[0].removeButton.click()
    idle(panel)
    (left,) = cards(panel)
    assert left.table.modality is Modality.CLINICAL
    left.removeButton.click()
    idle(panel)
    assert panel.patient.patients() == ()


def test_cancel_takes_away_what_is_not_read(
    panel, idle, rna, clinical, monkeypatch
) -> None:
    def endless(request):
        # A small table could be read before it is cancelled.
        while True:
            yield Progress("read", message=f"reading {request.name}")
            time.sleep(0.01)

    monkeypatch.setattr(table_queue, "read_table_job", endless)
    panel.add(TableRequest(str(rna)))
    panel.add(TableRequest(str(clinical)))
    panel.queue.cancel()
    idle(panel)
    assert panel.cards == {}


def test_a_model_that_is_none_is_told(panel, idle, rna, tmp_path) -> None:
    drop(panel, rna)
    panel.bundle.setValue(str(tmp_path))
    idle(panel)
    assert "is no model" in panel._model.note()


def test_slides_follow_the_viewer(panel, viewer) -> None:
    first, second = slide("TCGA-E2-A001-01Z"), slide("TCGA-E2-A003-01Z")
    viewer.add_layer(first)
    viewer.add_layer(second)
    viewer.layers.selection.active = first
    assert panel.slides.currentText() == first.name
    assert panel.patient.value() == "TCGA-E2-A001"
    viewer.layers.selection.active = second
    assert panel.patient.value() == "TCGA-E2-A003"
    viewer.layers.remove(second)
    assert panel.patient.value() == "TCGA-E2-A001"


def test_tables_and_patient_are_handed_to_analyze(panel, viewer, idle, rna) -> None:
    drop(panel, rna)
    idle(panel)
    assert not panel.linkButton.isEnabled()
    panel.patient.setValue(PATIENT)
    idle(panel)
    panel.linkButton.click()
    form = viewer.window.dock_widgets["Analyze slide"].form
    assert take_from(form) == panel.value()
    assert panel.link.text() == "Analyze slide has these tables and this patient."
    assert not panel.linkButton.isEnabled()
    form.patient.setText("TCGA-E2-A003")
    assert "other tables, patient or model" in panel.link.text()
    assert panel.linkButton.isEnabled()


def test_it_takes_over_what_analyze_has(qtbot, viewer, idle, tmp_path) -> None:
    path = write(tpm_frame(12), tmp_path / "tpm.csv")
    analyze = AnalyzePanel(viewer)
    viewer.window.add_dock_widget(analyze, name="Analyze slide")
    analyze.form.tables[Modality.RNA].setTable(str(path), {"unit": "fpkm"})
    analyze.form.patient.setText(PATIENT)
    panel = OmicsPanel(viewer)
    qtbot.addWidget(panel)
    idle(panel)
    (card,) = cards(panel)
    assert card.table.unit == "fpkm"
    assert panel.patient.value() == PATIENT
    assert panel.link.text() == "Analyze slide has these tables and this patient."


def test_without_a_window_nothing_can_be_handed_over(qtbot, idle, monkeypatch) -> None:
    messages: list[str] = []
    monkeypatch.setattr(omics_panel, "show_error", messages.append)
    panel = OmicsPanel(ViewerModel())
    qtbot.addWidget(panel)
    panel.useInAnalyze()
    assert "no window" in messages[0]


def test_the_panel_may_go_while_it_reads(qtbot, viewer, rna) -> None:
    panel = OmicsPanel(viewer)
    drop(panel, rna)
    assert panel.queue.is_busy
    known = len(viewer.layers.events.inserted.callbacks)
    panel.deleteLater()
    inserted = viewer.layers.events.inserted
    qtbot.waitUntil(lambda: len(inserted.callbacks) == known - 1, timeout=5000)
    viewer.add_layer(slide("a"))
    qtbot.wait(300)


@pytest.mark.gui
def test_real_tables_in_a_window(plugin_viewer, real_data: Path, qtbot, idle) -> None:
    region = real_data / "regions" / "breast" / "TCGA-E2-A14V-01Z-00-DX1.tif"
    plugin_viewer.open(str(region), plugin="napari-mmsubtype")
    _, panel = plugin_viewer.window.add_plugin_dock_widget("napari-mmsubtype", "Omics")
    ticks: list[float] = []
    timer = QTimer()
    timer.timeout.connect(lambda: ticks.append(time.perf_counter()))
    timer.start(5)
    omics = real_data / "omics"
    drop(
        panel,
        omics / "tcga_brca_rnaseq_zscores.csv.gz",
        omics / "tcga_brca_methylation_chr17_betas.csv.gz",
        omics / "tcga_brca_mrna_chr17_counts.tsv.gz",
        real_data / "clinical" / "brca_tcga_pan_can_atlas_2018_clinical_data.tsv",
    )
    idle(panel)
    timer.stop()
    assert len(ticks) > 20
    zscores, betas, counts, clinical = cards(panel)
    assert [c.table.unit for c in cards(panel)] == ["z-score", "beta", "counts", "raw"]
    assert panel.patient.value() == "TCGA-E2-A14V"
    assert betas.patient.text().endswith("-05, primary solid tumour")
    assert counts.table.samples_in == "columns"
    assert "203 of 286 features matched" in zscores.coverage.text()
    assert "2 of 5 features matched" in clinical.coverage.text()
    panel.linkButton.click()
    assert "Analyze slide" in plugin_viewer.window.dock_widgets
    assert set(panel.value().tables) == {Modality.RNA, Modality.CLINICAL}
