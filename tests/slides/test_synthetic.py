"""Synthetic slides: addresses, seamless rendering, levels and ground truth."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.synthetic import (
    PHENOTYPES,
    SyntheticSlide,
    is_synthetic,
    parse_address,
    phenotype_mask,
    render_region,
)

SLIDE = SyntheticSlide(3, (2304, 2304), 0.5)


@pytest.mark.parametrize(
    ("address", "slide"),
    [
        ("synthetic:", SyntheticSlide(0, (4096, 4096), 0.5)),
        (
            "synthetic:seed=3,size=2048,basal=0.35",
            SyntheticSlide(3, (2048, 2048), 0.35),
        ),
        ("synthetic:basal=1, size=100x300", SyntheticSlide(0, (100, 300), 1.0)),
        ("synthetic:size=100000", SyntheticSlide(0, (100_000, 100_000), 0.5)),
    ],
)
def test_addresses_are_read(address, slide):
    assert parse_address(address) == slide


@given(
    seed=st.integers(0, 2**40),
    height=st.integers(64, 10**6),
    width=st.integers(64, 10**6),
    basal=st.floats(0, 1),
)
def test_addresses_round_trip(seed, height, width, basal):
    slide = SyntheticSlide(seed, (height, width), basal)
    assert parse_address(slide.address) == slide


@pytest.mark.parametrize(
    "address",
    [
        "slide.svs",
        "synthetic:seed",
        "synthetic:seed=x",
        "synthetic:seed=-1",
        "synthetic:seed=1,seed=2",
        "synthetic:size=10",
        "synthetic:size=10x20x30",
        "synthetic:size=1e4",
        "synthetic:size=99999999",
        "synthetic:basal=1.5",
        "synthetic:basal=nan",
        "synthetic:color=red",
    ],
)
def test_nonsense_is_refused_with_what_to_write(address):
    with pytest.raises(ConfigurationError, match=r"synthetic.*(write|must be|give)"):
        parse_address(address)


def test_only_text_with_the_scheme_is_an_address(tmp_path):
    assert is_synthetic("synthetic:seed=1")
    assert not is_synthetic(tmp_path / "slide.svs")
    assert not is_synthetic("slide.svs")


def test_levels_shrink_by_four_until_an_overview():
    slide = SyntheticSlide(0, (4097, 1000), 0.5)
    assert slide.downsamples == (1, 4, 16)
    assert slide.level_shapes == ((4097, 1000), (1025, 250), (257, 63))
    assert SyntheticSlide(0, (300, 200), 0.5).downsamples == (1,)


@settings(max_examples=20, deadline=None)
@given(
    y=st.integers(-30, 2200),
    x=st.integers(-30, 2200),
    height=st.integers(1, 90),
    width=st.integers(1, 90),
    before=st.integers(0, 37),
    after=st.integers(0, 53),
)
def test_any_region_is_the_crop_of_a_larger_one(y, x, height, width, before, after):
    small = render_region(SLIDE, 0, Box(y, x, height, width))
    large = render_region(
        SLIDE,
        0,
        Box(y - before, x - after, height + before + after, width + 2 * after),
    )
    crop = large[before : before + height, after : after + width]
    assert np.array_equal(small, crop)


@pytest.mark.parametrize("level", [0, 1, 2])
def test_tiles_fit_together(level):
    whole = render_region(SLIDE, level, Box(40, 8, 96, 110))
    left = render_region(SLIDE, level, Box(40, 8, 96, 57))
    right = render_region(SLIDE, level, Box(40, 65, 96, 53))
    assert np.array_equal(whole, np.hstack([left, right]))


def test_slides_differ_by_seed_and_are_equal_for_equal_seeds():
    box = Box(60, 60, 64, 64)
    again = SyntheticSlide(3, (2304, 2304), 0.5)
    other = SyntheticSlide(4, (2304, 2304), 0.5)
    first = render_region(SLIDE, 1, box)
    assert np.array_equal(first, render_region(again, 1, box))
    assert not np.array_equal(first, render_region(other, 1, box))


@pytest.fixture(scope="module")
def levels():
    return [
        render_region(SLIDE, level, Box(0, 0, *shape))
        for level, shape in enumerate(SLIDE.level_shapes)
    ]


@pytest.mark.parametrize("level", [1, 2])
def test_lower_levels_have_the_mean_color_of_level_0(levels, level):
    step = SLIDE.downsamples[level]
    height, width = SLIDE.level_shapes[level]
    mean = levels[0].astype(np.float64)
    mean = mean.reshape(height, step, width, step, 3).mean(axis=(1, 3))
    difference = levels[level] - mean
    assert np.abs(difference.mean(axis=(0, 1))).max() < 2
    codes = phenotype_mask(SLIDE, level)
    for code in np.unique(codes):
        assert np.abs(difference[codes == code].mean(axis=0)).max() < 6


def test_glass_is_white_and_tissue_is_stained(levels):
    for level, image in enumerate(levels):
        codes = phenotype_mask(SLIDE, level)
        colorful = image.max(axis=2).astype(int) - image.min(axis=2)
        assert image[codes == 0].mean() > 235
        assert np.median(colorful[codes == 0]) < 12
        stained = np.isin(
            codes, [PHENOTYPES[n] for n in ("stroma", "luminal", "basal")]
        )
        assert np.median(colorful[stained]) > 30


@pytest.mark.parametrize("size", [2048, 4096])
def test_tissue_and_tumour_cover_their_share(size):
    codes = phenotype_mask(f"synthetic:seed=11,size={size}", 1)
    tissue = codes > 0
    tumor = np.isin(codes, [PHENOTYPES[n] for n in ("luminal", "basal", "necrosis")])
    assert 0.5 < tissue.mean() < 0.65
    assert 0.4 < tumor.sum() / tissue.sum() < 0.6


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_basal_share_is_as_ordered_and_monotone(seed):
    wanted = (0.02, 0.2, 0.5, 0.8, 0.98)
    masks = [
        phenotype_mask(f"synthetic:seed={seed},size=4096,basal={basal}", 1)
        for basal in wanted
    ]
    basal = [(mask == PHENOTYPES["basal"]).sum() for mask in masks]
    luminal = [(mask == PHENOTYPES["luminal"]).sum() for mask in masks]
    measured = [b / (b + u) for b, u in zip(basal, luminal, strict=True)]
    assert measured == pytest.approx(wanted, abs=0.1)
    assert measured == sorted(measured)
    for smaller, larger in zip(luminal[1:], luminal, strict=False):
        assert smaller <= larger


def test_huge_slides_cost_no_memory_until_looked_at():
    slide = parse_address("synthetic:seed=1,size=100000")
    tracemalloc.start()
    image = render_region(slide, 0, Box(50_000, 50_000, 256, 256))
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert image.shape == (256, 256, 3)
    assert peak_bytes < 150e6


def test_mask_of_a_box_is_the_crop_of_the_mask():
    whole = phenotype_mask(SLIDE, 2)
    part = phenotype_mask(SLIDE, 2, Box(20, 31, 40, 50))
    assert whole.dtype == np.uint8
    assert np.array_equal(part, whole[20:60, 31:81])


def test_an_empty_box_gives_an_empty_image():
    assert render_region(SLIDE, 0, Box(5, 5, 0, 7)).shape == (0, 7, 3)
