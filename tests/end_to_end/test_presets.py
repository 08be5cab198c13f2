"""Every preset, made small, goes from settings to the call of a patient."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from napari_mmsubtype.core.cases import Modality, ordered, subset_key, subsets
from napari_mmsubtype.evaluation.guard import fit_guard
from napari_mmsubtype.evaluation.oddness import MIN_PATIENTS
from napari_mmsubtype.models.bundle import load_bundle, save_bundle
from napari_mmsubtype.models.training_facts import TrainingFacts
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.omics.table_transform import transform_table
from napari_mmsubtype.training.bags import BagSet
from napari_mmsubtype.training.fusion_trainer import fit_fusion, predict_logits
from napari_mmsubtype.training.head_targets import calibrate_heads, center_risks
from napari_mmsubtype.training.preset_build import (
    build_encoder,
    build_fusion,
    build_heads,
    fit_modality_settings,
)
from napari_mmsubtype.training.preset_files import list_presets, load_preset
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.demo_images import encode_cohort
from napari_mmsubtype.workflows.demo_trust import fit_calibration
from napari_mmsubtype.workflows.jobs import run_job

# What a test machine trains in seconds; networks stay of the preset's kind.
SMALL = (
    "patch={size_px: 64, mpp: 2.0, stride_px: 64, min_tissue: 0.3}",
    "encoder.weights=",
    "fusion_training.epochs=3",
    "fusion_training.batch_size=8",
)
ENCODERS = {
    "brca-crossattention": "{name: resnet18}",
    "lung-mmlm": "{name: resnet34}",
    "evidence": "{name: demo-cnn}",
    "resvit-gannet": "{name: resvit, options: {cnn: resnet18, vit_dim: 16, "
    "vit_depth: 4, vit_heads: 2, dim: 24, heads: 2, cell_px: 16}}",
}
OWN = {
    "brca-crossattention": ["fusion.options.width=32"],
    # The synthetic patients smoke no packs.
    "lung-mmlm": ["modalities.clinical.schema="],
}
PATIENTS = 24
SPLIT = np.split(np.arange(PATIENTS), [12, 18])


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def cohort():
    return synthetic_cohort(PATIENTS, seed=4, slide_size=512)


@pytest.fixture(scope="module")
def files(cohort, tmp_path_factory):
    return write_cohort(cohort, tmp_path_factory.mktemp("cohort"))


def make_cases(preset, cohort, encoder, tables, specs) -> BagSet:
    """All patients; classes and the other answers are drawn, nothing is measured."""
    images = run_job(encode_cohort(cohort, encoder, preset.patch))
    rng = np.random.default_rng(0)
    known = {
        "stage": rng.integers(0, 4, PATIENTS).astype(float),
        "risk": np.stack([rng.uniform(1, 60, PATIENTS), np.ones(PATIENTS)], axis=1),
    }
    modalities = ordered({Modality.IMAGE, *specs})
    return BagSet(
        patients=tuple(cohort.patients["patient_id"]),
        labels=np.arange(PATIENTS) % len(preset.classes),
        bags=[images.bags[row] for row in range(PATIENTS)],
        omics={m: transform_table(tables[m], s).X for m, s in specs.items()},
        present=np.ones((PATIENTS, len(modalities)), bool),
        modalities=modalities,
        targets={name: known[name] for name in preset.heads},
    )


@pytest.mark.parametrize("name", sorted(ENCODERS))
def test_from_settings_to_a_call(name, cohort, files, tmp_path):
    own = [f"encoder={ENCODERS[name]}", *OWN.get(name, [])]
    preset = load_preset(name, [*own, *SMALL])
    torch.manual_seed(preset.validation.seeds[0])
    train, choose, fresh = SPLIT
    tables = {m: read_omics(files[m.value], modality=m) for m in preset.modalities}
    specs = {
        m: fit_modality_settings(preset, table, list(table.obs_names[train]))
        for m, table in tables.items()
    }
    encoder = build_encoder(preset)
    cases = make_cases(preset, cohort, encoder, tables, specs)
    heads = build_heads(preset)
    model = build_fusion(preset, dim=encoder.dim, modalities=specs)
    fit = run_job(
        fit_fusion(
            model, cases.take(train), cases.take(choose), preset.fusion_training, heads
        )
    )
    model = fit.model
    heads = center_risks(heads, predict_logits(model, cases.take(train)))
    heads = calibrate_heads(
        heads, predict_logits(model, cases.take(choose)), cases.take(choose)
    )
    folder = save_bundle(
        tmp_path / "bundle",
        name=name,
        version="0.0.1",
        classes=preset.classes,
        encoder=encoder,
        fusion=model,
        patch=preset.patch,
        modalities=specs,
        heads=heads,
        calibration=fit_calibration(
            model, cases.take(choose), cases.take(fresh), heads.classes.size
        ),
        guard=fit_guard(
            [cases.bags[i] for i in train],
            {m: rows[train] for m, rows in cases.omics.items()},
        ),
        info=TrainingFacts(data="Synthetic patients.", synthetic=True),
    )
    bundle = load_bundle(folder)
    assert (bundle.encoder.name, bundle.fusion.name) == (
        preset.encoder.name,
        preset.fusion.name,
    )
    assert "# " + name in bundle.card

    patient = cohort.patients.iloc[fresh[0]]
    result = analyze(
        patient["slide"],
        folder,
        patient=patient["patient_id"] if specs else None,
        **{m.value: files[m.value] for m in specs},
        out=tmp_path / "out",
        device="cpu",
    )
    prediction = result.prediction
    expected = {subset_key(s) for s in subsets(cases.modalities)}
    assert set(prediction.subsets) == expected
    for call in prediction.subsets.values():
        assert len(call.probabilities) == len(preset.classes)
        assert sum(call.probabilities) == pytest.approx(1)
    assert {report.modality for report in prediction.modalities if report.used} == {
        str(m) for m in specs
    }
    assert set(prediction.answers) == set(preset.heads)
    # So few patients may be too few to promise a set or to judge; then a reason stands.
    sets, guard = prediction.conformal, prediction.guard
    assert bool(sets.classes) != bool(sets.problem)
    assert set(sets.classes) <= {subtype.name for subtype in preset.classes}
    assert len(train) < MIN_PATIENTS
    assert guard.findings == ()
    assert "no reference of its training patients" in guard.problem
    assert result.exact == model.exact_cam
    assert np.isfinite(result.evidence_map(0)).all()
    # What the store holds is what the training code computes for this patient.
    row = predict_logits(model, cases.take(fresh[:1]))[0, : len(preset.classes)]
    np.testing.assert_allclose(prediction.call.logits, row, rtol=5e-3, atol=5e-3)


def test_no_preset_is_left_out():
    assert sorted(ENCODERS) == list_presets()
