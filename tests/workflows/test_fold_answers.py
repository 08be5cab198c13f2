"""Answers become rows with the columns that are documented."""

import numpy as np
import pandas as pd
import torch

from builders.training import make_answers, make_heads
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.conformal import fit_conformal
from napari_mmsubtype.evaluation.decision import DecisionRule
from napari_mmsubtype.evaluation.survival_brier import FollowUp
from napari_mmsubtype.workflows.fold_answers import (
    COLUMNS,
    answer_frame,
    class_columns,
    complete,
)
from napari_mmsubtype.workflows.fold_survival import SurvivalScale

BOTH = (Modality.IMAGE, Modality.RNA)


def scale_of(cases, name, limit):
    time, event = cases.targets[name].astype(float).T
    known = np.isfinite(time)
    training = FollowUp(time[known], event[known] > 0)
    risk = np.zeros(int(known.sum()))
    return SurvivalScale(limit, training, risk, np.linspace(0, 1, 5))


def test_every_head_has_its_rows():
    cases, heads = make_answers(10), make_heads()
    logits = np.random.default_rng(0).normal(size=(10, heads.size))
    frame = answer_frame(
        cases,
        logits,
        heads,
        Calibration(2.0),
        DecisionRule((1.0, 4.0)),
        subset=BOTH,
        scales={
            "risk": scale_of(cases, "risk", 0.0),
            "survival": scale_of(cases, "survival", -1.5),
        },
        main=True,
    )
    assert frame.groupby("head", sort=False).size().to_dict() == {
        "class": 10,
        "stage": 10,
        "risk": 10,
        "survival": 10,
    }
    own = frame[frame["head"] == "class"]
    expected = torch.tensor(logits[:, :2] / 2.0).softmax(dim=1).numpy()
    np.testing.assert_allclose(own[["p0", "p1"]].to_numpy(), expected)
    np.testing.assert_array_equal(own["called"], (own["p1"] > 0.2).astype(int))
    risk = frame[frame["head"] == "risk"]
    np.testing.assert_array_equal(risk["high_risk"], (risk["risk"] > 0).astype(float))
    np.testing.assert_allclose(risk["time"], cases.targets["risk"][:, 0])
    assert risk["brier"].between(0, 1).all()
    assert frame.loc[frame["head"] == "class", "brier"].isna().all()
    assert set(frame["present"]) == {"image+rna"}


def test_sets_hold_the_truth_or_do_not():
    labels = np.array([0, 1, 1, -1])
    logits = np.array([[9.0, 0.0], [9.0, 0.0], [0.0, 9.0], [0.0, 9.0]])
    sure = np.tile([[0.999, 0.001], [0.001, 0.999]], (30, 1))
    rule = fit_conformal(np.tile([0, 1], 30), sure)
    plain = DecisionRule((1.0, 1.0))
    known = Calibration(conformal={"rna": rule})
    found = class_columns(labels, logits, known, "rna", plain)
    assert found["set_size"].tolist() == [1, 1, 1, 1]
    np.testing.assert_array_equal(found["in_set"], [1, 0, 1, np.nan])
    none = class_columns(labels, logits, Calibration(), "rna", plain)
    assert np.isnan(none["set_size"]).all()


def test_a_frame_is_completed_in_order_and_type():
    frame = pd.DataFrame({"model": ["a"], "head": ["class"], "subset": ["rna"],
                          "main": [True], "present": ["rna"], "repeat": [0],
                          "fold": [1], "patient_id": ["p"], "site": [np.nan],
                          "y": [1], "p0": [0.3], "p1": [0.7],
                          "predicted": [1], "called": [0]})  # fmt: skip
    whole = complete(frame, 3)
    expected = [*COLUMNS[:10], "p0", "p1", "p2", *COLUMNS[10:]]
    assert list(whole.columns) == expected
    assert whole["site"].tolist() == [""]
    assert whole["y"].dtype == whole["called"].dtype == np.int64
    assert whole["risk"].isna().all()
    assert whole["main"].dtype == bool
