import numpy as np

from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL, UNKNOWN_CLASS
from napari_mmsubtype.results.patch_colors import (
    class_colors,
    color_choices,
    patch_colors,
)

CLASSES = (LUMINAL, BASAL_HER2)
EVIDENCE = np.array([[2.0, -2.0], [-2.0, 2.0], [0.5, 0.5]], np.float32)
TISSUE = np.array([0.0, 1.0, 0.5], np.float32)


def rgb(subtype):
    return np.rint(np.array(subtype.rgb) * 255)


def test_choices_name_every_class():
    assert color_choices(CLASSES) == [
        "class",
        "evidence: Luminal",
        "evidence: Basal/HER2",
        "tissue",
    ]


def test_class_is_that_with_most_evidence():
    colors = patch_colors("class", CLASSES, EVIDENCE, TISSUE)
    np.testing.assert_array_equal(colors[0], rgb(LUMINAL))
    np.testing.assert_array_equal(colors[1], rgb(BASAL_HER2))
    assert (colors[2] == colors[2, 0]).all(), "grey: it says as much for both"


def test_evidence_runs_from_dark_grey_over_light_grey_to_the_class():
    colors = patch_colors("evidence: Basal/HER2", CLASSES, EVIDENCE, TISSUE)
    np.testing.assert_allclose(colors[1], rgb(BASAL_HER2), atol=1)
    assert 90 < colors[0].min() < colors[0].max() < 130
    assert (colors[2] == colors[2, 0]).all()
    assert colors[2, 0] > 200


def test_no_evidence_at_all_is_the_middle():
    none = np.zeros((4, 2), np.float32)
    colors = patch_colors("evidence: Luminal", CLASSES, none, np.ones(4, np.float32))
    assert np.ptp(colors) == 0


def test_tissue_gets_stronger_with_its_share():
    red = patch_colors("tissue", CLASSES, EVIDENCE, TISSUE)[:, 0].astype(int)
    assert red[0] > red[2] > red[1]


def test_reference_is_paler_and_grey_where_unknown():
    colors = class_colors(CLASSES, np.array([0, 1, UNKNOWN_CLASS], np.uint8))
    assert np.ptp(colors[2]) == 0
    for color, subtype in zip(colors, CLASSES, strict=False):
        assert 0 < np.ptp(color.astype(int)) < np.ptp(rgb(subtype)) / 2
