"""A synthetic slide behind the interface of files."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.synthetic import parse_address, render_region
from napari_mmsubtype.slides.synthetic_backend import TILE_PX, SyntheticBackend

ADDRESS = "synthetic:seed=3,size=600x1100,basal=0.4"


@pytest.fixture
def backend():
    return SyntheticBackend(ADDRESS)


def test_levels_and_pixel_size(backend):
    assert [level.shape for level in backend.levels] == [(600, 1100), (150, 275)]
    assert [level.downsample for level in backend.levels] == [1.0, 4.0]
    assert backend.tile_shapes == ((TILE_PX, TILE_PX),) * 2
    assert backend.pixel_size == PixelSize(0.5, 0.5)
    assert backend.vendor == "synthetic"
    assert backend.properties["synthetic.address"] == ADDRESS


def test_tiles_are_the_rendered_slide_cut_at_the_border(backend):
    whole = render_region(parse_address(ADDRESS), 0, Box(0, 0, 600, 1100))
    tiles = [[backend.read_tile(0, row, col) for col in range(3)] for row in range(2)]
    assert np.array_equal(np.block([[[t] for t in row] for row in tiles]), whole)


def test_threads_read_what_one_thread_reads(backend):
    places = [(0, row, col) for row in range(2) for col in range(3)] * 2
    alone = [backend.read_tile(*place) for place in places]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda place: backend.read_tile(*place), places))
    assert all(map(np.array_equal, alone, together))


def test_survives_pickling_and_closing_twice(backend):
    twin = pickle.loads(pickle.dumps(backend))
    backend.close()
    backend.close()
    assert np.array_equal(twin.read_tile(1, 0, 0), backend.read_tile(1, 0, 0))


def test_has_no_associated_images(backend):
    assert backend.associated_names == ()
    with pytest.raises(KeyError, match="label"):
        backend.read_associated("label")


def test_refuses_nonsense():
    with pytest.raises(ConfigurationError, match="seed=<integer>"):
        SyntheticBackend("synthetic:sed=3")
