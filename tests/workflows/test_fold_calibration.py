"""Scalings and prediction sets come from validation patients who have the data."""

from dataclasses import replace

import numpy as np

from builders.training import make_bags
from napari_mmsubtype.core.cases import Modality, subsets
from napari_mmsubtype.evaluation.decision import fit_decision
from napari_mmsubtype.evaluation.scaling import fit_scaling
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.training.fusion_trainer import predict_logits
from napari_mmsubtype.workflows.fold_calibration import LEAST_PATIENTS, calibrate_model

EVERY = subsets((Modality.IMAGE, Modality.RNA))


def model():
    import torch

    torch.manual_seed(0)
    return create_fusion("evidence", dim=6, classes=2, omics={"rna": 4}).eval()


def test_the_whole_set_shares_its_scaling_and_has_sets():
    cases, net = make_bags(40), model()
    found, decision = calibrate_model(net, cases, EVERY, 2)
    chances = found.probabilities("image+rna", predict_logits(net, cases))
    assert decision == fit_decision(cases.labels, chances)
    expected = fit_scaling(cases.labels, predict_logits(net, cases))
    assert np.isclose(found.temperature, expected.temperature, rtol=1e-3)
    np.testing.assert_allclose(found.offset, expected.offset, atol=1e-3)
    assert set(found.conformal) == {"image+rna", "image", "rna"}
    assert sum(found.conformal["image+rna"].counts) == 40
    assert found.conformal_source == "validation"


def test_subsets_that_few_have_get_no_sets_of_their_own():
    cases = make_bags(40)
    present = cases.present.copy()
    present[LEAST_PATIENTS - 1 :, 1] = False
    found, _ = calibrate_model(model(), replace(cases, present=present), EVERY, 2)
    assert set(found.conformal) == {"image+rna", "image"}
    assert "rna" not in found.temperatures
    assert found.scaling_of("rna") == found.scaling_of("image+rna")


def test_patients_without_a_label_do_not_count():
    cases, net = make_bags(40), model()
    labels = cases.labels.copy()
    labels[20:] = -1
    known = calibrate_model(net, cases.take(range(20)), EVERY, 2)
    assert calibrate_model(net, replace(cases, labels=labels), EVERY, 2) == known
