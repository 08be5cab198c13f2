"""How much haematoxylin and eosin each phenotype takes up."""

import numpy as np
import pytest

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.slides.synthetic_fields import PHENOTYPES
from napari_mmsubtype.slides.synthetic_map import TissueMap
from napari_mmsubtype.slides.synthetic_texture import margin_px, paint


def _pure(name, step=1, side=384):
    margin = margin_px(step)
    outer = Box(-margin, -margin, side + 2 * margin, side + 2 * margin)
    ones = np.ones((outer.height, outer.width), np.float32)
    code = PHENOTYPES[name]
    codes = np.full(ones.shape, code, np.uint8)
    tissue = TissueMap(outer, step, {code: ones}, codes, 0 * ones)
    return paint(tissue, Box(0, 0, side, side), seed=5)


@pytest.fixture(scope="module")
def uptake():
    return {name: _pure(name) for name in PHENOTYPES}


def test_glass_takes_up_nothing(uptake):
    assert not uptake["background"].haematoxylin.any()
    assert not uptake["background"].eosin.any()


def test_densities_are_finite_and_not_negative(uptake):
    for dyes in uptake.values():
        for dye in (dyes.haematoxylin, dyes.eosin):
            assert np.isfinite(dye).all()
            assert dye.min() >= 0


def test_nuclear_density_ranks_as_the_pathologist_expects(uptake):
    mean = {name: dyes.haematoxylin.mean() for name, dyes in uptake.items()}
    assert mean["fat"] < mean["stroma"] < mean["luminal"] < mean["basal"]
    assert mean["necrosis"] < mean["basal"]
    assert mean["basal"] > 2 * mean["luminal"]
    assert mean["lymphocytes"] > 2 * mean["luminal"]


def test_stroma_and_necrosis_are_the_pinkest_and_fat_the_palest(uptake):
    mean = {name: dyes.eosin.mean() for name, dyes in uptake.items()}
    assert mean["necrosis"] > mean["basal"]
    assert mean["stroma"] > mean["basal"]
    assert mean["fat"] < 0.5 * mean["stroma"]


def test_luminal_tumour_has_lumens_and_basal_tumour_has_none(uptake):
    def hollow(name):
        dyes = uptake[name]
        return ((dyes.eosin < 0.06) & (dyes.haematoxylin < 0.02)).mean()

    assert hollow("luminal") > 0.03
    assert hollow("basal") == 0


@pytest.mark.parametrize("name", ["luminal", "basal", "lymphocytes", "fat"])
def test_the_next_level_takes_up_about_the_same(name, uptake):
    coarse = _pure(name, step=4, side=96)
    for dye in ("haematoxylin", "eosin"):
        fine_mean = getattr(uptake[name], dye).mean()
        assert getattr(coarse, dye).mean() == pytest.approx(
            fine_mean, rel=0.12, abs=0.01
        )


def test_single_rows_and_columns_can_be_painted(uptake):
    for name in ("fat", "luminal"):
        margin = margin_px(1)
        outer = Box(50 - margin, 70 - margin, 1 + 2 * margin, 9 + 2 * margin)
        ones = np.ones((outer.height, outer.width), np.float32)
        code = PHENOTYPES[name]
        codes = np.full(ones.shape, code, np.uint8)
        tissue = TissueMap(outer, 1, {code: ones}, codes, 0 * ones)
        row = paint(tissue, Box(50, 70, 1, 9), seed=5)
        assert np.array_equal(row.eosin, uptake[name].eosin[50:51, 70:79])
