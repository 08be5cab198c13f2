import numpy as np
import pytest

from napari_mmsubtype.core.quality_spec import QualitySpec
from napari_mmsubtype.slides.quality_measures import INKS, MEASURES, PatchMeter


def textured(count, side, seed=0):
    """Patches of purple noise on blocks of pink, none of it glass."""
    rng = np.random.default_rng(seed)
    base = np.array([200, 120, 180]) + rng.integers(-40, 40, (count, side, side, 1))
    return np.clip(base, 0, 255).astype(np.uint8)


def test_a_patch_measures_the_same_alone_and_in_any_company():
    patches = textured(9, 224)
    meter = PatchMeter(QualitySpec(), 224, 0.5)
    together = meter(patches)
    assert together.shape == (9, len(MEASURES))
    assert together.dtype == np.float32
    alone = np.concatenate([meter([patch]) for patch in patches])
    np.testing.assert_array_equal(together, alone)
    np.testing.assert_array_equal(meter(patches[::-1]), together[::-1])


def test_sharpness_is_the_variance_of_the_laplacian():
    patch = textured(1, 64)[0]
    patch[..., :] = patch[..., :1]
    measured = PatchMeter(QualitySpec(), 64, 1.0)([patch])[0]
    grey = patch[..., 0].astype(float)
    laplacian = (
        grey[:-2, 1:-1]
        + grey[2:, 1:-1]
        + grey[1:-1, :-2]
        + grey[1:-1, 2:]
        - 4 * grey[1:-1, 1:-1]
    )
    kept = laplacian[grey[1:-1, 1:-1] < 216]
    assert measured[MEASURES.index("sharpness")] == pytest.approx(kept.var(), rel=1e-4)


@pytest.mark.parametrize(("size", "mpp"), [(128, 0.5), (64, 1.0), (256, 0.25)])
def test_measures_are_those_of_the_same_field_at_any_resolution(size, mpp):
    coarse = textured(1, 64)[0]
    factor = size // 64
    patch = coarse.repeat(factor, axis=0).repeat(factor, axis=1)
    found = PatchMeter(QualitySpec(), size, mpp)([patch])
    expected = PatchMeter(QualitySpec(), 64, 1.0)([coarse])
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("size", "mpp"), [(5, 1.0), (50, 0.5), (100, 0.37), (64, 4.0), (224, 0.05)]
)
def test_odd_sizes_are_measured_too_and_nothing_is_enlarged(size, mpp):
    measured = PatchMeter(QualitySpec(), size, mpp)(textured(2, size))
    assert np.isfinite(measured).all()


def test_glass_has_no_sharpness_and_no_thickness():
    glass = np.full((1, 64, 64, 3), 245, np.uint8)
    measured = dict(
        zip(MEASURES, PatchMeter(QualitySpec(), 64, 1.0)(glass)[0], strict=True)
    )
    assert np.isnan(measured["sharpness"])
    assert measured["thickness"] == 0
    assert measured["grey"] == 0


@pytest.mark.parametrize(
    ("ink", "color"),
    [
        ("blue", (30, 60, 170)),
        ("green", (20, 130, 80)),
        ("black", (20, 20, 24)),
        ("red", (210, 30, 40)),
    ],
)
def test_the_share_of_ink_is_measured_in_its_color(ink, color):
    patch = textured(1, 64)
    patch[:, :16] = color
    measured = PatchMeter(QualitySpec(), 64, 1.0)(patch)[0, : len(INKS)]
    expected = [0.25 if name == ink else 0 for name in INKS]
    np.testing.assert_allclose(measured, expected)
