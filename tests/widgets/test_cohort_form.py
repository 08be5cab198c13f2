from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.widgets.cohort_command import CohortTask
from napari_mmsubtype.widgets.cohort_form import CohortForm
from napari_mmsubtype.workflows.cohort_request import CohortRequest


@pytest.fixture
def form(qtbot: Any) -> CohortForm:
    form = CohortForm()
    qtbot.addWidget(form)
    return form


def full(tmp_path: Path, **changes: Any) -> CohortRequest:
    for name in ("cohort.csv", "rna.csv"):
        (tmp_path / name).write_text("a\n")
    known: dict[str, Any] = {
        "manifest": str(tmp_path / "cohort.csv"),
        "presets": ("evidence", "lung-mmlm"),
        "out": tmp_path / "out",
        "tables": {Modality.RNA: str(tmp_path / "rna.csv")},
        "reading": {Modality.RNA: {"unit": "z-score", "samples_in": "rows"}},
        "overrides": ("validation.group=site", "validation.folds=3"),
        "embeddings": tmp_path / "bags",
        "mpp": 0.25,
        "device": "cpu",
        "precision": "bfloat16",
        "tensorboard": tmp_path / "curves",
    }
    return CohortRequest(**{**known, **changes})


@pytest.mark.parametrize("task", list(CohortTask))
def test_round_trip(form: CohortForm, tmp_path: Path, task: CohortTask) -> None:
    request = full(tmp_path, presets=("evidence",))
    form.setValue(request)
    form.setTask(task)
    assert (form.task(), form.value()) == (task, request)
    assert form.validate()


def test_an_empty_form_says_what_is_missing(form: CohortForm) -> None:
    assert not form.validate()
    assert form.notes() | {"rna": "", "settings": ""} == {
        "manifest": "Choose the manifest: one row per slide.",
        "presets": "Tick a preset.",
        "out": "Choose a folder for the results.",
        "rna": "",
        "methylation": "",
        "clinical": "",
        "settings": "",
        "reading": "",
        "embeddings": "",
        "ensemble": "",
        "curves": "",
    }
    with pytest.raises(ConfigurationError, match="manifest"):
        form.value()


def test_a_model_has_one_preset(form: CohortForm, tmp_path: Path) -> None:
    form.setValue(full(tmp_path))
    form.setTask(CohortTask.TRAIN)
    assert not form.validate()
    assert form.notes()["presets"] == "A model has one preset; 2 are ticked."
    form.tasks[CohortTask.CROSSVAL].setChecked(True)
    assert form.notes()["presets"] == ""


def test_a_setting_needs_a_value_and_is_shown(form: CohortForm, tmp_path: Path) -> None:
    form.setValue(full(tmp_path, overrides=("validation.folds",)))
    assert not form.validate()
    assert "'validation.folds' is no setting" in form.notes()["settings"]
    assert form.more.isOpen()


def test_what_is_said_of_tables_must_be_understood(
    form: CohortForm, tmp_path: Path
) -> None:
    form.setValue(full(tmp_path))
    form.reading.setText("rna_unit=tpm; clinical_unit=years")
    assert not form.validate()
    assert "'clinical_unit=years' says nothing" in form.notes()["reading"]
    assert form.more.isOpen()
    form.reading.setText("rna_unit = tpm; methylation_samples_in=columns")
    assert form.notes()["reading"] == ""
    # Of a table that is not given nothing is said.
    assert form.value().reading == {Modality.RNA: {"unit": "tpm"}}


def test_folds_are_joined_where_a_model_is_made(
    form: CohortForm, tmp_path: Path
) -> None:
    (tmp_path / "cv").mkdir()
    (tmp_path / "cv" / "results.json").touch()
    request = full(tmp_path, presets=("evidence",), ensemble_of=tmp_path / "cv")
    form.setValue(request)
    assert not form.ensemble.isEnabled()
    assert form.value().ensemble_of is None
    form.setTask(CohortTask.TRAIN)
    assert form.ensemble.isEnabled()
    assert form.value() == request


def test_a_folder_without_folds_is_noted_beside_its_field(
    form: CohortForm, tmp_path: Path
) -> None:
    form.setValue(full(tmp_path, presets=("evidence",), ensemble_of=tmp_path / "cv"))
    assert form.validate()  # nothing is joined where models are judged
    form.setTask(CohortTask.TRAIN)
    assert not form.validate()
    assert form.notes()["ensemble"] == "cv has no results.json of a cross-validation."
    assert form.more.isOpen()
    form.ensemble.setValue(None)
    assert form.notes()["ensemble"] == ""


def test_a_file_that_is_not_there_is_named(form: CohortForm, tmp_path: Path) -> None:
    form.setValue(full(tmp_path, manifest=str(tmp_path / "other.csv")))
    assert form.problems() == {"manifest": "There is no file named other.csv."}


def test_the_folder_is_proposed_beside_the_manifest(
    form: CohortForm, tmp_path: Path
) -> None:
    path = tmp_path / "brca.csv"
    path.write_text("a\n")
    form.manifest.setValue(str(path))
    assert form.out.value() == str(tmp_path / "brca-crossval")
    other = tmp_path / "lung.csv"
    other.write_text("a\n")
    form.manifest.setValue(str(tmp_path / "lun"))
    assert form.out.value() == str(tmp_path / "brca-crossval")
    form.manifest.setValue(str(other))
    assert form.out.value() == str(tmp_path / "lung-crossval")
    form.out.setValue(str(tmp_path / "mine"))
    form.manifest.setValue(str(path))
    assert form.out.value() == str(tmp_path / "mine")
    form.out.setValue(None)
    form.manifest.setValue(str(other))
    assert form.out.value() == str(tmp_path / "lung-crossval")


def test_curves_go_into_a_folder(form: CohortForm, tmp_path: Path) -> None:
    form.setValue(full(tmp_path, tensorboard=tmp_path / "rna.csv"))
    assert not form.validate()
    assert form.notes()["curves"] == "rna.csv is a file; choose a folder."
    assert form.more.isOpen()
    form.curves.setValue(None)
    assert form.notes()["curves"] == ""
    assert form.value().tensorboard is None
