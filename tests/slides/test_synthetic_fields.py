"""Where a synthetic slide has which tissue."""

import dataclasses

import numpy as np
import pytest

from napari_mmsubtype.slides.synthetic_fields import (
    PHENOTYPES,
    TISSUE_SHARE,
    TUMOR_SHARE,
    TissueFields,
    thresholds,
)


def _points(fields, count=400):
    rng = np.random.default_rng(0)
    y = rng.uniform(0, fields.shape[0], (count, count))
    x = rng.uniform(0, fields.shape[1], (count, count))
    return y, x


def test_codes_are_distinct_and_background_is_zero():
    assert PHENOTYPES["background"] == 0
    assert sorted(PHENOTYPES.values()) == list(range(len(PHENOTYPES)))


@pytest.mark.parametrize("shape", [(512, 512), (2048, 4096), (100_000, 100_000)])
def test_random_points_find_the_promised_shares(shape):
    fields = TissueFields(5, shape, 0.3)
    cut = thresholds(fields)
    y, x = _points(fields)
    outline = fields.outline(y, x)
    tissue = outline > cut.outline
    tumor = tissue & (fields.tumor(y, x, outline) > cut.tumor)
    assert tissue.mean() == pytest.approx(TISSUE_SHARE, abs=0.03)
    assert tumor.sum() / tissue.sum() == pytest.approx(TUMOR_SHARE, abs=0.04)
    basal = tumor & (fields.basal_like(y, x) > cut.basal)
    living = basal & (fields.necrosis(y, x) <= cut.necrosis)
    luminal = tumor & ~basal
    share = living.sum() / (living.sum() + luminal.sum())
    assert share == pytest.approx(0.3, abs=0.04)


def test_tissue_keeps_clear_of_the_edge_of_the_slide():
    fields = TissueFields(2, (3000, 3000), 0.5)
    along = np.linspace(0, 2999, 500)[None, :]
    for edge in (0.0, 2999.0):
        rim = fields.outline(np.full_like(along, edge), along)
        assert (rim > thresholds(fields).outline).mean() < 0.1


def test_only_the_basal_cut_depends_on_the_basal_share():
    fields = TissueFields(8, (2048, 2048), 0.2)
    low, high = thresholds(fields), thresholds(dataclasses.replace(fields, basal=0.7))
    assert low.basal > high.basal
    assert dataclasses.replace(low, basal=0) == dataclasses.replace(high, basal=0)


@pytest.mark.parametrize(("share", "cut"), [(0.0, np.inf), (1.0, -np.inf)])
def test_extreme_shares_cut_nowhere(share, cut):
    assert thresholds(TissueFields(1, (1024, 1024), share)).basal == cut


def test_lymphocytes_and_fat_prefer_their_sides_of_the_margin():
    fields = TissueFields(3, (2048, 2048), 0.5)
    y, x = np.zeros((1, 3)) + 700, np.zeros((1, 3)) + 900
    margin = np.asarray([[-1.0, -0.25, 0.5]], np.float32)
    lymphocytes, fat = fields.lymphocytes(y, x, margin), fields.fat(y, x, margin)
    assert lymphocytes.argmax() == 1
    assert fat.argmax() == 0


def test_warp_bends_by_tens_of_pixels():
    fields = TissueFields(3, (2048, 2048), 0.5)
    warp = fields.warp(*np.mgrid[0:2000.0:20, 0:2000.0:20])
    assert 30 < warp.std() < 300
