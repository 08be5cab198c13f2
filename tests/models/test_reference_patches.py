import numpy as np
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.core.subtypes import UNKNOWN_CLASS
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.reference_patches import (
    CLASS,
    EMBEDDING,
    pack_reference,
    read_reference,
)


def test_a_bundle_carries_training_patches(tmp_path):
    rows = np.random.default_rng(0).normal(size=(12, 96))
    classes = np.array([0, 1] * 6)
    folder = tiny_bundle(tmp_path / "b", reference=pack_reference(rows, classes))
    bundle = load_bundle(folder)
    found, known = read_reference(bundle.reference, dim=96, classes=2)
    assert found.dtype == np.float16
    np.testing.assert_allclose(found, rows, atol=1e-2)
    np.testing.assert_array_equal(known, classes)


def test_classes_may_be_unknown_and_patches_missing():
    _, known = read_reference(pack_reference(np.zeros((3, 4))), dim=4, classes=2)
    assert known.tolist() == [UNKNOWN_CLASS] * 3
    assert read_reference({}, dim=4, classes=2) is None


@pytest.mark.parametrize(
    "change",
    [
        {EMBEDDING: np.zeros((3, 5), np.float16)},
        {EMBEDDING: np.zeros(3, np.float16)},
        {EMBEDDING: np.zeros((3, 4), np.int64)},
        {CLASS: np.zeros(2, np.uint8)},
        {CLASS: np.full(3, 2, np.uint8)},
    ],
)
def test_arrays_that_do_not_fit_are_refused(change):
    packed = pack_reference(np.zeros((3, 4)), np.zeros(3)) | change
    with pytest.raises(BundleError, match=r"expected \(k, 4\) numbers"):
        read_reference(packed, dim=4, classes=2)
