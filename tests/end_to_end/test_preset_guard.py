"""A bundle of the evidence preset knows whom it was trained on and says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
from scipy.stats import betabinom

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.trust import TYPICAL, UNLIKE
from napari_mmsubtype.evaluation.guard import fit_guard
from napari_mmsubtype.models.bundle import load_bundle, save_bundle
from napari_mmsubtype.models.training_facts import TrainingFacts
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort
from napari_mmsubtype.omics.table import read_omics
from napari_mmsubtype.omics.table_transform import transform_table
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.training.bags import BagSet
from napari_mmsubtype.training.fusion_trainer import fit_fusion
from napari_mmsubtype.training.preset_build import build_fusion, fit_modality_settings
from napari_mmsubtype.training.preset_files import load_preset
from napari_mmsubtype.workflows.analyze import analyze
from napari_mmsubtype.workflows.demo_images import encode_cohort, other_stain
from napari_mmsubtype.workflows.demo_trust import fit_calibration
from napari_mmsubtype.workflows.jobs import run_job

PATIENTS, TRAIN, CHOOSE, FRESH = 180, range(110), range(110, 140), range(140, 180)
SLIDES = [*TRAIN[:40], *CHOOSE[:10], *FRESH[:20]]
"""Whose slides are drawn and embedded; of the others there are tables alone."""
MODALITIES = (Modality.IMAGE, Modality.RNA, Modality.METHYLATION, Modality.CLINICAL)


@pytest.fixture(scope="module")
def cohort():
    return synthetic_cohort(PATIENTS, seed=9, slide_size=512)


@pytest.fixture(scope="module")
def files(cohort, tmp_path_factory):
    return write_cohort(cohort, tmp_path_factory.mktemp("cohort"))


@pytest.fixture(scope="module", autouse=True)
def _one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def trained():
    """An encoder that learned what synthetic patches show, and the patches it takes."""
    demo = load_bundle("demo")
    return demo.encoder, demo.patch


@pytest.fixture(scope="module")
def images(cohort, trained):
    """Slides as embeddings, those of the fresh patients also in another stain."""
    encoder, patch = trained
    some = replace(cohort, patients=cohort.patients.iloc[SLIDES])
    fresh = [SLIDES.index(row) for row in FRESH[:20]]
    found = run_job(encode_cohort(some, encoder, patch, held_out=fresh))
    return {
        "own": {row: found.bags[i] for i, row in enumerate(SLIDES)},
        "foreign": {SLIDES[i]: bag for i, bag in found.stained.items()},
    }


@pytest.fixture(scope="module")
def bundle(cohort, files, trained, images, tmp_path_factory):
    """Trained on 110 synthetic patients, 40 of whom have a slide."""
    encoder, patch = trained
    preset = load_preset(
        "evidence",
        ["encoder={name: demo-cnn}", "encoder.weights=", "fusion_training.epochs=2"],
    )
    torch.manual_seed(0)
    tables = {m: read_omics(files[m.value], modality=m) for m in preset.modalities}
    names = list(cohort.patients["patient_id"])
    specs = {
        m: fit_modality_settings(preset, table, [names[row] for row in TRAIN])
        for m, table in tables.items()
    }
    present = np.ones((PATIENTS, len(MODALITIES)), bool)
    present[:, 0] = [row in images["own"] for row in range(PATIENTS)]
    nothing = np.zeros((0, encoder.dim), np.float16)
    cases = BagSet(
        patients=tuple(names),
        labels=np.arange(PATIENTS) % len(preset.classes),
        bags=[images["own"].get(row, nothing) for row in range(PATIENTS)],
        omics={
            m: transform_table(tables[m][names], specs[m]).X.astype(np.float32)
            for m in specs
        },
        present=present,
        modalities=MODALITIES,
    )
    train, choose, fresh = (cases.take(rows) for rows in (TRAIN, CHOOSE, FRESH))
    model = build_fusion(preset, dim=encoder.dim, modalities=specs)
    model = run_job(fit_fusion(model, train, choose, preset.fusion_training)).model
    calibration = fit_calibration(model, choose, fresh)
    guard = fit_guard(train.bags, train.omics, {Modality.IMAGE: train.present[:, 0]})
    folder = save_bundle(
        tmp_path_factory.mktemp("bundle") / "bundle",
        name="evidence",
        version="0.0.1",
        classes=preset.classes,
        encoder=encoder,
        fusion=model,
        patch=patch,
        modalities=specs,
        calibration=calibration,
        guard=guard,
        info=TrainingFacts(data="Synthetic patients.", synthetic=True),
    )
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


def run(folder, cohort, files, patient, out, slide=None):
    row = cohort.patients[cohort.patients["patient_id"] == patient].iloc[0]
    tables = {m: files[m] for m in ("rna", "methylation", "clinical")}
    slide = slide or row["slide"]
    found = analyze(slide, folder, patient=patient, out=out, device="cpu", **tables)
    return found.prediction


def test_an_odd_patient_is_flagged_and_a_typical_one_is_not(
    bundle, cohort, files, tmp_path
):
    folder, calibration, guard = bundle
    names = list(cohort.patients["patient_id"])[FRESH[0] :]
    spec = load_bundle(folder).modalities[Modality.RNA]
    rows = transform_table(read_omics(files["rna"], modality="rna")[names], spec).X
    verdicts = [
        guard.tables[Modality.RNA].judge("rna", row, spec.names).verdict for row in rows
    ]
    assert verdicts.count(TYPICAL) >= 0.8 * len(names)
    patient = names[verdicts.index(TYPICAL)]
    usual = run(folder, cohort, files, patient, tmp_path / "usual")
    usual_findings = {f.modality: f.verdict for f in usual.guard.findings}
    assert usual_findings["rna"] == TYPICAL
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
    for other in ("image", "methylation", "clinical"):
        assert findings[other] == usual_findings[other]


def test_foreign_slides_are_flagged_by_their_embeddings_and_own_ones_are_not(
    bundle, images
):
    _, _, guard = bundle
    own, foreign = (
        [guard.image.judge(images[kind][row]).verdict for row in FRESH[:20]]
        for kind in ("own", "foreign")
    )
    # 2 of the 41 places among and beside the 40 training slides are unusual by chance.
    by_chance = betabinom(20, 2, 39).ppf(0.999)
    assert own.count(TYPICAL) >= 20 - by_chance
    assert own.count(UNLIKE) <= betabinom(20, 1, 40).ppf(0.999)
    # By chance one; the demo's card tells of 84 % with six times as many slides.
    assert foreign.count(UNLIKE) >= 15


def test_a_slide_of_another_stain_is_flagged_in_an_analysis(
    bundle, cohort, files, images, tmp_path
):
    folder, _, guard = bundle
    row = next(
        row
        for row in FRESH[:20]
        if guard.image.judge(images["own"][row]).verdict == TYPICAL
    )
    patient = cohort.patients.iloc[row]
    with open_slide(patient["slide"]) as slide:
        pixels = slide.read_region(0, 0, 0, *slide.levels[0].shape)
        per_cm = 1e4 / slide.require_pixel_size().x
    foreign = tmp_path / "foreign.tiff"
    tifffile.imwrite(
        foreign,
        other_stain(pixels),
        photometric="rgb",
        tile=(256, 256),
        resolution=(per_cm, per_cm),
        resolutionunit="CENTIMETER",
    )
    name = patient["patient_id"]
    own = run(folder, cohort, files, name, tmp_path / "own").guard.findings
    odd = run(folder, cohort, files, name, tmp_path / "odd", foreign).guard.findings
    assert (own[0].modality, own[0].verdict) == ("image", TYPICAL)
    assert (odd[0].modality, odd[0].verdict) == ("image", UNLIKE)
    assert odd[0].reasons
    assert odd[1:] == own[1:]
