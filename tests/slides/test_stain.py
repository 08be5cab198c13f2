import json
import pickle
import re
from dataclasses import replace

import numpy as np
import pytest

from builders.stains import (
    DAB,
    EOSIN,
    HEMATOXYLIN,
    degrees,
    render,
    stained_tissue,
    unit,
)
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.color import ColorWarning
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.stain import (
    METHODS,
    REFERENCE_MEAN,
    REFERENCE_SPREAD,
    REFERENCE_STAINS,
    REFERENCE_STRENGTH,
    StainNormalizer,
    fit_pixels,
    fit_stain,
)
from napari_mmsubtype.slides.tissue import TissueMask, find_tissue
from napari_mmsubtype.slides.tissue_sample import sample_tissue

OTHER = ((0.55, 0.74, 0.40), (0.16, 0.80, 0.59))

every_method = pytest.mark.parametrize("method", METHODS)


def opponent(pixels):
    """l-alpha-beta of Reinhard, written out."""
    light = pixels.astype(float) + 1
    long = light @ [0.3811, 0.5783, 0.0402]
    middle = light @ [0.1967, 0.7244, 0.0782]
    short = light @ [0.0241, 0.1288, 0.8444]
    long, middle, short = np.log(long), np.log(middle), np.log(short)
    return np.stack(
        [
            (long + middle + short) / np.sqrt(3),
            (long + middle - 2 * short) / np.sqrt(6),
            (long - middle) / np.sqrt(2),
        ],
        axis=-1,
    )


@pytest.mark.parametrize(("method", "within"), [("macenko", 1.5), ("vahadane", 2.0)])
def test_the_stains_that_made_the_pixels_are_found(method, within):
    _, stains, pixels = stained_tissue()
    fit = fit_pixels(pixels, method)
    assert degrees(fit.stains, stains).max() < within


def test_macenko_re_renders_with_the_reference_stains():
    concentrations, _, pixels = stained_tissue()
    fit = fit_pixels(pixels, "macenko")
    # The closed form: the true concentrations, rescaled, in the reference stains.
    stained = (-np.log((pixels + 1.0) / 256) >= 0.15).all(axis=1)
    strength = np.percentile(concentrations[stained], 99, axis=0)
    expected = render(
        concentrations * REFERENCE_STRENGTH["macenko"] / strength,
        REFERENCE_STAINS["macenko"],
    )
    difference = fit.transform(pixels).astype(float) - expected
    assert np.abs(difference).mean() < 3


def test_macenko_agrees_with_torchstain():
    numpy_backend = pytest.importorskip("torchstain.numpy.normalizers")
    pixels = stained_tissue(seed=5)[2]
    pixels = pixels[(-np.log((pixels + 1.0) / 256) >= 0.15).all(axis=1)]
    pixels = pixels[: len(pixels) // 100 * 100]
    theirs, _, _ = numpy_backend.NumpyMacenkoNormalizer().normalize(
        pixels.reshape(-1, 100, 3), Io=256
    )
    ours = fit_pixels(pixels, "macenko").transform(pixels)
    # Theirs cuts off where ours rounds, and keeps the one that ours takes off again.
    difference = theirs.reshape(-1, 3).astype(int) - ours
    assert difference.min() >= 0
    assert difference.max() <= 1


@pytest.mark.parametrize("method", ["macenko", "vahadane"])
def test_two_stainings_of_one_tissue_become_alike(method):
    first, second = (stained_tissue(stains=s)[2] for s in ((HEMATOXYLIN, EOSIN), OTHER))
    before = np.abs(first.astype(float) - second).mean()
    moved = [fit_pixels(p, method).transform(p).astype(float) for p in (first, second)]
    assert np.abs(moved[0] - moved[1]).mean() < before / 4


@every_method
def test_glass_stays_white_and_shapes_are_kept(method):
    fit = fit_pixels(stained_tissue(stains=OTHER)[2], method)
    patch = np.full((2, 8, 9, 3), 255, np.uint8)
    assert (fit.transform(patch) == patch).all()
    assert fit.transform(patch[:0]).shape == (0, 8, 9, 3)


def test_reinhard_reaches_the_reference_statistics():
    rng = np.random.default_rng(1)
    pixels = render(rng.uniform(0.5, 0.9, (20_000, 2)), unit([HEMATOXYLIN, EOSIN]))
    fit = fit_pixels(pixels, "reinhard")
    values = opponent(pixels)
    assert np.allclose(fit.mean, values.mean(axis=0))
    assert np.allclose(fit.spread, values.std(axis=0))
    moved = opponent(fit.transform(pixels))
    # Clipping to uint8 and rounding are all that parts them.
    assert np.abs(moved.mean(axis=0) - REFERENCE_MEAN).max() < 0.05
    assert np.allclose(moved.std(axis=0), REFERENCE_SPREAD, rtol=0.25)


def test_reinhard_is_a_shift_and_scale_of_each_tissue_pixel():
    pixels = stained_tissue()[2]
    fit = fit_pixels(pixels, "reinhard")
    expected = (opponent(pixels) - fit.mean) / fit.spread
    expected = expected * REFERENCE_SPREAD + REFERENCE_MEAN
    moved = fit.transform(pixels)
    dark = (pixels < 200).all(axis=1) & (moved < 250).all(axis=1) & (moved > 5).all(1)
    assert dark.sum() > 10_000
    assert np.abs(opponent(moved[dark]) - expected[dark]).max() < 0.1


@every_method
@pytest.mark.parametrize(
    ("case", "says"),
    [
        ("none", "0 stained pixels"),
        ("few", "100 stained pixels found, at least 500 expected"),
        ("glass", "0 stained pixels"),
        ("one color", "of one color"),
        ("one stain", "told apart|missing|any"),
        ("gray", "told apart|stained with|missing"),
        ("brown", "not stained with hematoxylin and eosin"),
    ],
)
def test_a_degenerate_fit_says_why_and_leaves_pixels(method, case, says):
    rng = np.random.default_rng(0)
    amounts = rng.uniform(0.4, 1.8, (5000, 1))
    noisy = render(amounts, unit([HEMATOXYLIN])) + rng.integers(-1, 2, (5000, 3))
    pixels = {
        "none": np.empty((0, 3), np.uint8),
        "few": np.full((100, 3), 90, np.uint8),
        "glass": np.full((5000, 3), 250, np.uint8),
        "one color": np.full((5000, 3), (120, 60, 140), np.uint8),
        "one stain": noisy.clip(0, 255).astype(np.uint8),
        "gray": render(amounts, unit([(1, 1, 1)])),
        "brown": stained_tissue(stains=(HEMATOXYLIN, DAB))[2],
    }[case]
    fit = fit_pixels(pixels, method)
    assert fit.is_identity
    assert fit.transform(pixels) is pixels
    assert re.search(says, fit.problem)
    assert fit.problem.endswith("colors stay as they are")
    assert StainNormalizer.from_dict(fit.to_dict()) == fit


def test_an_unknown_method_is_refused():
    with pytest.raises(ConfigurationError, match="macenko, reinhard, vahadane"):
        fit_pixels(np.zeros((9, 3), np.uint8), "other")


@every_method
def test_a_fit_survives_json_and_pickling(method):
    pixels = stained_tissue(n=3000)[2]
    fit = fit_pixels(pixels, method)
    again = StainNormalizer.from_dict(json.loads(json.dumps(fit.to_dict())))
    assert again == fit == pickle.loads(pickle.dumps(fit))
    assert (again.transform(pixels) == fit.transform(pixels)).all()


@pytest.mark.parametrize(
    "change",
    [{"method": "other"}, {"colour": 1}, {"stains": [[1.0, 0.0]]}, {"strength": None}],
)
def test_what_is_no_fit_is_refused(change):
    record = fit_pixels(stained_tissue(n=3000)[2]).to_dict() | change
    with pytest.raises(ConfigurationError, match="not a record of a stain fit"):
        StainNormalizer.from_dict(record)


def test_a_slide_is_fitted_on_its_tissue_alike_each_time():
    with open_slide("synthetic:seed=1,size=2048") as slide:
        tissue = find_tissue(slide)
        fits = [fit_stain(slide, tissue) for _ in range(2)]
        patch = slide.read_region(0, 900, 900, 128, 128)
    assert fits[0] == fits[1]
    assert not fits[0].is_identity
    assert (fits[0].transform(patch) != patch).any()


def test_a_slide_without_tissue_is_left_alone():
    with open_slide("synthetic:size=1024") as slide:
        found = find_tissue(slide)
        empty = TissueMask(np.zeros_like(found.mask), found.pixel_size, 0.1)
        with pytest.warns(ColorWarning, match="0 stained pixels") as caught:
            assert fit_stain(slide, empty).is_identity
    assert len(caught) == 1
    assert slide.name in str(caught[0].message)


@every_method
def test_a_real_slide_comes_closer_to_another(real_data, method):
    def mean_colors(pixels):
        return pixels[(pixels < 220).all(axis=1)].mean(axis=0)

    pools = []
    folder = real_data / "regions" / "breast"
    for name in ("TCGA-A7-A13E-01Z-00-DX1", "TCGA-AR-A1AK-01Z-00-DX1"):
        with open_slide(folder / f"{name}.tif", mpp=0.25) as slide:
            pools.append(sample_tissue(slide, find_tissue(slide)))
    fits = [fit_pixels(pool, method) for pool in pools]
    assert not any(fit.problem for fit in fits)
    moved = [fit.transform(pool) for fit, pool in zip(fits, pools, strict=True)]
    before = np.abs(np.subtract(*map(mean_colors, pools))).mean()
    after = np.abs(np.subtract(*map(mean_colors, moved))).mean()
    assert after < before / 2


def test_the_reference_can_be_measured_again(real_data):
    with open_slide(real_data / "slides" / "CMU-1-Small-Region.svs") as slide:
        pixels = sample_tissue(slide, find_tissue(slide))
    moved = fit_pixels(pixels, "macenko").transform(pixels)
    learned, shifted = (fit_pixels(moved, m) for m in ("vahadane", "reinhard"))
    assert np.allclose(learned.stains, REFERENCE_STAINS["vahadane"], atol=1e-3)
    assert np.allclose(learned.strength, REFERENCE_STRENGTH["vahadane"], atol=1e-2)
    assert np.allclose(shifted.mean, REFERENCE_MEAN, atol=1e-3)
    assert np.allclose(shifted.spread, REFERENCE_SPREAD, atol=1e-3)
    assert replace(learned, problem="x").is_identity
