import numpy as np
import pytest

from builders.slides import draw_scene
from builders.slides_czi import (
    BGR24,
    BGR48,
    GREY8,
    GREY16,
    JPEG,
    JPEG_XR,
    RAW,
    ZSTD0,
    ZSTD1,
    encode,
)
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.czi_layout import CziTile
from napari_mmsubtype.slides.czi_tiles import decode_tile, refuse_unsupported

IMAGE = draw_scene(40, 60)


def tile(kind=BGR24, compression=RAW, shape=(40, 60)):
    return CziTile(0, 0, shape, 1, 0, 0, kind, compression, 0)


@pytest.mark.parametrize("compression", [RAW, ZSTD0, ZSTD1, JPEG_XR])
def test_colors_are_red_first_whatever_the_encoding(compression):
    data = encode(IMAGE, compression)
    assert (decode_tile(data, tile(compression=compression), None) == IMAGE).all()


def test_jpeg_is_near():
    found = decode_tile(encode(IMAGE, JPEG), tile(compression=JPEG), None)
    assert np.abs(found.astype(int) - IMAGE).mean() < 2


@pytest.mark.parametrize("compression", [RAW, ZSTD0, ZSTD1])
@pytest.mark.parametrize("bits", [None, 16, 12])
def test_16_bits_are_cut_to_those_that_the_camera_fills(compression, bits):
    deep = IMAGE.astype(np.uint16) << ((bits or 16) - 8)
    data = encode(deep, compression)
    found = decode_tile(data, tile(BGR48, compression), bits)
    assert (found == IMAGE).all()


def test_grey_and_transparent_samples():
    grey = np.ascontiguousarray(IMAGE[:, :, 0])
    assert (decode_tile(grey.tobytes(), tile(GREY8), None)[:, :, 2] == grey).all()
    deep = (grey.astype("<u2") << 8).tobytes()
    assert (decode_tile(deep, tile(GREY16), None)[:, :, 1] == grey).all()
    clear = np.zeros((40, 60, 4), np.uint8).tobytes()
    assert (decode_tile(clear, tile(9), None) == 255).all()


def test_a_tile_that_is_not_what_it_should_be():
    with pytest.raises(ValueError, match="holds 5 bytes where 7200"):
        decode_tile(b"12345", tile(), None)
    small = tile(compression=JPEG_XR, shape=(30, 60))
    with pytest.raises(ValueError, match=r"no picture of 30 x 60 px.*40, 60"):
        decode_tile(encode(IMAGE, JPEG_XR), small, None)
    jpeg = encode(IMAGE, JPEG)
    with pytest.raises(ValueError, match="the JPEG ends early"):
        decode_tile(jpeg[:-200] + bytes(200), tile(compression=JPEG), None)
    with pytest.raises(ValueError, match="header of 9 bytes"):
        decode_tile(b"\x09\x01", tile(compression=ZSTD1), None)
    with pytest.raises(ValueError, match="header of 0 bytes"):
        decode_tile(b"", tile(compression=ZSTD1), None)


def test_unknown_kinds_are_refused():
    refuse_unsupported([tile()])
    with pytest.raises(BackendRefusal, match="samples of CZI type 2"):
        refuse_unsupported([tile(), tile(kind=2)])
    with pytest.raises(BackendRefusal, match="CZI compression 2; jpeg, jpegxr"):
        refuse_unsupported([tile(compression=2)])
