import pytest

from napari_mmsubtype.slides.backend import (
    BackendRefusal,
    Level,
    NoFurtherImages,
    refuse_misfits,
    true_downsample,
)


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


def levels_of(*shapes):
    return [Level(shape, true_downsample(shapes[0], shape)) for shape in shapes]


@pytest.mark.parametrize(
    "shapes",
    [
        [(300, 400)],
        [(300, 400), (150, 200), (75, 100)],
        [(301, 401), (150, 200), (38, 51), (4, 6), (3, 4)],
        [(100_000, 90_000), (24_800, 22_320)],
    ],
)
def test_levels_that_scale_are_let_through(shapes):
    refuse_misfits(levels_of(*shapes))


@pytest.mark.parametrize(
    ("shapes", "reason"),
    [
        ([], "holds no level"),
        (
            [(300, 400), (200, 150)],
            "level 1 is 200 x 150 px.*another shape than the 300",
        ),
        ([(300, 400), (75, 100), (150, 200)], "level 2 is 150 x 200 px, no smaller"),
        ([(300, 400), (300, 400)], "level 1 is 300 x 400 px, no smaller"),
        ([(300, 400), (128, 256)], "another shape"),
    ],
)
def test_levels_that_cannot_be_of_one_scene_are_refused(shapes, reason):
    with pytest.raises(BackendRefusal, match=reason):
        refuse_misfits(levels_of(*shapes) if shapes else [])


def test_how_far_off_a_level_may_be_is_the_backends_choice():
    padded = levels_of((1000, 1000), (500, 530))
    refuse_misfits(padded, tolerance=0.1)
    with pytest.raises(BackendRefusal, match="another shape"):
        refuse_misfits(padded)


def test_a_format_without_further_images_has_none():
    assert NoFurtherImages().associated_names == ()
    with pytest.raises(KeyError, match="label"):
        NoFurtherImages().read_associated("label")
