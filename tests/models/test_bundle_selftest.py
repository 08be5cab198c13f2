from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.models.bundle_selftest import (
    TOLERANCE,
    make_selftest,
    run_selftest,
    selftest_error,
)
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.registry import create_encoder


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(0)
    encoder = create_encoder("demo-cnn", input_size=64)
    omics = {"rna": 5, "clinical": 3}
    fusion = create_fusion("evidence", dim=96, classes=3, omics=omics).eval()
    return encoder, fusion


def test_it_records_patches_tables_and_logits(model):
    tensors = make_selftest(*model)
    assert tensors["patches"].dtype == torch.uint8
    assert tensors["patches"].shape == (4, 64, 64, 3)
    assert tensors["omics.rna"].shape == (5,)
    assert tensors["omics.clinical"].shape == (3,)
    # All together, then image, rna and clinical alone.
    assert tensors["logits"].shape == (4, 3)
    assert len({tuple(row) for row in tensors["logits"].tolist()}) == 4


def test_it_is_the_same_every_time(model):
    first, second = make_selftest(*model), make_selftest(*model)
    assert all(torch.equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize(
    "parameter",
    ["0.body.0.halve.0.weight", "1.query", "1.missing.rna", "1.heads.clinical.weight"],
)
def test_a_change_anywhere_in_the_model_shows(model, parameter):
    tensors = make_selftest(*model)
    part, name = parameter.split(".", 1)
    weight = dict(model[int(part)].named_parameters())[name]
    before = weight.detach().clone()
    with torch.no_grad():
        weight.mul_(-1.5)
    error = selftest_error(run_selftest(*model, tensors), tensors["logits"])
    with torch.no_grad():
        weight.copy_(before)
    assert error > TOLERANCE
    assert selftest_error(run_selftest(*model, tensors), tensors["logits"]) == 0.0


@pytest.mark.parametrize(
    ("found", "expected", "error"),
    [
        ([[1.0, 0.5]], [[1.0, 0.4]], 0.1),
        ([[110.0]], [[100.0]], 0.1),
        ([[1.0]], [[1.0, 2.0]], float("inf")),
        ([[float("nan")]], [[1.0]], float("inf")),
        ([[float("inf")]], [[float("inf")]], float("inf")),
    ],
)
def test_error_is_absolute_below_one_and_relative_above(found, expected, error):
    value = selftest_error(torch.tensor(found), torch.tensor(expected))
    assert value == pytest.approx(error)
