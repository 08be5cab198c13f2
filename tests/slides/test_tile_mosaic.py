import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.slides.tile_mosaic import assemble

HEIGHT, WIDTH, TILE = 50, 70, (16, 24)
IMAGE = np.random.default_rng(0).integers(0, 250, (HEIGHT, WIDTH, 3), np.uint8)


def cut(row, col):
    y, x = row * TILE[0], col * TILE[1]
    assert 0 <= y < HEIGHT
    assert 0 <= x < WIDTH
    return IMAGE[y : y + TILE[0], x : x + TILE[1]]


@given(
    st.integers(-30, 80), st.integers(-30, 100), st.integers(0, 90), st.integers(0, 90)
)
def test_a_box_equals_the_image_with_white_around_it(y, x, height, width):
    padded = np.full((400, 400, 3), 255, np.uint8)
    padded[100 : 100 + HEIGHT, 100 : 100 + WIDTH] = IMAGE
    region = assemble(Box(y, x, height, width), (HEIGHT, WIDTH), TILE, cut)
    expected = padded[100 + y : 100 + y + height, 100 + x : 100 + x + width]
    assert (region == expected).all()


@given(st.integers(0, 49), st.integers(0, 69), st.integers(1, 50), st.integers(1, 70))
def test_each_tile_that_is_touched_is_asked_for_once(y, x, height, width):
    asked = []

    def read(row, col):
        asked.append((row, col))
        return cut(row, col)

    assemble(Box(y, x, height, width), (HEIGHT, WIDTH), TILE, read)
    rows = {r // TILE[0] for r in range(y, min(y + height, HEIGHT))}
    cols = {c // TILE[1] for c in range(x, min(x + width, WIDTH))}
    assert sorted(asked) == sorted((r, c) for r in rows for c in cols)


def test_tiles_may_be_full_beyond_the_border():
    def full(row, col):
        tile = np.zeros((*TILE, 3), np.uint8)
        part = cut(row, col)
        tile[: part.shape[0], : part.shape[1]] = part
        return tile

    region = assemble(Box(40, 60, 20, 20), (HEIGHT, WIDTH), TILE, full)
    assert (region[:10, :10] == IMAGE[40:, 60:]).all()
    assert (region[10:] == 255).all()
    assert (region[:, 10:] == 255).all()
