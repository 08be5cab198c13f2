from __future__ import annotations

import numpy as np
import pytest

from builders.crossvals import change, write_crossval
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.crossval_record import is_crossval, open_crossval


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return write_crossval(tmp_path_factory.mktemp("cv"), patients=30)


def test_folder_and_file_both_open(folder):
    for path in (folder, folder / "results.json", str(folder)):
        assert is_crossval(path)
        record = open_crossval(path)
        assert record.path == folder
        assert record.classes == ["Luminal", "Basal/HER2"]
        assert record.colors == ["#4c72b0", "#c44e52"]


def test_models_are_named_by_kind_and_without_those_left_out(folder):
    record = open_crossval(folder)
    assert record.scored("fusion") == ["evidence"]
    assert record.scored("baseline") == ["evidence/image_only"]
    assert "evidence/rna_only" not in record.scored()
    assert "evidence/rna_only" in record.models


def test_answers_are_the_rows_behind_the_metrics(folder):
    record = open_crossval(folder)
    rows = record.answers("evidence")
    assert sorted(rows["patient_id"]) == [f"SYN-{i:03d}" for i in range(30)]
    assert set(rows["subset"]) == {"image+rna"}
    np.testing.assert_allclose(record.probabilities(rows).sum(axis=1), 1)
    assert len(record.answers("evidence", "survival")) == 30
    assert record.answers("nobody").empty


def test_before_the_first_fold_there_are_no_answers(folder, tmp_path):
    (tmp_path / "results.json").write_bytes((folder / "results.json").read_bytes())
    assert open_crossval(tmp_path).answers("evidence").empty


def test_folder_without_results_is_refused(tmp_path):
    assert not is_crossval(tmp_path)
    with pytest.raises(StoreError, match=r"holds no results.json; give the folder"):
        open_crossval(tmp_path)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"format": "other"}, "of format 'other', expected 'mmsubtype-crossval'"),
        ({"version": 9}, "of version 9, this program reads version 1"),
        ({"models": None, "cohort": None}, "lacks 'cohort', 'models'"),
    ],
)
def test_other_files_are_refused(tmp_path, values, message):
    change(write_crossval(tmp_path, patients=30), **values)
    with pytest.raises(StoreError, match=message):
        open_crossval(tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]", '"x"'])
def test_damaged_results_are_refused(folder, tmp_path, text):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(StoreError, match=r"cannot be read|of format None"):
        open_crossval(tmp_path)


def test_damaged_predictions_are_refused(folder, tmp_path):
    (tmp_path / "results.json").write_bytes((folder / "results.json").read_bytes())
    whole = (folder / "predictions.parquet").read_bytes()
    (tmp_path / "predictions.parquet").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match="folds that are done are kept"):
        open_crossval(tmp_path)


def test_predictions_without_a_column_are_refused(folder, tmp_path):
    (tmp_path / "results.json").write_bytes((folder / "results.json").read_bytes())
    frame = open_crossval(folder).predictions.drop(columns=["site", "y"])
    frame.to_parquet(tmp_path / "predictions.parquet")
    with pytest.raises(StoreError, match="lacks the columns 'site', 'y'"):
        open_crossval(tmp_path)
