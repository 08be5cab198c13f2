import numpy as np
import pytest
from napari.components import ViewerModel
from napari.layers import Image

from builders.results import MPP, make_result
from napari_mmsubtype.core.partial_patches import PartialCells
from napari_mmsubtype.core.progress import Progress
from napari_mmsubtype.plugin.hover import watch_layers
from napari_mmsubtype.plugin.placement import METADATA_KEY
from napari_mmsubtype.plugin.view_maps import ViewMaps, follow_cells, is_in_view
from napari_mmsubtype.results.map_scale import MapRange
from napari_mmsubtype.results.overlay import stitch
from napari_mmsubtype.results.patch_facts import gather_facts


@pytest.fixture(params=[128, 64], ids=["apart", "overlapping"])
def result(tmp_path, request):
    return make_result(tmp_path, stride_px=request.param)


def cells_of(result, channels=2):
    shape = (len(result.grid), channels, 8, 8)
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


def view_of(result, cells, **more):
    used = np.ones(len(cells), bool)
    used[-1] = False
    factor = used.astype(np.float32)
    return ViewMaps(result, "hires-cam", cells.shape, factor, used, **more), used


def test_patches_in_any_order_make_the_map_of_the_whole_slide(result):
    cells = cells_of(result)
    maps, used = view_of(result, cells)
    for start in (6, 0, 3, 9, 3):
        stop = len(cells) if start == 9 else start + 3
        maps.place(start, cells[start:stop])
    whole = stitch(result.grid, cells, used=used)
    np.testing.assert_allclose(maps.canvases[0], whole[0] - whole[1], atol=1e-5)
    np.testing.assert_allclose(maps.canvases[1], whole[1] - whole[0], atol=1e-5)
    maps.measure()
    assert maps.measured == MapRange.measure(list(maps.canvases))


def test_what_is_not_drawn_yet_is_left_out_and_comes_later(result):
    cells = cells_of(result)
    maps, used = view_of(result, cells)
    mapped = np.arange(8) % 2 == 0
    maps.place(0, cells[:8], mapped)
    maps.place(0, cells)
    whole = stitch(result.grid, cells, used=used)
    np.testing.assert_allclose(maps.canvases[0], whole[0] - whole[1], atol=1e-5)


@pytest.mark.parametrize("stride_px", [128, 100, 64])
@pytest.mark.parametrize("part", [2, 5, 16, 1000])
def test_above_the_limit_squares_of_pixels_are_summed_up(tmp_path, stride_px, part):
    # A step of 100 px fits no joined cell: its map has pixels of 4 px, a cell has 16.
    result = make_result(tmp_path, stride_px=stride_px)
    cells = cells_of(result)
    _, used = view_of(result, cells)
    luminal = np.subtract(*stitch(result.grid, cells, used=used))
    limit = 2 * luminal.nbytes // part
    maps, _ = view_of(result, cells, memory_bytes=limit)
    maps.place(0, cells)
    assert maps.canvases.nbytes <= limit
    kwargs = maps.layers()[-1][1]
    unit = {128: 8.0, 100: 2.0, 64: 8.0}[stride_px]
    join = int(kwargs["scale"][0] / unit)
    # No coarser than it must be.
    finer = [-(-size // (join - 1)) for size in luminal.shape]
    assert 2 * 4 * finer[0] * finer[1] > limit
    starts = [np.arange(0, size, join) for size in luminal.shape]
    sums = np.add.reduceat(np.add.reduceat(luminal, starts[0], 0), starts[1], 1)
    np.testing.assert_allclose(maps.canvases[0], sums, atol=1e-4)
    np.testing.assert_allclose(maps.canvases[1], -sums, atol=1e-4)
    # The first joined pixel begins where the slide does.
    assert kwargs["scale"] == (join * unit,) * 2
    np.testing.assert_allclose(kwargs["translate"], (join * unit - MPP) / 2)
    bottom, right = maps.box(np.array([[0, 0], [0, 0]]))[2:]
    assert (bottom, right) == (join * unit / MPP,) * 2


def test_a_limit_below_one_pixel_ends_at_one_pixel(tmp_path):
    result = make_result(tmp_path)
    cells = cells_of(result)
    maps, used = view_of(result, cells, memory_bytes=0)
    maps.place(0, cells)
    assert maps.canvases.shape == (2, 1, 1)
    total = cells[used].sum(axis=(0, 2, 3), dtype=np.float64)
    np.testing.assert_allclose(maps.canvases[0], total[0] - total[1], rtol=1e-3)


def test_layers_tell_of_the_patch_under_the_cursor(result):
    viewer = ViewerModel()
    watch_layers(viewer)
    maps, _ = view_of(result, cells_of(result))
    facts = gather_facts(result)
    y, x = (result.grid.origin[5] + 64) * 0.5 - 0.25
    for number, (data, kwargs, _) in zip((1, 0), maps.layers(), strict=True):
        layer = viewer.add_layer(Image(data, **kwargs))
        told = layer.get_status((y, x), world=True)["value"]
        assert told == facts.words(5, number) != ""


def test_layers_show_the_canvases_themselves(result):
    cells = cells_of(result)
    maps, _ = view_of(result, cells)
    layers = [Image(data, **kwargs) for data, kwargs, _ in maps.layers()]
    assert [layer.name for layer in layers] == [
        "hires-cam: Basal/HER2 (in view)",
        "hires-cam: Luminal (in view)",
    ]
    assert [layer.visible for layer in layers] == [False, True]
    assert all(is_in_view(layer) for layer in layers)
    assert not np.asarray(layers[1].data).any()
    maps.place(0, cells)
    np.testing.assert_array_equal(layers[1].data, maps.canvases[0])
    assert layers[1].metadata[METADATA_KEY]["method"] == "hires-cam"


def test_a_view_is_told_in_pixels_of_the_slide(tmp_path):
    result = make_result(tmp_path)
    maps, _ = view_of(result, cells_of(result))
    # A cell is 16 px wide.
    corners = np.array([[0, 2], [7, 9]])
    assert maps.box(corners) == (0, 32, 128, 160)


def test_a_job_is_followed_in_its_own_thread(tmp_path):
    result = make_result(tmp_path)
    cells = cells_of(result)
    maps, _ = view_of(result, cells)
    closed = []

    def job():
        try:
            yield Progress("maps", 3, 6, partial=PartialCells(0, cells[:3]))
            yield Progress("maps", 6, 6, partial=PartialCells(3, cells[3:6]))
        finally:
            closed.append(True)

    events = follow_cells(job(), maps)
    assert next(events).partial is None
    assert maps.measured.largest == pytest.approx(np.abs(maps.canvases).max())
    events.close()
    assert closed == [True]
    drawn = np.zeros((2, *maps.canvases.shape[1:]), np.float32)
    drawn[:] = maps.canvases
    maps.place(0, cells[:3])
    np.testing.assert_array_equal(maps.canvases, drawn)
