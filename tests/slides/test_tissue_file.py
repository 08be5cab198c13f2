import contextlib
import json
import math
import shutil

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from builders.slides import write_pyramid_tiff
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import ConfigurationError, MissingPixelSizeError
from napari_mmsubtype.slides.region_geojson import write_regions
from napari_mmsubtype.slides.regions import Region
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import TissueMask, find_tissue, mask_grid
from napari_mmsubtype.slides.tissue_file import (
    ATTRIBUTE,
    open_tissue,
    read_tissue,
    tissue_path,
    write_tissue,
)

SLIDE = "synthetic:seed=2,size=700x1100"


@pytest.fixture(scope="module")
def slide():
    with open_slide(SLIDE) as opened:
        yield opened


def mask_of(slide, mask, threshold=0.1):
    height, width = slide.levels[0].shape
    size = PixelSize(height * 0.5 / mask.shape[0], width * 0.5 / mask.shape[1])
    return TissueMask(np.asarray(mask, bool), size, threshold)


@pytest.fixture
def painted(slide):
    """A mask with two parts, one of which has a hole."""
    mask = np.zeros(mask_grid(slide)[0], bool)
    mask[5:30, 10:40] = True
    mask[12:20, 20:25] = False
    mask[2:4, 60:68] = True
    return mask_of(slide, mask)


@pytest.mark.parametrize("name", ["a.tissue.zarr", "a.geojson", "a.JSON"])
def test_a_mask_comes_back_as_it_was_written(slide, painted, tmp_path, name):
    path = write_tissue(tmp_path / name, painted, slide)
    read = read_tissue(path, slide)
    np.testing.assert_array_equal(read.mask, painted.mask)
    assert read.pixel_size.y == pytest.approx(painted.pixel_size.y)
    assert read.pixel_size.x == pytest.approx(painted.pixel_size.x)
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@given(hnp.arrays(bool, st.tuples(st.integers(40, 50), st.integers(60, 80))))
@settings(max_examples=25, deadline=None)
def test_any_mask_of_fitting_shape_comes_back(tmp_path_factory, mask):
    shape = tuple(8 * side for side in mask.shape)
    path = tmp_path_factory.mktemp("t") / "m.zarr"
    with open_slide(f"synthetic:size={shape[0]}x{shape[1]}") as slide:
        write_tissue(path, mask_of(slide, mask), slide)
        if not mask.any():
            with pytest.raises(ConfigurationError, match="is empty"):
                read_tissue(path, slide)
            return
        np.testing.assert_array_equal(read_tissue(path, slide).mask, mask)


def test_an_array_can_be_painted_on_in_place(slide, painted, tmp_path):
    path = write_tissue(tmp_path / "a.zarr", painted, slide)
    array, about = open_tissue(path, slide, mode="r+")
    assert array.metadata.zarr_format == 3
    assert array.chunks == (512, 512)
    assert about["slide"] == {"name": slide.name, "shape": [700, 1100]}
    array[0:3, 0:3] = 1
    assert read_tissue(path, slide).mask[:3, :3].all()


def test_the_threshold_of_a_found_mask_is_kept(slide, tmp_path):
    found = find_tissue(slide)
    path = write_tissue(tmp_path / "a.zarr", found, slide)
    assert read_tissue(path, slide).threshold == found.threshold
    outlined = write_tissue(tmp_path / "a.geojson", found, slide)
    assert math.isnan(read_tissue(outlined, slide).threshold)


def test_a_mask_follows_the_pixel_size_that_now_holds(slide, painted, tmp_path):
    path = write_tissue(tmp_path / "a.zarr", painted, slide)
    with open_slide(SLIDE, mpp=0.25) as finer:
        half = read_tissue(path, finer).pixel_size
    assert half.y == pytest.approx(painted.pixel_size.y / 2)


def test_a_later_mask_replaces_an_earlier_one(slide, painted, tmp_path):
    path = tmp_path / "a.zarr"
    write_tissue(path, painted, slide)
    write_tissue(path, mask_of(slide, np.ones_like(painted.mask)), slide)
    assert read_tissue(path, slide).mask.all()
    assert list(tmp_path.iterdir()) == [path]


def test_what_is_no_mask_is_never_replaced(slide, painted, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "cat.txt").write_text("cat")
    with pytest.raises(ConfigurationError, match="left as it is"):
        write_tissue(folder, painted, slide)
    assert (folder / "cat.txt").read_text() == "cat"
    zarr.create_array(tmp_path / "other.zarr", data=np.ones((4, 4)))
    with pytest.raises(ConfigurationError, match="no tissue mask"):
        write_tissue(tmp_path / "other.zarr", painted, slide)


def test_a_folder_that_cannot_be_written_is_one_error(slide, painted, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot write the tissue mask"):
        write_tissue(tmp_path / "file" / "a.zarr", painted, slide)


def test_an_empty_mask_has_no_outline(slide, painted, tmp_path):
    empty = mask_of(slide, np.zeros_like(painted.mask))
    with pytest.raises(ConfigurationError, match="empty and has no outline"):
        write_tissue(tmp_path / "a.geojson", empty, slide)


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (np.ones((88, 138), np.float32), "holds float32"),
        (np.ones((88, 138, 3), np.uint8), "expected \\(y, x\\)"),
        (np.ones((138, 88), np.uint8), "belongs to another slide"),
        (np.zeros((88, 138), np.uint8), "is empty"),
    ],
)
def test_masks_of_other_kinds_are_refused(slide, tmp_path, data, match):
    zarr.create_array(tmp_path / "m.zarr", data=data)
    with pytest.raises(ConfigurationError, match=match):
        read_tissue(tmp_path / "m.zarr", slide)


def test_masks_of_other_programs_are_taken(slide, tmp_path):
    mask = np.zeros((350, 550), np.int32)
    mask[10:20, 30:50] = 7
    zarr.create_array(tmp_path / "m.zarr", data=mask, zarr_format=2)
    read = read_tissue(tmp_path / "m.zarr", slide)
    np.testing.assert_array_equal(read.mask, mask == 7)
    assert read.pixel_size == PixelSize(1.0, 1.0)


def test_a_mask_of_another_slide_is_refused(slide, painted, tmp_path):
    path = write_tissue(tmp_path / "a.zarr", painted, slide)
    with (
        open_slide("synthetic:size=1400x2200") as other,
        pytest.raises(ConfigurationError, match=r"1400 x 2200 px .* another slide"),
    ):
        read_tissue(path, other)


def test_a_mask_of_a_slide_of_the_same_size_is_told(slide, painted, tmp_path, caplog):
    path = write_tissue(tmp_path / "a.zarr", painted, slide)
    with open_slide("synthetic:seed=9,size=700x1100") as other:
        read_tissue(path, other)
    assert "'synthetic-2' and is used for 'synthetic-9'" in caplog.text


def test_missing_masks_and_newer_versions_are_refused(slide, painted, tmp_path):
    with pytest.raises(ConfigurationError, match="found nothing, expected a zarr"):
        read_tissue(tmp_path / "gone.zarr", slide)
    (tmp_path / "a.txt").write_text("tissue")
    with pytest.raises(ConfigurationError, match="found a file, expected a zarr"):
        read_tissue(tmp_path / "a.txt", slide)
    path = write_tissue(tmp_path / "a.zarr", painted, slide)
    array = zarr.open_array(path, mode="r+")
    array.attrs[ATTRIBUTE] = {"version": 99}
    with pytest.raises(ConfigurationError, match="version 99; this program reads 1"):
        read_tissue(path, slide)
    array.attrs[ATTRIBUTE] = {"slide": "?"}
    with pytest.raises(ConfigurationError, match="damaged attributes"):
        read_tissue(path, slide)


def test_damage_is_one_error(slide, painted, tmp_path):
    """Cut and scrambled files give a mask or an error of ours, nothing else."""
    whole = write_tissue(tmp_path / "a.zarr", painted, slide)
    rng = np.random.default_rng(0)
    for number in range(60):
        path = tmp_path / f"{number}.zarr"
        shutil.copytree(whole, path)
        for file in (path / "zarr.json", path / "c" / "0" / "0"):
            data = bytearray(file.read_bytes())
            data[rng.integers(len(data))] ^= 1 << rng.integers(8)
            file.write_bytes(data[: rng.integers(len(data))] if number % 3 else data)
        with contextlib.suppress(ConfigurationError):
            assert read_tissue(path, slide).mask.ndim == 2


def test_outlines_elsewhere_or_unreadable_are_refused(slide, tmp_path):
    path = tmp_path / "a.geojson"
    write_regions(path, [Region([(9000, 0), (9000, 9), (9009, 9)])])
    with pytest.raises(ConfigurationError, match=r"tissue mask .* outside the slide"):
        read_tissue(path, slide)
    path.write_text(json.dumps({"type": "FeatureCollection", "features": []}))
    with pytest.raises(ConfigurationError, match=r"tissue mask .*no polygons"):
        read_tissue(path, slide)


def test_outlines_may_leave_parts_out(slide, tmp_path):
    path = tmp_path / "a.geojson"
    half = [(0, 0), (0, 550), (700, 550), (700, 0)]
    write_regions(path, [Region(half, name="Ignore*")])
    mask = read_tissue(path, slide).mask
    assert not mask[:, : mask.shape[1] // 2].any()
    assert mask[:, mask.shape[1] // 2 + 1 :].all()


def test_a_pixel_size_is_needed(painted, slide, tmp_path):
    path = write_tissue(tmp_path / "a.zarr", painted, slide)
    image = np.full((700, 1100, 3), 200, np.uint8)
    write_pyramid_tiff(tmp_path / "no_mpp.tif", image, levels=1, mpp=None)
    with (
        open_slide(tmp_path / "no_mpp.tif") as bare,
        pytest.raises(MissingPixelSizeError),
    ):
        read_tissue(path, bare)


def test_masks_are_named_after_their_slide(tmp_path):
    assert tissue_path(tmp_path, "a:b?").name == "a_b_.tissue.zarr"
