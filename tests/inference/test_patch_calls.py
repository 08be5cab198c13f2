import numpy as np
import pytest
import torch

from builders.fusion import CLASSES, DIM, OMICS, make_model
from napari_mmsubtype.core.cases import Modality, subset_key
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.inference.fuse import CaseTensors, fuse
from napari_mmsubtype.inference.patch_calls import patch_calls
from napari_mmsubtype.models.fusion import list_fusions


def make_case(name):
    rng = np.random.default_rng(0)
    tables = {Modality(m): rng.normal(size=g) for m, g in OMICS.items()}
    return CaseTensors(make_model(name), tables)


@pytest.fixture
def embeddings():
    return np.random.default_rng(1).normal(size=(300, DIM)).astype(np.float16)


@pytest.mark.parametrize(
    "name", [name for name in list_fusions() if not name.endswith("_only")]
)
def test_each_is_the_call_from_a_bag_of_that_patch(name, embeddings):
    case = make_case(name)
    record = Calibration(1.5, offset=(0.5, 0.0, -0.5))
    calls = patch_calls(case, embeddings, record)
    assert calls.shape == (300, CLASSES)
    assert calls.dtype == np.float32
    for index in (0, 7, 299):
        single = fuse(case, embeddings[index : index + 1], record).call.probabilities
        np.testing.assert_allclose(calls[index], single, atol=1e-5)
    assert np.ptp(calls, axis=0).max() > 1e-3, "patches differ"


def test_the_temperature_is_that_of_all_modalities_at_hand(embeddings):
    case = make_case("evidence")
    own = {subset_key(case.available): 3.0, "image": 9.0}
    hot = patch_calls(case, embeddings, Calibration(1.5, own))
    np.testing.assert_array_equal(hot, patch_calls(case, embeddings, Calibration(3.0)))


def test_a_model_without_the_image_says_nothing_of_patches(embeddings):
    assert patch_calls(make_case("rna_only"), embeddings, Calibration()) is None


def test_no_gradient_is_kept(embeddings):
    assert torch.is_grad_enabled()
    patch_calls(make_case("cross_attention"), embeddings[:2], Calibration())
    assert torch.is_grad_enabled()
