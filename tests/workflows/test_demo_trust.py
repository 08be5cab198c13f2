from __future__ import annotations

import numpy as np
import pytest

from builders.training import make_bags, make_fusion
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.trust import UNLIKE
from napari_mmsubtype.evaluation.guard import fit_guard
from napari_mmsubtype.evaluation.scaling import fit_scaling
from napari_mmsubtype.omics.synthetic import synthetic_cohort
from napari_mmsubtype.training.bags import BagSet
from napari_mmsubtype.training.fusion_trainer import predict_logits
from napari_mmsubtype.workflows.demo_images import CohortImages
from napari_mmsubtype.workflows.demo_patients import cohort_tables, fit_tables
from napari_mmsubtype.workflows.demo_trust import (
    changed_patients,
    describe_trust,
    fit_calibration,
    judge_all,
    score_trust,
    subset_logits,
)

KEYS = ["image+rna", "image", "rna"]
NAMES = {Modality.RNA: list("abcd")}


@pytest.fixture(scope="module")
def model():
    return make_fusion().eval()


def test_scalings_come_from_validation_and_sets_from_fresh_patients(model) -> None:
    validation, fresh = make_bags(60, seed=1), make_bags(50, seed=2)
    found = fit_calibration(model, validation, fresh)
    assert list(found.conformal) == KEYS
    logits = subset_logits(model, validation)
    whole = fit_scaling(validation.labels, logits["image+rna"])
    assert found.scaling_of("image+rna") == whole
    for key in ("image", "rna"):
        own = fit_scaling(validation.labels, logits[key], around=whole)
        assert found.scaling_of(key) == own
    counts = tuple(np.bincount(fresh.labels).tolist())
    assert found.conformal["rna"].counts == counts
    # Another calibration cohort leaves the scalings alone.
    other = fit_calibration(model, validation, make_bags(50, seed=3))
    assert (other.temperatures, other.offsets) == (found.temperatures, found.offsets)
    assert other.conformal != found.conformal


def assert_close(found, expected) -> None:
    """Compare scalings of logits that other cases went through the model with."""
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-6)
    assert found.offset == pytest.approx(expected.offset, rel=1e-6, abs=1e-6)


def test_a_subset_is_fitted_to_those_who_have_all_of_it(model) -> None:
    validation, fresh = make_bags(60, seed=1), make_bags(50, seed=2)
    complete = fit_calibration(model, validation.take(range(40)), fresh)
    validation.present[40:50, 0] = False
    validation.labels[50:] = -1
    fresh.present[:, 1] = False
    found = fit_calibration(model, validation, fresh)
    assert_close(found.scaling_of("image+rna"), complete.scaling_of("image+rna"))
    assert_close(found.scaling_of("image"), complete.scaling_of("image"))
    rna = predict_logits(model, validation.restricted([Modality.RNA]).take(range(50)))
    whole = found.scaling_of("image+rna")
    own = fit_scaling(validation.labels[:50], rna, around=whole)
    assert_close(found.scaling_of("rna"), own)
    # No fresh patient has RNA: no promise is made with it.
    assert list(found.conformal) == ["image"]


def with_rna(cases: BagSet, rna: np.ndarray) -> BagSet:
    return BagSet(
        cases.patients,
        cases.labels,
        cases.bags,
        {Modality.RNA: rna.astype(np.float32)},
        cases.present,
        cases.modalities,
    )


def test_columns_of_other_heads_are_left_out(model) -> None:
    validation, fresh = make_bags(60, seed=1), make_bags(50, seed=2)
    wide = make_fusion(classes=5).eval()
    found = fit_calibration(wide, validation, fresh, 2)
    logits = predict_logits(wide, validation)
    assert found.scaling_of("image+rna") == fit_scaling(
        validation.labels, logits[:, :2]
    )
    assert len(found.conformal["rna"].counts) == 2


def test_scores_tell_kept_promises_and_caught_changes(model) -> None:
    train, validation, fresh, test = (make_bags(60, seed=s) for s in (4, 5, 6, 7))
    calibration = fit_calibration(model, validation, fresh)
    guard = fit_guard(train.bags, train.omics)
    broken = with_rna(test, 8 + 5 * test.omics[Modality.RNA])
    scores = score_trust(
        model,
        calibration,
        guard,
        test=test,
        fresh=fresh,
        changed={"another unit": broken, "nothing": test},
        names=NAMES,
    )
    share, auc = scores.caught["another unit"]
    assert share > 0.95
    assert auc > 0.95
    assert scores.caught["nothing"] == (
        pytest.approx(
            np.mean([r.verdict == UNLIKE for r in judge_all(guard, test, NAMES)])
        ),
        0.5,
    )
    assert set(scores.typical) == {"image", "rna"}
    assert (scores.patients, scores.ece_patients) == (60, 120)
    assert list(scores.ece) == KEYS
    inside = calibration.conformal["image+rna"].sets(
        calibration.probabilities("image+rna", predict_logits(model, test)), 0.9
    )
    hit = inside[np.arange(60), test.labels].mean()
    assert scores.covered[0.9] == pytest.approx((hit, inside.sum(axis=1).mean()))
    assert 0.99 not in scores.covered  # too few patients to promise it
    facts = describe_trust(scores)
    assert "100.0 % of 60 such patients" in facts["guard, another unit"] or share < 1
    assert f"{100 * hit:.1f} % of 60" in facts["prediction sets, 90 % promised"]


def test_missing_modalities_are_not_judged(model) -> None:
    train, test = make_bags(40, seed=8), make_bags(3, seed=9)
    guard = fit_guard(train.bags, train.omics)
    for name, kept in (("rna", Modality.RNA), ("image", Modality.IMAGE)):
        reports = judge_all(guard, test.restricted([kept]), NAMES)
        assert all([f.modality for f in r.findings] == [name] for r in reports)
    assert list(subset_logits(model, test)) == KEYS


def test_each_change_touches_one_kind_of_data() -> None:
    cohort = synthetic_cohort(12, seed=3)
    specs = fit_tables(cohort, range(12))
    rng = np.random.default_rng(0)
    images = CohortImages(
        bags={i: rng.normal(size=(4, 6)) for i in range(12)},
        stained={i: rng.normal(size=(4, 6)) for i in (2, 5)},
    )
    found = changed_patients(cohort, images, specs, (2, 5))
    stained = found.pop("slides of another stain")
    assert stained.bags[1] is images.stained[5]
    usual = {m: stained.omics[m] for m in cohort_tables(cohort)}
    for kind, cases in found.items():
        assert cases.bags[0] is images.bags[2]
        moved = [m for m in usual if not np.array_equal(cases.omics[m], usual[m])]
        assert moved == [
            Modality.METHYLATION if "methylation" in kind else Modality.RNA
        ]
    mixed = found["RNA values under the names of other genes"]
    assert not np.array_equal(mixed.omics[Modality.RNA], usual[Modality.RNA])
