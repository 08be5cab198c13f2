"""One suite that every slide backend must pass, on a file of each kind."""

import json
import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from builders.slide_kind import EXACT, IMAGE
from builders.slide_kinds import KINDS
from napari_mmsubtype.slides.registry import (
    BACKENDS,
    SYNTHETIC_BACKEND,
    _load,
    open_slide,
)
from napari_mmsubtype.slides.slide import Slide

WRITTEN = [kind for kind in KINDS if kind.write]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Every file once with the levels it holds; the addresses of those without file."""
    made = {}
    for kind in KINDS:
        if kind.write is None:
            made[kind.id] = kind.name, []
            continue
        path = tmp_path_factory.mktemp("slides") / kind.name
        made[kind.id] = str(path), kind.write(path, IMAGE) or [IMAGE]
    return made


@pytest.fixture(params=KINDS, ids=lambda kind: kind.id)
def case(request):
    return request.param


@pytest.fixture
def slide(case, files):
    target = BACKENDS.get(case.backend, SYNTHETIC_BACKEND)
    path, _ = files[case.id]
    with Slide(_load(target)(path), path=path) as opened:
        yield opened


def test_every_backend_has_a_case():
    assert {kind.backend for kind in KINDS} == {*BACKENDS, "synthetic"}


def test_level_zero_has_the_size_of_the_image(slide, case, files):
    made = files[case.id][1]
    assert slide.levels[0].shape == (made[0].shape[:2] if made else (700, 900))
    assert slide.levels[0].downsample == 1.0
    assert slide.native_levels == (case.levels or slide.native_levels)


def test_levels_decrease_and_their_factors_fit_their_sizes(slide):
    for before, after in zip(slide.levels, slide.levels[1:], strict=False):
        assert after.shape[0] < before.shape[0]
        assert after.shape[1] < before.shape[1]
        assert after.downsample > before.downsample
    for level in slide.levels:
        for full, side in zip(slide.levels[0].shape, level.shape, strict=True):
            assert abs(full / level.downsample - side) <= 1


@pytest.mark.parametrize("case", WRITTEN, ids=lambda kind: kind.id)
def test_pixels_of_all_levels_are_those_that_were_written(slide, case, files):
    for level, expected in enumerate(files[case.id][1]):
        region = slide.read_region(level, 0, 0, *slide.levels[level].shape)
        if case.tolerance == EXACT:
            assert (region == expected).all()
        else:
            assert np.abs(region.astype(int) - expected).mean() <= case.tolerance


def test_any_region_equals_a_cut_of_the_whole_level(slide):
    rng = np.random.default_rng(0)
    for index, level in enumerate(slide.levels):
        height, width = level.shape
        whole = slide.read_region(index, 0, 0, height, width)
        assert whole.dtype == np.uint8
        for _ in range(6):
            y, x = (int(rng.integers(0, side)) for side in level.shape)
            h, w = (int(rng.integers(1, 200)) for _ in range(2))
            cut = whole[y : y + h, x : x + w]
            region = slide.read_region(index, y, x, h, w)
            assert region.shape == (h, w, 3)
            assert (region[: cut.shape[0], : cut.shape[1]] == cut).all()
            assert (region[cut.shape[0] :] == 255).all()
            assert (region[:, cut.shape[1] :] == 255).all()


def test_reads_across_every_border_are_white_outside(slide):
    height, width = slide.levels[0].shape
    whole = slide.read_region(0, 0, 0, height, width)
    framed = slide.read_region(0, -10, -20, height + 30, width + 50)
    assert (framed[10 : 10 + height, 20 : 20 + width] == whole).all()
    framed[10 : 10 + height, 20 : 20 + width] = 255
    assert (framed == 255).all()
    assert (slide.read_region(0, -50, -50, 20, 20) == 255).all()


def test_lower_levels_show_the_same_scene(slide):
    for index, level in enumerate(slide.levels[1:], start=1):
        small = slide.read_region(index, 0, 0, *level.shape).mean(axis=(0, 1))
        full = slide.read_region(0, 0, 0, *slide.levels[0].shape).mean(axis=(0, 1))
        assert np.abs(small - full).max() < 6


def test_the_lazy_pyramid_equals_the_regions(slide):
    for index, array in enumerate(slide.pyramid()):
        assert array.shape == (*slide.levels[index].shape, 3)
        expected = slide.read_region(index, 30, 40, 60, 50)[
            : max(array.shape[0] - 30, 0), : max(array.shape[1] - 40, 0)
        ]
        assert (array[30:90, 40:90].compute() == expected).all()


def test_threads_see_what_one_reader_sees(slide, case, files):
    rng = np.random.default_rng(1)
    corners = rng.integers(-60, slide.levels[0].shape, (40, 2)).tolist()
    boxes = [(0, y, x, 90, 110) for y, x in corners]
    alone = [slide.read_region(*box) for box in boxes]
    target = BACKENDS.get(case.backend, SYNTHETIC_BACKEND)
    path, _ = files[case.id]
    fresh = Slide(_load(target)(path), path=path)
    with fresh, ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda box: fresh.read_region(*box), boxes))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_pickling_reopens_the_file(case, files):
    with open_slide(files[case.id][0], mpp=0.6) as slide:
        copy = pickle.loads(pickle.dumps(slide))
        expected = slide.read_region(0, 5, 5, 40, 40)
        assert copy.backend == slide.backend
    with copy:
        assert (copy.read_region(0, 5, 5, 40, 40) == expected).all()
        assert copy.pixel_size.mean == 0.6


def test_closing_twice_is_fine(slide):
    slide.close()
    slide.close()
    slide._backend.close()
    assert slide.is_closed


def test_what_it_says_about_itself_is_plain_and_true(slide, case):
    info = json.loads(json.dumps(slide.info()))
    assert info["backend"] == case.backend
    assert info["vendor"] == case.vendor
    assert info["mpp_source"] == case.source
    assert info["mpp"] == (case.mpp and pytest.approx([case.mpp] * 2, rel=1e-3))
    assert info["objective"] == case.objective
    assert info["compression"] == case.compression
    assert sorted(info["associated"]) == sorted(case.associated)
    assert all(isinstance(value, str) for value in slide.properties.values())


def test_further_images_are_read_and_the_label_only_by_name(slide, case):
    assert set(slide.associated) == set(case.associated) - {"label"}
    for name in case.associated:
        image = slide.read_associated(name)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3
    with pytest.raises(KeyError):
        slide.read_associated("photo")


def test_backends_that_were_asked_before_gave_a_short_reason(case, files):
    with open_slide(files[case.id][0]) as slide:
        for refusal in slide.info()["tried"]:
            assert 5 < len(refusal["reason"]) < 200
            assert "Traceback" not in refusal["reason"]
            assert "Error" not in refusal["reason"]
            assert "\n" not in refusal["reason"]
