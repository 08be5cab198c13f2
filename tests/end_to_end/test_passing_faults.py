"""A drive or network that fails for a moment costs no patch."""

import errno

import pytest

from builders.bundles import tiny_bundle
from builders.slides import write_pyramid_tiff
from napari_mmsubtype.errors import SlideOutOfReachError
from napari_mmsubtype.slides import tile_reader
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tifffile_backend import TifffileBackend
from napari_mmsubtype.slides.tile_cache import TileCache
from napari_mmsubtype.workflows.analyze import analyze

SLIDE = "synthetic:seed=5,size=1536"


@pytest.mark.parametrize("where", ["tissue", "patches"])
def test_a_slide_out_of_reach_stops_the_run_and_is_read_to_the_end_later(
    tmp_path, monkeypatch, where
):
    bundle = tiny_bundle(tmp_path / "tiny")
    path = tmp_path / "a.tif"
    with open_slide(SLIDE) as slide:
        height, width = slide.levels[0].shape
        pixels = slide.read_region(0, 0, 0, height, width)
    write_pyramid_tiff(path, pixels, levels=1, mpp=0.5, compression="deflate")
    whole = analyze(path, bundle, out=tmp_path / "whole", device="cpu")
    read = TifffileBackend.read_tile

    def flaky(self, level, row, col):
        # The store is laid out between the search for tissue and the patches.
        if where == "tissue" or any((tmp_path / "out").glob("*.zarr")):
            raise OSError(errno.EIO, "Input/output error")
        return read(self, level, row, col)

    monkeypatch.setattr(tile_reader, "RETRY_AFTER_S", (0.0,))
    monkeypatch.setattr(TifffileBackend, "read_tile", flaky)
    monkeypatch.setattr(TileCache, "get", lambda _self, _name, load: load())
    with pytest.raises(SlideOutOfReachError, match="which is no damage"):
        analyze(path, bundle, out=tmp_path / "out", device="cpu")
    assert len(list((tmp_path / "out").glob("*.zarr"))) == (where == "patches")
    monkeypatch.undo()
    result = analyze(path, bundle, out=tmp_path / "out", device="cpu")
    assert result.prediction.patches == whole.prediction.patches
    assert result.prediction.patches.unreadable == 0
    assert (result.class_map() == whole.class_map()).all()
