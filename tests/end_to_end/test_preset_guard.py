"""A bundle of the evidence preset knows whom it was trained on and says so."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.trust import TYPICAL, UNLIKE
from napari_mmsubtype.evaluation.guard import fit_guard
from napari_mmsubtype.models.bundle import load_bundle, save_bundle
from napari_mmsubtype.models.training_facts import TrainingFacts
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.omics.table_transform import transform_table
from napari_mmsubtype.training.bags import BagSet
from napari_mmsubtype.training.fusion_trainer import fit_fusion
from napari_mmsubtype.training.preset_build import (
    build_encoder,
    build_fusion,
    fit_modality_settings,
)
from napari_mmsubtype.training.preset_files import load_preset
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.demo_trust import fit_calibration
from napari_mmsubtype.workflows.jobs import run_job

PATIENTS, TRAIN, CHOOSE = 180, slice(0, 110), slice(110, 140)
MODALITIES = (Modality.IMAGE, Modality.RNA, Modality.METHYLATION, Modality.CLINICAL)


@pytest.fixture(scope="module")
def cohort():
    return synthetic_cohort(PATIENTS, seed=9, slide_size=512)


@pytest.fixture(scope="module")
def files(cohort, tmp_path_factory):
    return write_cohort(cohort, tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module")
def bundle(cohort, files, tmp_path_factory):
    """Trained on 110 synthetic patients; their slides are drawn as embeddings alone."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    preset = load_preset(
        "evidence",
        [
            "encoder={name: demo-cnn}",
            "patch={size_px: 64, mpp: 2.0, stride_px: 64, min_tissue: 0.3}",
            "encoder.weights=",
            "fusion_training.epochs=2",
        ],
    )
    torch.manual_seed(0)
    encoder = build_encoder(preset)
    tables = {m: read_omics(files[m.value], modality=m) for m in preset.modalities}
    names = list(cohort.patients["patient_id"])
    specs = {
        m: fit_modality_settings(preset, table, names[TRAIN])
        for m, table in tables.items()
    }
    rng = np.random.default_rng(0)
    cases = BagSet(
        patients=tuple(names),
        labels=np.arange(PATIENTS) % len(preset.classes),
        bags=[rng.normal(size=(8, encoder.dim)) for _ in names],
        omics={
            m: transform_table(tables[m][names], specs[m]).X.astype(np.float32)
            for m in specs
        },
        present=np.ones((PATIENTS, len(MODALITIES)), bool),
        modalities=MODALITIES,
    )
    parts = [cases.take(np.arange(PATIENTS)[rows]) for rows in (TRAIN, CHOOSE)]
    fresh = cases.take(np.arange(140, PATIENTS))
    model = build_fusion(preset, dim=encoder.dim, modalities=specs)
    model = run_job(fit_fusion(model, *parts, preset.fusion_training)).model
    calibration = fit_calibration(model, parts[1], fresh)
    guard = fit_guard([], {m: rows[TRAIN] for m, rows in cases.omics.items()})
    folder = save_bundle(
        tmp_path_factory.mktemp("bundle") / "bundle",
        name="evidence",
        version="0.0.1",
        classes=preset.classes,
        encoder=encoder,
        fusion=model,
        patch=preset.patch,
        modalities=specs,
        calibration=calibration,
        guard=guard,
        info=TrainingFacts(data="Synthetic patients.", synthetic=True),
    )
    torch.set_num_threads(threads)
    return folder, calibration, guard


def test_trust_comes_back_from_the_bundle_as_it_was_written(bundle):
    folder, calibration, guard = bundle
    again = load_bundle(folder)
    assert again.calibration == calibration
    assert len(again.calibration.conformal) == 15
    assert len(again.calibration.offsets) == 14
    written, read = guard.to_arrays(), again.guard.to_arrays()
    assert written.keys() == read.keys()
    assert all(np.array_equal(written[name], read[name]) for name in written)
    assert "Guard: says when a patient is unlike the training patients" in again.card
    assert "classes shifted by" in again.card


def run(folder, cohort, files, patient, out):
    row = cohort.patients[cohort.patients["patient_id"] == patient].iloc[0]
    tables = {m: files[m] for m in ("rna", "methylation", "clinical")}
    found = analyze(
        row["slide"], folder, patient=patient, out=out, device="cpu", **tables
    )
    return found.prediction


def test_an_odd_patient_is_flagged_and_a_typical_one_is_not(
    bundle, cohort, files, tmp_path
):
    folder, calibration, guard = bundle
    names = list(cohort.patients["patient_id"])[140:]
    spec = load_bundle(folder).modalities[Modality.RNA]
    rows = transform_table(read_omics(files["rna"], modality="rna")[names], spec).X
    verdicts = [
        guard.tables[Modality.RNA].judge("rna", row, spec.names).verdict for row in rows
    ]
    assert verdicts.count(TYPICAL) >= 0.8 * len(names)
    patient = names[verdicts.index(TYPICAL)]
    usual = run(folder, cohort, files, patient, tmp_path / "usual")
    findings = {f.modality: f.verdict for f in usual.guard.findings}
    assert findings["rna"] == TYPICAL
    assert usual.call.probabilities == pytest.approx(
        calibration.probabilities("image+rna+methylation+clinical", usual.call.logits)
    )
    assert usual.conformal.classes
    # The same patient, whose genes' values are under the names of other genes.
    swapped = pd.read_csv(files["rna"], index_col=0)
    by_patient = patient in swapped.index
    row = swapped.loc[patient] if by_patient else swapped[patient]
    mixed = np.random.default_rng(1).permutation(row.to_numpy())
    if by_patient:
        swapped.loc[patient] = mixed
    else:
        swapped[patient] = mixed
    wrong = dict(files, rna=tmp_path / "swapped.csv")
    swapped.to_csv(wrong["rna"])
    odd = run(folder, cohort, wrong, patient, tmp_path / "odd")
    findings = {f.modality: f.verdict for f in odd.guard.findings}
    assert findings["rna"] == UNLIKE
    assert odd.guard.verdict == UNLIKE
    assert findings["methylation"] == usual.guard.findings[1].verdict
