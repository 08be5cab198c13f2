import gc
import pickle
import weakref

import numpy as np
import pytest

from builders.slides import break_tile, draw_scene, write_pyramid_tiff, write_svs
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import MissingPixelSizeError, SlideReadError
from napari_mmsubtype.slides.backend import Level
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.slide import Slide

IMAGE = draw_scene()


class FakeBackend:
    name = vendor = compression = "fake"
    mpp_source = MppSource.VENDOR
    icc_profile = None
    associated_names = ("label",)

    def __init__(self, *, pixel_size=None, shape=(50, 70), tile=(16, 24)):
        self.levels = (Level(shape, 1.0),)
        self.tile_shapes = (tile,)
        self.pixel_size = pixel_size
        self.properties = {"objective": "20"}
        self.pixels = np.arange(shape[0] * shape[1] * 3).reshape(*shape, 3) % 251
        self.reads, self.closed = [], 0

    def read_tile(self, level, row, col):
        self.reads.append((row, col))
        if (row, col) == (3, 2):
            raise RuntimeError("bad data")
        h, w = self.tile_shapes[level]
        part = self.pixels[row * h : (row + 1) * h, col * w : (col + 1) * w]
        return part.astype(np.uint8)

    def read_associated(self, name):
        return np.zeros((2, 2, 3), np.uint8)

    def close(self):
        self.closed += 1


def test_a_region_is_put_together_from_tiles_and_white():
    backend = FakeBackend()
    with Slide(backend, path="a.fake") as slide:
        region = slide.read_region(0, -5, -3, 40, 60)
    assert region.shape == (40, 60, 3)
    assert (region[:5] == 255).all()
    assert (region[:, :3] == 255).all()
    assert (region[5:, 3:] == backend.pixels[:35, :57]).all()


def test_each_tile_is_decoded_once():
    backend = FakeBackend()
    with Slide(backend, path="a.fake") as slide:
        for _ in range(3):
            slide.read_region(0, 0, 0, 40, 40)
    assert sorted(backend.reads) == sorted(set(backend.reads))


def test_a_region_outside_is_white_and_reads_nothing():
    backend = FakeBackend()
    with Slide(backend, path="a.fake") as slide:
        assert (slide.read_region(0, 500, 0, 4, 4) == 255).all()
        assert slide.read_region(0, 0, 0, 0, 5).shape == (0, 5, 3)
    assert backend.reads == []


def test_a_wrong_level_or_size_is_a_callers_mistake():
    with Slide(FakeBackend(), path="a.fake") as slide:
        with pytest.raises(ValueError, match="levels 0 to 0, not 3"):
            slide.read_region(3, 0, 0, 1, 1)
        with pytest.raises(ValueError, match="cannot be"):
            slide.read_region(0, 0, 0, -1, 1)


def test_a_damaged_tile_names_itself_and_leaves_the_others():
    with Slide(FakeBackend(), path="a.fake") as slide:
        with pytest.raises(
            SlideReadError, match=r"row 3, column 2\).*a\.fake.*bad data"
        ):
            slide.read_region(0, 0, 0, 50, 70)
        assert slide.read_region(0, 0, 0, 16, 24).any()


def test_a_damaged_tile_of_a_real_file(tmp_path):
    path = tmp_path / "a.svs"
    write_svs(path, IMAGE)
    break_tile(path, 0, 9)
    with open_slide(path) as slide:
        with pytest.raises(SlideReadError, match=r"row 1, column 1\) of level 0"):
            slide.read_region(0, 128, 128, 10, 10)
        assert slide.read_region(0, 0, 0, 128, 128).shape == (128, 128, 3)


def test_closing_twice_and_reading_after():
    backend = FakeBackend()
    slide = Slide(backend, path="a.fake")
    slide.close()
    slide.close()
    assert backend.closed == 1
    assert slide.is_closed
    with pytest.raises(SlideReadError, match="closed; open it again"):
        slide.read_region(0, 0, 0, 4, 4)
    with pytest.raises(SlideReadError, match="closed"):
        slide.read_associated("label")


def test_a_forgotten_slide_closes_itself():
    backend = FakeBackend()
    slide = Slide(backend, path="a.fake")
    gone = weakref.ref(slide)
    slide.pyramid()
    del slide
    gc.collect()
    assert gone() is None
    assert backend.closed == 1


def test_pixel_size_of_the_file_of_the_user_and_none():
    with Slide(FakeBackend(pixel_size=PixelSize.square(0.25)), path="a") as slide:
        assert slide.require_pixel_size() == PixelSize.square(0.25)
        assert slide.mpp_source is MppSource.VENDOR
    with Slide(FakeBackend(), path="a", mpp=0.5) as slide:
        assert slide.mpp_source is MppSource.USER
    bogus = FakeBackend(pixel_size=PixelSize.square(353))
    with Slide(bogus, path="a") as slide:
        assert slide.pixel_size == PixelSize.square(0.5)
        assert slide.mpp_source is MppSource.OBJECTIVE
        assert slide.info()["mpp_is_guess"]
    bogus.properties = {}
    with Slide(bogus, path="a") as slide:
        assert slide.pixel_size is None
        with pytest.raises(MissingPixelSizeError, match=r"353.*--mpp 0\.25"):
            slide.require_pixel_size()


def test_associated_images_are_lazy_and_named(tmp_path):
    write_svs(tmp_path / "a.svs", IMAGE)
    with open_slide(tmp_path / "a.svs") as slide:
        assert (slide.associated["macro"]() == 120).all()
        with pytest.raises(KeyError):
            slide.read_associated("photo")


def test_pickling_opens_the_same_slide_again(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE)
    with open_slide(tmp_path / "a.tif", mpp=0.3) as slide:
        copy = pickle.loads(pickle.dumps(slide))
        expected = slide.read_region(0, 9, 9, 50, 50)
    with copy:
        assert (copy.read_region(0, 9, 9, 50, 50) == expected).all()
        assert copy.pixel_size == PixelSize.square(0.3)


def test_a_slide_in_memory_says_why_it_does_not_pickle():
    with (
        Slide(FakeBackend(), path="a") as slide,
        pytest.raises(TypeError, match="open_slide"),
    ):
        pickle.dumps(slide)


def test_storage_block_is_whole_tiles():
    with Slide(FakeBackend(tile=(240, 2200)), path="a") as slide:
        assert slide.storage_tile == (2160, 2200)


@pytest.mark.parametrize(
    ("width", "tile", "rows"),
    [
        (14_000, 256, 2048),
        # Two rows of blocks would not be kept until they are needed again.
        (15_000, 256, 256),
        (100_000, 240, 240),
        # Two rows of tiles would not either.
        (100_000, 512, 2048),
    ],
)
def test_rows_of_a_wide_slide_are_as_high_as_can_be_kept(width, tile, rows):
    backend = FakeBackend(tile=(tile, tile))
    backend.levels = (Level((width, width), 1.0),)
    with Slide(backend, path="a") as slide:
        assert slide.storage_tile == (rows, tile * -(-2048 // tile))


def test_repr_says_what_it_is():
    with Slide(FakeBackend(), path="x/a.svs") as slide:
        assert repr(slide) == "<Slide 'a' 50 x 70 px, fake>"
