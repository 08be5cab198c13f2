from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from builders.omics import beta_frame, clinical_frame, log_frame, write
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.omics.preprocessing import fit_modality
from napari_mmsubtype.widgets.omics_lookup import (
    Coverage,
    Lookup,
    ModelFeatures,
    first_rows,
    lookup_job,
)
from napari_mmsubtype.widgets.omics_table import TableRequest, read_table_job
from napari_mmsubtype.workflows.jobs import run_job

PATIENT = "TCGA-E2-A002"


@pytest.fixture
def make(tmp_path: Path):
    def make(frame, name="rna.csv"):
        path = write(frame, tmp_path / name)
        return run_job(read_table_job(TableRequest(str(path))))

    return make


@pytest.fixture
def features(monkeypatch: pytest.MonkeyPatch) -> ModelFeatures:
    """A model of the genes that the builders write; the weights fall by gene."""
    from napari_mmsubtype.models import bundle_manifest

    frame = log_frame(20, seed=3)
    rna = fit_modality(frame, modality="rna", unit="log2(tpm+1)")
    spec = rna.with_weights(np.arange(len(rna), 0.0, -1.0))
    loaded = ("fake", {Modality.RNA: spec})
    monkeypatch.setattr(bundle_manifest, "load_features", lambda source: loaded)
    found = ModelFeatures()
    found.load("fake")
    found.spec = spec
    return found


def look(tables, patient, features, bundle="fake"):
    return run_job(lookup_job(tables, patient, bundle, features))


def test_sample_rows_and_coverage_of_a_patient(make, features) -> None:
    table = make(log_frame(12, suffix="-01A"))
    found = look({7: table}, PATIENT, features)[7]
    assert found.sample == f"{PATIENT}-01A, primary solid tumour"
    assert found.obstacle == ""
    assert found.rows.has_patient
    assert found.rows.rows[0][0] == f"{PATIENT}-01A"
    assert found.coverage.report.used
    assert found.coverage.report.weight_coverage == 1
    assert found.coverage.heaviest == ()
    assert all("features have a value" not in note for note in found.notes)


def test_the_heaviest_missing_features_come_first(make, features) -> None:
    names = list(features.spec.names)
    frame = log_frame(12).drop(columns=[names[0], names[2], names[-1]])
    coverage = look({0: make(frame)}, PATIENT, features)[0].coverage
    weights = features.spec.features["weight"].to_numpy()
    shares = weights / weights.sum()
    assert [name for name, _ in coverage.heaviest] == [names[0], names[2], names[-1]]
    assert coverage.heaviest[0][1] == pytest.approx(shares[0])
    lost = shares[0] + shares[2] + shares[-1]
    assert coverage.report.weight_coverage == pytest.approx(1 - lost)


def test_each_table_says_why_it_cannot_serve(make, features) -> None:
    tables = {
        0: make(log_frame(2), "other.csv"),
        1: make(beta_frame(12), "beta.csv"),
        2: make(log_frame(12).rename(columns=lambda c: f"x{c}"), "strange.csv"),
    }
    found = look(tables, PATIENT, features)
    assert "not among the 2 samples" in found[0].problem
    assert found[0].coverage is None
    assert not found[0].rows.has_patient
    assert "has no methylation branch (it takes: rna)" in found[1].obstacle
    assert "none of the model's" in found[2].obstacle


def test_without_a_patient_there_are_rows_only(make, features) -> None:
    found = look({0: make(log_frame(12))}, "", features)[0]
    assert (found.sample, found.problem, found.coverage) == ("", "", None)
    assert len(found.rows.rows) == 8


def test_a_model_that_cannot_be_loaded_is_told_at_each_table(make, tmp_path) -> None:
    found = look({0: make(log_frame(12))}, PATIENT, ModelFeatures(), str(tmp_path))
    assert str(tmp_path) in found[0].obstacle
    assert found[0].sample == PATIENT


def test_a_table_is_matched_once(make, features, monkeypatch) -> None:
    from napari_mmsubtype.omics import alignment

    calls = []
    match = alignment.aligner
    monkeypatch.setattr(
        alignment, "aligner", lambda *args: calls.append(1) or match(*args)
    )
    table = make(log_frame(12))
    look({0: table}, PATIENT, features)
    look({0: table}, "TCGA-E2-A003", features)
    assert calls == [1]
    look({}, PATIENT, features)
    look({0: table}, PATIENT, features)
    assert calls == [1, 1]


def test_the_corner_of_a_table(make) -> None:
    frame = log_frame(12)
    frame.iloc[0, 1] = np.nan
    rows = first_rows(make(frame), 10)
    assert rows.columns == tuple(frame.columns[:8])
    assert [name for name, _ in rows.rows] == [*frame.index[[10]], *frame.index[:7]]
    assert rows.rows[0][1][0] == f"{np.float32(frame.iloc[10, 0]):.4g}"
    assert rows.rows[1][1][1] == "–"
    first = first_rows(make(frame, "again.csv"), 0)
    assert [name for name, _ in first.rows] == list(frame.index[:8])


def test_the_corner_of_a_clinical_table(make) -> None:
    frame = clinical_frame(3)
    rows = first_rows(make(frame, "clinical.csv"))
    assert rows.columns == ("patient_id", "age", "sex", "stage")
    assert rows.rows[2][1] == (frame.index[2], *map(str, frame.iloc[2]))


def test_clinical_variables_have_no_weights(make) -> None:
    features = ModelFeatures()
    table = make(clinical_frame(12), "clinical.csv")
    found = look({0: table}, PATIENT, features, "demo")[0]
    missing = found.coverage.report.missing
    assert found.coverage.heaviest == tuple((name, 0.0) for name in missing)


def test_an_obstacle_is_either_the_patient_or_the_model() -> None:
    assert Lookup().obstacle == ""
    assert Lookup(problem="a").obstacle == "a"
    assert Lookup(coverage=Coverage(problem="b")).obstacle == "b"
