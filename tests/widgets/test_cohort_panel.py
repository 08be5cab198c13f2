from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from napari.components import ViewerModel
from qtpy.QtGui import QDesktopServices, QGuiApplication

from fakes.jobs import FakeJob
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.training.curves import Curves
from napari_mmsubtype.widgets.cohort_command import CohortTask, cohort_command
from napari_mmsubtype.widgets.cohort_panel import CohortPanel
from napari_mmsubtype.workflows.cohort_request import CohortRequest


@dataclass
class Scored:
    folder: Path
    results: Path
    report: Path


@dataclass
class Trained:
    bundle: Path


class TaskJob(FakeJob):
    """Remembers what was to be done, too."""

    task: CohortTask | None = None

    def __call__(self, task: CohortTask, request: Any = None) -> Any:
        self.task = task
        return super().__call__(request)


def written(folder: Path) -> Scored:
    metric = {"value": 0.9, "low": 0.8, "high": 1.0, "level": 0.95}
    models = {
        "evidence": {
            "kind": "fusion", "title": "t", "skipped": None, "patients": 8,
            "metrics": {"balanced_accuracy": metric, "roc_auc": metric},
        }
    }  # fmt: skip
    results = folder / "results.json"
    results.write_text(json.dumps({"complete": True, "models": models, "alarms": []}))
    return Scored(folder, results, folder / "report.html")


def request_in(folder: Path) -> CohortRequest:
    manifest = folder / "m.csv"
    manifest.write_text("patient_id,label\na,Luminal\nb,Basal/HER2\n")
    return CohortRequest(
        manifest=str(manifest),
        presets=("evidence",),
        out=folder / "out",
    )


@pytest.fixture
def make_panel(qtbot: Any) -> Any:
    made: list[CohortPanel] = []

    def make(job: Any = None) -> CohortPanel:
        panel = CohortPanel(ViewerModel(), job=job)
        made.append(panel)
        return panel

    yield make
    for panel in made:
        panel.runner.cancel()
        for runner in (panel.runner, panel.reader, panel._lister):
            qtbot.waitUntil(lambda r=runner: not r.is_running, timeout=20_000)
        panel.close()
        panel.deleteLater()


def test_presets_are_offered(make_panel, qtbot) -> None:
    panel = make_panel()
    qtbot.waitUntil(lambda: panel.form.presets.list.count() == 4, timeout=20_000)


def test_the_manifest_is_read_as_soon_as_it_is_named(
    make_panel, qtbot, tmp_path: Path
) -> None:
    panel = make_panel()
    panel.setValue(request_in(tmp_path))
    qtbot.waitUntil(
        lambda: panel.form.cohort.text().startswith("2 patients"), timeout=20_000
    )
    (tmp_path / "bad.csv").write_text("patient_id,label\na,\n,x\n")
    panel.form.manifest.setValue(str(tmp_path / "bad.csv"))
    qtbot.waitUntil(lambda: panel.form.cohort.text().startswith("⚠"), timeout=20_000)
    assert "bad.csv" in panel.form.cohort.text()
    panel.form.manifest.setValue(None)
    qtbot.waitUntil(lambda: not panel.form.cohort.text(), timeout=20_000)


def test_run_hands_over_the_request_and_shows_the_results(
    make_panel, qtbot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(
        QDesktopServices, "openUrl", lambda url: opened.append(url.toLocalFile())
    )
    outcome = written(tmp_path)
    job = TaskJob(outcome)
    panel = make_panel(job)
    panel.setValue(request_in(tmp_path))
    with qtbot.waitSignal(panel.runner.finished, timeout=20_000):
        panel.bar.runButton.click()
    assert (job.task, job.recipe) == (CohortTask.CROSSVAL, request_in(tmp_path))
    assert panel.summary.table.item(0, 1).text() == "0.900 [0.800, 1.000]"
    panel.reportButton.click()
    panel.folderButton.click()
    assert opened == [str(outcome.report), str(outcome.folder)]


def test_a_bundle_alone_has_no_table(make_panel, qtbot, tmp_path: Path) -> None:
    panel = make_panel(TaskJob(Trained(tmp_path)))
    panel.setValue(request_in(tmp_path))
    panel.form.setTask(CohortTask.TRAIN)
    with qtbot.waitSignal(panel.runner.finished, timeout=20_000):
        panel.run()
    assert panel.summary.isHidden()
    assert panel.reportButton.isHidden()
    assert not panel.folderButton.isHidden()


def test_curves_and_the_fit_at_work_are_shown(make_panel, tmp_path: Path) -> None:
    panel = make_panel()
    panel.runner.progressed.emit(Progress("folds", 3, 40, "evidence, fold 1 of 5"))
    assert panel.fit.text() == "fit 3 of 40: evidence, fold 1 of 5"
    curves = Curves((1.0, 0.5), (1.0, 0.7), (0.1, 0.1))
    panel.runner.progressed.emit(
        Progress("fusion training", 2, 60, "loss", partial=curves)
    )
    assert not panel.curves.isHidden()
    assert len(panel.curves.points()["training"]) == 2


def test_an_unfinished_form_starts_nothing(make_panel) -> None:
    job = TaskJob(None)
    panel = make_panel(job)
    panel.run()
    assert job.yielded == 0
    assert not panel.runner.is_running
    assert panel.form.notes()["manifest"]


def test_the_command_is_copied(make_panel, tmp_path: Path) -> None:
    panel = make_panel()
    panel.setValue(request_in(tmp_path))
    panel.copyButton.click()
    assert QGuiApplication.clipboard().text() == cohort_command(
        CohortTask.CROSSVAL, request_in(tmp_path)
    )
