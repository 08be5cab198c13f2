"""The demo model on synthetic patients that it never saw: is what was planted found?"""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from napari_mmsubtype import analyze
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.omics.synthetic import synthetic_cohort, write_cohort
from napari_mmsubtype.slides.synthetic import PHENOTYPES, phenotype_mask

SEED = 977
BASAL = [PHENOTYPES["basal"], PHENOTYPES["necrosis"]]


@pytest.fixture(scope="module")
def cohort():
    return synthetic_cohort(40, seed=SEED, slide_size=2048)


@pytest.fixture(scope="module")
def results(cohort, tmp_path_factory):
    """Four patients whose tumours hold both phenotypes, analysed with all tables."""
    folder = tmp_path_factory.mktemp("planted")
    tables = {str(k): v for k, v in write_cohort(cohort, folder).items()}
    mixed = cohort.patients[cohort.patients["basal"].between(0.3, 0.7)].head(4)
    return {
        patient.patient_id: analyze(
            patient.slide,
            patient=patient.patient_id,
            out=folder,
            device="cpu",
            **{m.value: tables[m] for m in Modality if m in tables},
        )
        for patient in mixed.itertuples()
    }


def planted_share(result):
    """Give the share of basal-like tumour in each patch, from the ground truth."""
    truth = np.isin(phenotype_mask(result.slide_path, 0), BASAL)
    size = round(result.grid.extent[0])
    return np.array(
        [truth[y : y + size, x : x + size].mean() for y, x in result.grid.origin]
    )


def test_the_evidence_finds_the_planted_region(results):
    found, planted = [], []
    for result in results.values():
        evidence = result.patch_evidence
        found.append((evidence[:, 1] - evidence[:, 0]) * len(evidence))
        planted.append(planted_share(result) > 0.5)
    area = roc_auc_score(np.concatenate(planted), np.concatenate(found))
    assert area > 0.95


def test_evidence_adds_up_to_the_image_logits(results):
    for result in results.values():
        calls = result.prediction.subsets
        whole = np.array(result.prediction.call.logits)
        without = np.array(calls["rna+methylation+clinical"].logits)
        stitched = [result.evidence_map(c).sum(dtype=np.float64) for c in (0, 1)]
        np.testing.assert_allclose(stitched, whole - without, rtol=1e-4, atol=1e-4)


def test_the_fused_call_is_right_where_it_is_clear(results, cohort):
    patients = cohort.patients.set_index("patient_id")
    right = [
        result.prediction.label == result.classes[patients.loc[name, "label"]].name
        for name, result in results.items()
    ]
    assert sum(right) >= 3


def test_blended_overlapping_patches_find_the_region_pixel_by_pixel_and_add_up(
    cohort, tmp_path
):
    mixed = cohort.patients[cohort.patients["basal"].between(0.3, 0.7)].head(2)
    found, planted = [], []
    for patient in mixed.itertuples():
        result = analyze(patient.slide, stride_px=64, out=tmp_path, device="cpu")
        assert 2 * result.grid.spec.stride_px == result.grid.spec.size_px
        call = result.prediction
        image = np.subtract(call.call.logits, call.bias)
        stitched = [result.evidence_map(c).sum(dtype=np.float64) for c in (0, 1)]
        np.testing.assert_allclose(stitched, image, rtol=1e-4, atol=1e-4)
        canvas = result.evidence_map(1, against_others=True)
        side = round(result.map_pixel_size.y / result.pixel_size.y)
        truth = np.isin(phenotype_mask(patient.slide, 0), BASAL)
        rows, cols = (n // side for n in truth.shape)
        blocks = truth[: rows * side, : cols * side].reshape(rows, side, cols, side)
        share = blocks.mean(axis=(1, 3))
        canvas = canvas[:rows, :cols]
        clear = (canvas != 0) & ((share > 0.9) | (share < 0.1))
        found.append(canvas[clear] * len(result.grid))
        planted.append(share[clear] > 0.5)
    area = roc_auc_score(np.concatenate(planted), np.concatenate(found))
    assert area > 0.95
