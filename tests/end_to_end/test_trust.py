"""The shipped model says when a patient is unlike those it was trained on."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import betabinom

from napari_mmsubtype.core.cases import OMICS, Modality, subset_key, subsets
from napari_mmsubtype.core.trust import TYPICAL, UNLIKE
from napari_mmsubtype.evaluation.calibration import (
    calibrate,
    expected_calibration_error,
)
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.omics.preprocessing import apply_modality
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort
from napari_mmsubtype.training.bags import BagSet
from napari_mmsubtype.training.fusion_trainer import predict_logits
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.demo_patients import cohort_tables

N = 200


@pytest.fixture(scope="module")
def demo():
    return load_bundle("demo")


@pytest.fixture(scope="module")
def new_patients():
    """Patients of a seed that served for nothing."""
    return synthetic_cohort(N, seed=7700)


def verdicts(demo, modality, frame) -> list[str]:
    spec = demo.modalities[modality]
    guard = demo.guard.tables[modality]
    return [
        guard.judge(modality.value, row, spec.names).verdict
        for row in apply_modality(frame, spec)
    ]


@pytest.fixture(scope="module")
def new_tables(demo):
    """New patients without slides: logits need no encoder."""
    cohort = synthetic_cohort(600, seed=7702)
    omics = {
        m: apply_modality(frame, demo.modalities[m])
        for m, frame in cohort_tables(cohort).items()
    }
    present = np.ones((600, 4), bool)
    present[:, 0] = False
    return BagSet(
        patients=tuple(cohort.patients["patient_id"]),
        labels=cohort.patients["label"].to_numpy(np.int64),
        bags=[np.zeros((0, demo.encoder.dim), np.float32)] * 600,
        omics=omics,
        present=present,
        modalities=tuple(Modality),
    )


def test_every_subset_of_tables_is_honest_on_new_patients(demo, new_tables) -> None:
    own, shared = [], []
    for subset in subsets(OMICS):
        key = subset_key(subset)
        logits = predict_logits(demo.fusion, new_tables.restricted(subset))
        for found, p in (
            (own, demo.calibration.probabilities(key, logits)),
            (shared, calibrate(logits, demo.temperature)),
        ):
            found.append(expected_calibration_error(new_tables.labels, p))
        rule = demo.calibration.conformal[key]
        probabilities = demo.calibration.probabilities(key, logits)
        inside = rule.sets(probabilities, 0.9)
        held = inside[np.arange(600), new_tables.labels]
        for label, n in enumerate(rule.counts):
            mine = new_tables.labels == label
            law = betabinom(mine.sum(), np.ceil((n + 1) * 0.9), (n + 1) * 0.1)
            # The most probable class is always in: more may be covered, never less.
            assert held[mine].sum() > law.mean() - 4 * law.std()
    assert np.mean(own) < 0.8 * np.mean(shared)
    assert max(own) < 0.1


def test_new_patients_pass_at_the_nominal_rate(demo, new_patients) -> None:
    for modality, frame in cohort_tables(new_patients).items():
        found = verdicts(demo, modality, frame)
        n = len(demo.guard.tables[modality].scale.scores)
        # Within four standard deviations of both draws, training and new patients.
        assert found.count(TYPICAL) / N > 1 - 0.05 - 4 * np.sqrt(0.05 / n + 0.05 / N)
        assert found.count(UNLIKE) / N < 0.01 + 4 * np.sqrt(0.01 / n + 0.01 / N)


@pytest.mark.parametrize(
    ("modality", "change", "share"),
    [
        ("rna", lambda x: 2**x - 1, 1.0),
        ("rna", lambda x: x * np.log(2), 0.95),
        ("rna", lambda x: x.iloc[:, ::-1].set_axis(x.columns, axis=1), 0.9),
        ("methylation", lambda x: 1 - x, 0.95),
    ],
    ids=["tpm", "natural logarithm", "other genes", "unmethylated"],
)
def test_wrong_tables_are_caught(demo, new_patients, modality, change, share) -> None:
    for kind, frame in cohort_tables(new_patients).items():
        if kind.value == modality:
            assert verdicts(demo, kind, change(frame)).count(UNLIKE) >= share * N


def test_a_table_of_natural_logarithms_is_told_with_the_call(tmp_path) -> None:
    cohort = synthetic_cohort(3, seed=7701, slide_size=768)
    patient = cohort.patients.iloc[0]
    found = []
    for name, factor in (("log2", 1.0), ("ln", np.log(2))):
        # Values alone do not tell ln(TPM + 1) from log2(TPM + 1).
        told = replace(cohort, rna=factor * cohort.rna)
        tables = write_cohort(told, tmp_path / name)
        result = analyze(
            patient["slide"],
            patient=patient["patient_id"],
            rna=tables["rna"],
            device="cpu",
            out=tmp_path / name,
        )
        found.append(result.prediction)
    right, wrong = found
    first, second = ({f.modality: f for f in p.guard.findings} for p in found)
    assert first["rna"].verdict != UNLIKE
    assert second["rna"].verdict == UNLIKE
    assert second["rna"].below == second["rna"].n
    assert "outside the range of 99 %" in second["rna"].reasons[0]
    assert second["image"] == first["image"]
    assert right.conformal.classes
    assert right.conformal.coverage == 0.9
    assert wrong.guard.verdict == UNLIKE


@pytest.mark.real_data
def test_real_tissue_is_unlike_the_synthetic(real_data, tmp_path) -> None:
    slide = real_data / "slides" / "CMU-1-Small-Region.svs"
    prediction = analyze(slide, out=tmp_path, device="cpu").prediction
    (finding,) = prediction.guard.findings
    assert (finding.verdict, finding.below) == (UNLIKE, finding.n)
    assert len(finding.patches) == 3
