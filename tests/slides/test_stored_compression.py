import numpy as np
import pytest
import tifffile

from builders.slides import draw_scene, write_pyramid_tiff
from napari_mmsubtype.slides.stored_compression import (
    name_compression,
    name_page_compression,
)

IMAGE = draw_scene(256, 256)


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({"dicom.TransferSyntaxUID": "1.2.840.10008.1.2.4.50"}, "jpeg"),
        ({"dicom.TransferSyntaxUID": "1.2.840.10008.1.2.4.90"}, "jpeg2000"),
        ({"dicom.TransferSyntaxUID": "1.2.840.10008.1.2.1"}, "none"),
        ({"dicom.TransferSyntaxUID": "1.2.3"}, "1.2.3"),
        ({"mirax.LAYER_0_LEVEL_0_SECTION.IMAGE_FORMAT": "JPEG"}, "jpeg"),
        ({"hamamatsu.NoJpegColumns": "2"}, "jpeg"),
    ],
)
def test_names_from_what_openslide_tells(tmp_path, properties, name):
    assert name_compression(str(tmp_path / "absent"), properties) == name


def test_the_largest_page_counts(tmp_path):
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        tif.write(IMAGE[:64, :64], compression="lzw", photometric="rgb")
        tif.write(IMAGE, tile=(64, 64), compression="jpeg", photometric="rgb")
    assert name_compression(str(tmp_path / "a.tif"), {}) == "jpeg"


def test_a_page_is_named(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, compression="zstd")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert name_page_compression(tif.pages.first) == "zstd"


def test_what_is_no_tiff_has_no_name(tmp_path):
    (tmp_path / "a").write_bytes(np.zeros(100, np.uint8).tobytes())
    assert name_compression(str(tmp_path / "a"), {}) == ""
    assert name_compression(str(tmp_path / "absent"), {}) == ""
