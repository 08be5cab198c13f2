import subprocess
import sys

import numpy as np
import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.core.subtypes import UNKNOWN_CLASS
from napari_mmsubtype.errors import (
    BundleError,
    BundleIntegrityError,
    ConfigurationError,
)
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.reference_patches import (
    CLASS,
    EMBEDDING,
    load_reference,
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


def test_the_patches_of_a_bundle_are_read_without_its_networks(tmp_path):
    rows = np.random.default_rng(0).normal(size=(12, 96))
    packed = pack_reference(rows, [0, 1] * 6)
    folder = tiny_bundle(tmp_path / "b", reference=packed)
    digest = load_bundle(folder).digest
    found, known = load_reference(folder, digest, dim=96, classes=2)
    np.testing.assert_array_equal(found, packed[EMBEDDING])
    np.testing.assert_array_equal(known, packed[CLASS])
    code = (
        "import sys\n"
        "from napari_mmsubtype.models.reference_patches import load_reference\n"
        f"load_reference({str(folder)!r}, {digest!r}, dim=96, classes=2)\n"
        "print('torch' in sys.modules)\n"
    )
    told = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    assert told.stdout.strip() == "False"


def test_another_bundle_or_a_changed_file_is_refused(tmp_path):
    packed = pack_reference(np.zeros((3, 96)), np.zeros(3))
    folder = tiny_bundle(tmp_path / "b", reference=packed)
    with pytest.raises(ConfigurationError, match="no longer the one that is meant"):
        load_reference(folder, "0" * 64, dim=96, classes=2)
    digest = load_bundle(folder).digest
    (folder / "reference.npz").write_bytes(b"PK")
    with pytest.raises(BundleIntegrityError, match=r"reference\.npz"):
        load_reference(folder, digest, dim=96, classes=2)
    bare = tiny_bundle(tmp_path / "bare")
    digest = load_bundle(bare).digest
    assert load_reference(bare, digest, dim=96, classes=2) is None
