from __future__ import annotations

import numpy as np

from napari_mmsubtype.core.quality_spec import FLAGS
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.results.colors import (
    EXCLUDED,
    FLAG_COLORS,
    UNREADABLE,
    evidence_colors,
    label_colors,
)


def test_evidence_colors_leave_tissue_without_evidence_visible() -> None:
    colors = evidence_colors(LUMINAL)
    middle = len(colors) // 2
    assert len(colors) % 2 == 1
    assert colors[middle, 3] == 0
    assert colors.dtype == np.float32
    assert ((colors >= 0) & (colors <= 1)).all()


def test_evidence_colors_grow_more_opaque_to_both_sides_alike() -> None:
    alpha = evidence_colors(LUMINAL)[:, 3]
    middle = len(alpha) // 2
    np.testing.assert_allclose(alpha, alpha[::-1])
    assert (np.diff(alpha[middle:]) >= 0).all()
    # Never so opaque that the tissue under the strongest evidence is hidden.
    assert 0.4 < alpha.max() < 0.8


def test_evidence_for_a_class_has_the_colour_of_the_class() -> None:
    colors = evidence_colors(BASAL_HER2)
    np.testing.assert_allclose(colors[-1, :3], BASAL_HER2.rgb, atol=1e-6)
    assert np.abs(colors[0, :3] - colors[-1, :3]).max() > 0.5


def test_label_colors_begin_with_background_and_end_with_no_class() -> None:
    colors = label_colors((LUMINAL, BASAL_HER2))
    assert colors[0] == [0.0, 0.0, 0.0, 0.0]
    assert colors[1] == [*LUMINAL.rgb, 1.0]
    assert colors[2] == [*BASAL_HER2.rgb, 1.0]
    assert colors[3:5] == [list(UNREADABLE), list(EXCLUDED)]
    assert [color[3] for color in colors[5:]] == [0.0]


def test_every_flag_has_a_color_of_its_own() -> None:
    assert len({tuple(color) for color in FLAG_COLORS}) == len(FLAGS) + 1
    assert FLAG_COLORS[0][3] == 0
