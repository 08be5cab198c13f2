import pytest

from napari_mmsubtype.slides.backend import true_downsample


@pytest.mark.parametrize(
    ("base", "shape", "factor"),
    [
        ((3567, 4443), (1783, 2221), 2.0),
        ((3567, 4443), (1784, 2222), 2.0),
        ((100_001, 50_003), (25_000, 12_500), 4.0),
        ((1000, 1000), (1000, 1000), 1.0),
        ((1000, 1000), (400, 400), 2.5),
    ],
)
def test_rounded_sizes_give_the_factor_behind_them(base, shape, factor):
    assert true_downsample(base, shape) == factor
