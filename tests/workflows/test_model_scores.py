"""Scores are those of independent implementations."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score, cohen_kappa_score, roc_auc_score

from napari_mmsubtype.evaluation.metrics import Estimate
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.survival_heads import CoxHead
from napari_mmsubtype.workflows.fold_answers import complete
from napari_mmsubtype.workflows.model_scores import (
    class_rows,
    estimate_record,
    fold_scores,
    head_record,
    score_classes,
    score_heads,
    score_subsets,
)

FEW = {"resamples": 20, "seed": 0}


def frame_of(n=60, seed=0, **columns):
    rng = np.random.default_rng(seed)
    truth = np.arange(n) % 2
    chance = 1 / (1 + np.exp(-rng.normal(2.0 * truth - 1)))
    frame = pd.DataFrame(
        {
            "model": "evidence",
            "head": "class",
            "subset": "image+rna",
            "main": True,
            "present": "image+rna",
            "repeat": 0,
            "fold": np.arange(n) % 3,
            "patient_id": [f"p{i}" for i in range(n)],
            "site": ["A", "B", "C", ""] * (n // 4),
            "y": truth,
            "p0": 1 - chance,
            "p1": chance,
            "predicted": (chance > 0.5).astype(int),
            "called": (chance > 0.4).astype(int),
        }
    )
    return complete(frame.assign(**columns), 4)


def test_scores_of_classes_agree_with_scikit_learn():
    frame = frame_of()
    found = score_classes(frame, ("a", "b"), **FEW)
    metrics = found["metrics"]
    assert metrics["roc_auc"]["value"] == pytest.approx(
        roc_auc_score(frame["y"], frame["p1"])
    )
    expected = balanced_accuracy_score(frame["y"], frame["predicted"])
    assert metrics["balanced_accuracy"]["value"] == pytest.approx(expected)
    found_at = balanced_accuracy_score(frame["y"], frame["called"])
    assert metrics["balanced_accuracy_at_threshold"]["value"] == pytest.approx(found_at)
    assert found_at != expected
    assert metrics["conformal_coverage"] is None
    assert found["patients"] == sum(map(sum, found["confusion"])) == 60
    assert [row["name"] for row in found["per_class"]] == ["a", "b"]
    assert {row["site"] for row in found["per_site"]} == {"A", "B", "C", ""}
    assert all(
        row["accuracy"]["low"] < row["accuracy"]["value"] for row in found["per_site"]
    )
    plain = fold_scores(class_rows(frame), 2)
    assert plain["balanced_accuracy"] == pytest.approx(expected)
    assert fold_scores(frame[frame["y"] == 1], 2)["roc_auc"] is None


def test_the_matrix_counts_patients_who_have_all_of_a_subset():
    whole = frame_of()
    alone = frame_of(subset="rna", main=False, present="rna")
    lacking = frame_of(present="rna").iloc[:10]
    found = score_subsets(pd.concat([whole, alone, lacking]), ("a", "b"), **FEW)
    assert {k: v["patients"] for k, v in found.items()} == {"image+rna": 60, "rna": 60}
    few = score_subsets(frame_of().iloc[:9], ("a", "b"), **FEW)
    assert few["image+rna"] == {
        "patients": 9,
        "roc_auc": None,
        "balanced_accuracy": None,
    }
    never = score_subsets(frame_of(present="rna"), ("a", "b"), **FEW)
    assert never == {
        "image+rna": {"patients": 0, "roc_auc": None, "balanced_accuracy": None}
    }


def test_stages_and_survival_are_scored_by_their_own_measures():
    rng = np.random.default_rng(0)
    chances = rng.dirichlet(np.ones(4), 60)
    level = rng.integers(0, 4, 60)
    columns = {f"p{c}": chances[:, c] for c in range(4)}
    stage = frame_of(head="stage", y=level, **columns)
    time = rng.uniform(1, 50, 60)
    part = rng.uniform(0, 0.5, 60)
    death = frame_of(head="death", y=-1, time=time, event=1.0, risk=-time,
                     high_risk=(time < 25).astype(float), brier=part,
                     brier_reference=0.25)  # fmt: skip
    heads = Heads(
        {
            "class": ClassHead(("a", "b")),
            "stage": OrdinalHead(("I", "II", "III", "IV")),
            "death": CoxHead(),
            "unasked": CoxHead(),
        }
    )
    found = score_heads(pd.concat([stage, death]), heads, **FEW)
    assert set(found) == {"stage", "death"}
    kappa = cohen_kappa_score(level, chances.argmax(axis=1), weights="quadratic")
    assert found["stage"]["quadratic_kappa"]["value"] == pytest.approx(kappa)
    late = roc_auc_score(level >= 2, chances[:, 2:].sum(axis=1))
    assert found["stage"]["early_late_roc_auc"]["value"] == pytest.approx(late)
    assert found["death"]["c_index"]["value"] == 1.0
    assert found["death"]["logrank_p"] < 1e-6
    brier = found["death"]["integrated_brier"]
    assert brier["value"] == pytest.approx(part.mean())
    assert brier["low"] < brier["value"] < brier["high"]
    assert found["death"]["integrated_brier_reference"]["value"] == 0.25


def test_nothing_known_gives_nothing():
    assert score_classes(frame_of(y=-1), ("a", "b"), **FEW)["metrics"] == {}
    death = frame_of(head="death", y=-1)
    heads = Heads({"class": ClassHead(("a", "b")), "death": CoxHead()})
    names = ("c_index", "integrated_brier", "integrated_brier_reference", "logrank_p")
    assert score_heads(death, heads, **FEW) == {"death": dict.fromkeys(names)}


def test_records_are_plain():
    assert estimate_record(None) is None
    assert estimate_record(Estimate(0.5, 0.4, 0.6)) == {
        "value": 0.5,
        "low": 0.4,
        "high": 0.6,
        "level": 0.95,
    }
    assert head_record(OrdinalHead(("I", "II"))) == {
        "kind": "ordinal",
        "names": ["I", "II"],
    }
    assert head_record(CoxHead()) == {"kind": "cox", "names": []}
