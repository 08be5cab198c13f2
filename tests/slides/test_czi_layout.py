import io
import struct

import pytest

from builders.slides import draw_scene
from builders.slides_czi import BGR24, RAW, CziFile, describe, write_czi
from napari_mmsubtype.errors import SlideOpenError
from napari_mmsubtype.slides.backend import BackendRefusal
from napari_mmsubtype.slides.czi_layout import read_layout, read_tile_data

IMAGE = draw_scene(200, 300)
XML = describe((8, 8), None, 20, 1)


def one_tile(*further, size=8, stored=8):
    file = CziFile()
    places = [("X", 5, size, stored), ("Y", -3, size, stored), *further]
    file.tile(b"x" * 192, BGR24, RAW, places)
    return file


def test_tiles_metadata_and_attachments_are_found(tmp_path):
    write_czi(tmp_path / "a.czi", IMAGE, levels=2, origin=(-40, 24))
    with (tmp_path / "a.czi").open("rb") as file:
        layout = read_layout(file)
        first = layout.tiles[0]
        assert (first.y, first.x, first.shape, first.factor) == (-40, 24, (128, 128), 1)
        assert [tile.order for tile in layout.tiles[:3]] == [0, 1, 2]
        assert {tile.factor for tile in layout.tiles} == {1, 2}
        assert layout.xml.startswith("<ImageDocument>")
        assert set(layout.attachments) == {"Label", "SlidePreview", "Thumbnail"}
        kind, at, length = layout.attachments["Thumbnail"]
        file.seek(at)
        assert kind == "JPG"
        assert file.read(length).startswith(b"\xff\xd8\xff")
        inner = read_layout(file, layout.attachments["Label"][1])
        assert inner.tiles[0].shape == (50, 80)
        assert len(read_tile_data(file, inner.tiles[0])) == 50 * 80 * 3


def test_a_tile_in_an_odd_place_still_has_its_factor():
    file = io.BytesIO(one_tile(size=1025, stored=512).finish(XML))
    assert read_layout(file).tiles[0].factor == 2


@pytest.mark.parametrize("name", ["Z", "T", "H", "C", "B"])
def test_one_plane_is_read_and_several_are_refused(name):
    file = one_tile((name, 0, 1, 1))
    assert len(read_layout(io.BytesIO(file.finish(XML))).tiles) == 1
    file = one_tile((name, 0, 1, 1))
    file.tile(b"", BGR24, RAW, [("X", 0, 8, 8), ("Y", 0, 8, 8), (name, 1, 1, 1)])
    expected = "2 channels" if name == "C" else f"2 planes along '{name}'"
    with pytest.raises(BackendRefusal, match=expected):
        read_layout(io.BytesIO(file.finish(XML)))


@pytest.mark.parametrize("keep", [40, 600, -200])
def test_a_cut_file_is_refused_for_good(tmp_path, keep):
    path = tmp_path / "a.czi"
    write_czi(path, IMAGE)
    path.write_bytes(path.read_bytes()[:keep])
    with path.open("rb") as file, pytest.raises(SlideOpenError, match=r"a\.czi.*trunc"):
        read_layout(file)


def test_what_is_no_whole_czi_is_refused():
    with pytest.raises(BackendRefusal, match="no CZI file"):
        read_layout(io.BytesIO(b"II*\0"))
    with pytest.raises(BackendRefusal, match="no tile"):
        read_layout(io.BytesIO(CziFile().finish(XML)))
    data = bytearray(one_tile().finish(XML))
    struct.pack_into("<i", data, 80, 3)
    with pytest.raises(BackendRefusal, match="one part of several"):
        read_layout(io.BytesIO(data))
    data = bytearray(one_tile().finish(XML))
    place = data.index(b"ZISRAWDIRECTORY")
    data[place : place + 6] = b"NOTHIN"
    with pytest.raises(BackendRefusal, match="ZISRAWDIRECTORY expected"):
        read_layout(io.BytesIO(data))
    data = bytearray(one_tile().finish(XML))
    struct.pack_into("<i", data, place + 32, 9)
    with pytest.raises(BackendRefusal, match="after 1 tiles"):
        read_layout(io.BytesIO(data))
    with pytest.raises(BackendRefusal, match="px for 0 x 0 px"):
        read_layout(io.BytesIO(one_tile(size=0, stored=8).finish(XML)))


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ([("X", 2**30, 8, 8), ("Y", 0, 8, 8)], "px wide of tiles up to 8 px"),
        ([("X", 0, 8, 8), ("Y", 0, 2**20, 2**20)], "high of tiles up to 1,048,576 px"),
    ],
)
def test_places_and_sizes_that_cannot_be_true(place, reason):
    file = one_tile()
    file.tile(b"", BGR24, RAW, place)
    with pytest.raises(BackendRefusal, match=reason):
        read_layout(io.BytesIO(file.finish(XML)))


def test_a_tile_that_is_elsewhere_says_so():
    data = one_tile().finish(XML)
    tile = read_layout(io.BytesIO(data)).tiles[0]
    with pytest.raises(ValueError, match="no tile at byte"):
        read_tile_data(io.BytesIO(b"\0" * 5000), tile)
    with pytest.raises(ValueError, match="does not end"):
        read_tile_data(io.BytesIO(data[:700]), tile)
