import numpy as np
import pytest
from scipy import ndimage

from napari_mmsubtype.slides import tissue_texture
from napari_mmsubtype.slides.tissue_texture import CELL_PX, find_texture


def noise(shape, sigma, level=243.0, seed=0):
    """Glass as a camera sees it, in whole gray levels."""
    rng = np.random.default_rng(seed)
    return np.rint(level + rng.normal(0, sigma, shape)).astype(np.float32)


def texture(shape, spread, seed=1):
    """Blobs of about 25 um whose brightness has the given standard deviation."""
    rng = np.random.default_rng(seed)
    blobs = ndimage.gaussian_filter(rng.normal(0, 1, shape), 1.5)
    return (blobs / blobs.std() * spread).astype(np.float32)


@pytest.mark.parametrize("sigma", [0, 0.5, 1, 1.5, 2])
@pytest.mark.parametrize("level", [250.0, 225.0, 40.0])
def test_noise_is_no_texture(sigma, level):
    assert not find_texture(noise((200, 230), sigma, level)).any()


def test_uneven_light_is_no_texture():
    slope = np.linspace(222, 250, 200, dtype=np.float32)[:, None]
    assert not find_texture(noise((200, 230), 1, 0.0) + slope).any()


def test_dust_fibers_and_edges_are_no_texture():
    glass = noise((300, 300), 1)
    rng = np.random.default_rng(0)
    for y, x in rng.integers(0, 297, (60, 2)):
        glass[y : y + 2, x : x + 2] -= rng.uniform(20, 120)
    y, x = np.mgrid[:300, :300]
    glass[np.abs(y - 0.7 * x - 40) < 1.5] -= 60
    glass[:, 220:223] -= 40
    assert find_texture(glass).mean() < 0.01
    step = noise((100, 100), 1)
    step[:, 50:] = 255
    assert not find_texture(step).any()


@pytest.mark.parametrize("spread", [4, 8, 20])
def test_textured_squares_are_found_where_they_lie(spread):
    image = noise((200, 240), 1)
    image[60:140, 80:200] += texture((80, 120), spread) - 2 * spread
    found = find_texture(image)
    assert found[65:135, 85:195].all()
    outside = np.ones(image.shape, bool)
    outside[60 - 2 * CELL_PX : 140 + 2 * CELL_PX, 80 - 2 * CELL_PX : 210] = False
    assert not (found & outside).any()


def test_batches_leave_no_trace(monkeypatch):
    image = noise((173, 121), 1)
    image[30:150] += texture((120, 121), 2) - 4
    whole = find_texture(image)
    assert 0.1 < whole.mean() < 0.9
    monkeypatch.setattr(tissue_texture, "BATCH", 7)
    np.testing.assert_array_equal(find_texture(image), whole)


@pytest.mark.parametrize("shape", [(1, 1), (4, 300), (5, 5), (7, 13)])
def test_any_size_will_do(shape):
    assert find_texture(noise(shape, 1)).shape == shape


def test_strips_leave_no_trace(monkeypatch):
    image = noise((173, 121), 1)
    image[30:150] += texture((120, 121), 2) - 4
    whole = find_texture(image)
    assert 0.1 < whole.mean() < 0.9
    for strip in (1, 5):
        monkeypatch.setattr(tissue_texture, "STRIP_CELLS", strip)
        np.testing.assert_array_equal(find_texture(image), whole)
