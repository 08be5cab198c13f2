"""One suite that every slide backend must pass, on a file of each kind."""

import json
import pickle
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
import pytest
from PIL import Image

from builders.slides import (
    draw_scene,
    halve,
    write_deepzoom,
    write_ome_tiff,
    write_ome_zarr,
    write_pyramid_tiff,
    write_qptiff,
    write_svs,
    zip_folder,
)
from builders.slides_dicom import write_dicom
from napari_mmsubtype.slides.registry import (
    BACKENDS,
    SYNTHETIC_BACKEND,
    _load,
    open_slide,
)
from napari_mmsubtype.slides.slide import Slide

IMAGE = draw_scene(500, 700)
LOSSY = 3.0
"""Mean difference that JPEG at high quality may make, in levels of 8 bits."""


@dataclass(frozen=True)
class Case:
    id: str
    backend: str
    write: Callable
    name: str
    levels: int = 1
    tolerance: float = 0.0


def _save_image(path, image):
    Image.fromarray(image).save(path)


def _write_zip(path, image):
    folder = path.with_suffix(".folder")
    write_ome_zarr(folder, image)
    zip_folder(folder, path)


def _write_series(folder, image):
    folder.mkdir()
    write_dicom(folder / "b.dcm", image)
    write_dicom(folder / "a.dcm", halve(image), mpp=1.0, instance=2)


CASES = [
    Case("svs-jpeg", "tifffile", write_svs, "a.svs", 2, LOSSY),
    Case(
        "svs-33003",
        "tifffile",
        lambda p, i: write_svs(p, i, compression=33003),
        "a.svs",
        2,
        1.0,
    ),
    Case(
        "svs-33005",
        "tifffile",
        lambda p, i: write_svs(p, i, compression=33005),
        "a.svs",
        2,
    ),
    Case("pyramid", "tifffile", write_pyramid_tiff, "a.tif", 3),
    Case(
        "bigtiff-subifds",
        "tifffile",
        lambda p, i: write_pyramid_tiff(p, i, bigtiff=True, subifds=True),
        "a.btf",
        3,
    ),
    Case("ome-tiff", "tifffile", write_ome_tiff, "a.ome.tif", 3),
    Case("svs-by-openslide", "openslide", write_svs, "a.svs", 2, LOSSY),
    Case("tiff-by-openslide", "openslide", write_pyramid_tiff, "a.tif", 3),
    Case("dicom", "openslide", write_dicom, "a.dcm", 1, LOSSY),
    Case("ome-zarr-0.4", "omezarr", write_ome_zarr, "a.zarr", 3),
    Case(
        "ome-zarr-0.5",
        "omezarr",
        lambda p, i: write_ome_zarr(p, i, version="0.5"),
        "a.zarr",
        3,
    ),
    Case("ome-zarr-zip", "omezarr", _write_zip, "a.zarr.zip", 3),
    Case("qptiff", "tifffile", write_qptiff, "a.qptiff", 2),
    Case("deepzoom", "deepzoom", write_deepzoom, "a.dzi", 4),
    Case(
        "deepzoom-jpeg",
        "deepzoom",
        lambda p, i: write_deepzoom(p, i, tile=200, overlap=0, ending="jpeg"),
        "a.dzi",
        3,
        LOSSY,
    ),
    Case("dicom-folder", "openslide", _write_series, "series", 2, LOSSY),
    Case("png", "image", _save_image, "a.png"),
    Case("synthetic", "synthetic", None, "synthetic:seed=4,size=700x900", 0),
]


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Every file once; the addresses of those that need none."""
    made = {}
    for case in CASES:
        if case.write is None:
            made[case.id] = case.name
            continue
        path = tmp_path_factory.mktemp("slides") / case.name
        case.write(path, IMAGE)
        made[case.id] = str(path)
    return made


@pytest.fixture(params=CASES, ids=lambda case: case.id)
def case(request):
    return request.param


@pytest.fixture
def slide(case, files):
    target = BACKENDS.get(case.backend, SYNTHETIC_BACKEND)
    path = files[case.id]
    with Slide(_load(target)(path), path=path) as opened:
        yield opened


def test_every_backend_has_a_case():
    assert {case.backend for case in CASES} == {*BACKENDS, "synthetic"}


def test_level_zero_has_the_size_of_the_image(slide, case):
    expected = (700, 900) if case.write is None else IMAGE.shape[:2]
    assert slide.levels[0].shape == expected
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


@pytest.mark.parametrize(
    "case", [case for case in CASES if case.write], ids=lambda case: case.id
)
def test_pixels_are_those_that_were_written(slide, case):
    region = slide.read_region(0, 0, 0, 500, 700).astype(int)
    assert np.abs(region - IMAGE).mean() <= case.tolerance


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
            : array.shape[0] - 30, : array.shape[1] - 40
        ]
        assert (array[30:90, 40:90].compute() == expected).all()


def test_threads_see_what_one_reader_sees(slide, case, files):
    boxes = [(0, y, x, 90, 110) for y in range(0, 450, 75) for x in range(0, 650, 95)]
    alone = [slide.read_region(*box) for box in boxes]
    target = BACKENDS.get(case.backend, SYNTHETIC_BACKEND)
    fresh = Slide(_load(target)(files[case.id]), path=files[case.id])
    with fresh, ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda box: fresh.read_region(*box), boxes))
    assert all((a == b).all() for a, b in zip(alone, together, strict=True))


def test_pickling_reopens_the_file(case, files):
    with open_slide(files[case.id], mpp=0.6) as slide:
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


def test_what_it_says_about_itself_is_plain(slide):
    info = json.loads(json.dumps(slide.info()))
    assert info["backend"] == slide.backend
    assert all(isinstance(value, str) for value in slide.properties.values())
    for name in slide.associated:
        image = slide.read_associated(name)
        assert image.dtype == np.uint8
        assert image.ndim == 3
        assert image.shape[2] == 3


def test_the_pixel_size_is_read(slide, case):
    if case.backend in ("image", "deepzoom"):
        assert slide.pixel_size is None
    else:
        assert slide.pixel_size.mean == pytest.approx(0.5, rel=1e-3)
