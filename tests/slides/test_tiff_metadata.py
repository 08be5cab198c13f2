import numpy as np
import pytest
import tifffile

from builders.slides import (
    draw_scene,
    write_ome_tiff,
    write_pyramid_tiff,
    write_qptiff,
    write_svs,
)
from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.slides.tiff_metadata import (
    name_vendor,
    read_pixel_size,
    read_properties,
)

IMAGE = draw_scene(256, 384)


def read(path):
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        size, source = read_pixel_size(tif, page)
        return size, source, read_properties(tif, page), name_vendor(tif)


def test_aperio_description(tmp_path):
    write_svs(tmp_path / "a.svs", IMAGE, mpp=0.2525)
    size, source, properties, vendor = read(tmp_path / "a.svs")
    assert size == PixelSize.square(0.2525)
    assert source is MppSource.VENDOR
    assert properties["aperio.MPP"] == "0.2525"
    assert properties["objective"] == "20"
    assert vendor == "aperio"


def test_aperio_without_mpp_does_not_guess_from_the_objective(tmp_path):
    write_svs(tmp_path / "a.svs", IMAGE, mpp=None)
    size, source, properties, _ = read(tmp_path / "a.svs")
    assert size is None
    assert source is MppSource.NONE
    assert properties["objective"] == "20"


@pytest.mark.parametrize("unit", ["µm", "nm", "mm"])
def test_ome_physical_size_in_any_unit(tmp_path, unit):
    write_ome_tiff(tmp_path / "a.ome.tif", IMAGE, mpp=0.25, unit=unit)
    size, source, _, vendor = read(tmp_path / "a.ome.tif")
    assert size.y == pytest.approx(0.25)
    assert size.x == pytest.approx(0.25)
    assert source is MppSource.VENDOR
    assert vendor == "ome-tiff"


def test_ome_people_and_dates(tmp_path):
    path = tmp_path / "a.ome.tif"
    space = "http://www.openmicroscopy.org/Schemas/OME/2016-06"
    text = (
        f'<?xml version="1.0"?><OME xmlns="{space}">'
        '<Experimenter ID="Experimenter:0" LastName="Doe"/>'
        '<ExperimenterGroup ID="ExperimenterGroup:0"/>'
        '<Instrument ID="Instrument:0"><Objective ID="Objective:0" '
        'NominalMagnification="40.0"/></Instrument>'
        '<Image ID="Image:0"><AcquisitionDate>2020-01-02</AcquisitionDate>'
        '<Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="32" '
        'SizeY="32" SizeC="3" SizeZ="1" SizeT="1"><Channel ID="Channel:0" '
        'SamplesPerPixel="3"/><TiffData IFD="0" PlaneCount="1"/></Pixels></Image></OME>'
    )
    pixels = np.zeros((32, 32, 3), np.uint8)
    tifffile.imwrite(path, pixels, description=text, metadata=None, photometric="rgb")
    _, _, properties, _ = read(path)
    assert properties["ome.Experimenter"] == "Experimenter:0; Doe"
    assert properties["ome.AcquisitionDate"] == "2020-01-02"
    assert properties["objective"] == "40.0"
    assert "ome.ExperimenterGroup" not in properties


def test_perkinelmer_fields(tmp_path):
    write_qptiff(tmp_path / "a.qptiff", IMAGE, mpp=0.25)
    size, source, properties, vendor = read(tmp_path / "a.qptiff")
    assert size.mean == pytest.approx(0.25)
    assert source is MppSource.RESOLUTION_TAG
    assert properties["objective"] == "20x"
    assert properties["perkinelmer.SlideID"] == "Doe"
    assert vendor == "perkinelmer"


def test_ome_without_physical_size(tmp_path):
    write_ome_tiff(tmp_path / "a.ome.tif", IMAGE, mpp=None)
    size, _, _, _ = read(tmp_path / "a.ome.tif")
    assert size is None or not size.is_plausible


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [("CENTIMETER", 20_000, 0.5), ("INCH", 25_400 / 0.25, 0.25)],
)
def test_resolution_tags_with_their_unit(tmp_path, unit, per_unit, expected):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path, IMAGE, resolution=(per_unit, per_unit * 2), resolutionunit=unit
    )
    size, source, _, vendor = read(path)
    assert size.x == pytest.approx(expected, rel=1e-4)
    assert size.y == pytest.approx(expected / 2, rel=1e-4)
    assert source is MppSource.RESOLUTION_TAG
    assert vendor == "generic-tiff"


def test_resolution_without_a_unit_measures_nothing(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, IMAGE, resolution=(2, 2), resolutionunit="NONE")
    assert read(path)[0] is None


def test_imagej_microns(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(
        path,
        np.zeros((32, 32), np.uint8),
        imagej=True,
        resolution=(4, 4),
        metadata={"unit": "um"},
    )
    assert read(path)[0] == PixelSize.square(0.25)


def test_common_tags_become_properties(tmp_path):
    write_pyramid_tiff(tmp_path / "a.tif", IMAGE, software="scanner 9")
    assert read(tmp_path / "a.tif")[2]["tiff.Software"] == "scanner 9"
