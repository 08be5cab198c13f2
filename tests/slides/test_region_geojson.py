import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides.region_geojson import (
    keep_regions,
    read_regions,
    regions_from_geojson,
    regions_to_geojson,
    write_regions,
)
from napari_mmsubtype.slides.regions import Region, draw_region, outline_mask

RING = [[10, 1], [50, 1], [50, 21], [10, 21], [10, 1]]
HOLE = [[20, 5], [30, 5], [30, 15], [20, 15], [20, 5]]


def feature(kind="Polygon", coordinates=(RING,), **properties):
    return {
        "type": "Feature",
        "id": "e1a2",
        "geometry": {"type": kind, "coordinates": list(coordinates)},
        "properties": properties,
    }


def collection(*features):
    return {"type": "FeatureCollection", "features": list(features)}


@pytest.fixture
def read(tmp_path):
    def parse(text, encoding="utf-8"):
        path = tmp_path / "r.geojson"
        path.write_text(text, encoding=encoding)
        return read_regions(path)

    return parse


def test_x_and_y_of_the_file_become_y_and_x(read):
    named = feature(objectType="annotation", classification={"name": "Tumor"})
    (region,) = read(json.dumps(collection(named)))
    assert region.outline.tolist() == [[1, 10], [1, 50], [21, 50], [21, 10]]
    assert region.name == "Tumor"
    assert not region.is_excluded


def test_holes_and_parts_are_kept(read):
    shifted = [[[x + 100, y] for x, y in RING]]
    regions = read(json.dumps(feature("MultiPolygon", [[RING, HOLE], shifted])))
    assert [len(region.holes) for region in regions] == [1, 0]
    assert draw_region(regions[0], (30, 200), (30, 200)).sum() == 40 * 20 - 100


def test_a_bare_list_with_a_byte_order_mark_is_read(read):
    regions = read(json.dumps([feature(), feature()]), encoding="utf-8-sig")
    assert len(regions) == 2


@pytest.mark.parametrize(
    ("properties", "name"),
    [
        ({}, ""),
        ({"classification": None}, ""),
        ({"classification": "Stroma"}, "Stroma"),
        ({"classification": {"names": ["Tumor", "Positive"]}}, "Tumor: Positive"),
        ({"classification": {"name": "Ignore*", "color": [1, 2, 3]}}, "Ignore*"),
    ],
)
def test_the_class_is_found_where_it_stands(properties, name):
    (region,) = regions_from_geojson(feature(**properties))
    assert region.name == name


def test_a_height_is_passed_over():
    (region,) = regions_from_geojson(feature(coordinates=[[[*p, 0] for p in RING]]))
    assert region.outline.shape == (4, 2)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ({"type": "Topology"}, "no GeoJSON features"),
        ({"type": "FeatureCollection"}, "no GeoJSON features"),
        (5, "no GeoJSON features"),
        ([], "no polygons"),
        ([7], "feature 1 of 1: a feature with a geometry"),
        ([feature(), feature("Point", [1, 2])], "feature 2 of 2.*found 'Point'"),
        (feature(coordinates=[]), "no coordinates"),
        (feature(coordinates=[[[0, 0], [1, 1]]]), "at least 3 different corners"),
        (feature(coordinates=[[[0, "a"], [1, 1], [2, 2]]]), "pairs of numbers"),
        (feature(coordinates=[[0, 1, 2]]), "pairs of numbers"),
        (feature("MultiPolygon", [None]), "no coordinates"),
        (feature(coordinates=[[[0, 1e999], [1, 1], [2, 0]]]), "infinity"),
    ],
)
def test_nonsense_is_refused_with_its_place(data, says):
    with pytest.raises(ConfigurationError, match=says):
        regions_from_geojson(data)


@pytest.mark.parametrize("text", ["", "{", "\x00", "[" * 100_000])
def test_what_is_no_json_is_refused_by_name(read, text):
    with pytest.raises(ConfigurationError, match=r"r\.geojson.*not valid JSON"):
        read(text)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    for path in (tmp_path / "absent.geojson", tmp_path):
        with pytest.raises(ConfigurationError, match="cannot read regions"):
            read_regions(path)
        with pytest.raises(ConfigurationError, match="cannot write regions"):
            write_regions(path / "in" / "r.geojson", [Region([(0, 0), (1, 0), (0, 1)])])


def test_bytes_that_are_no_text_are_refused(tmp_path):
    (tmp_path / "r.geojson").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not valid JSON"):
        read_regions(tmp_path / "r.geojson")


def test_the_file_says_what_qupath_expects():
    ring = Region([(0, 0), (0, 4.5), (4, 4)], name="Tumor")
    (entry,) = regions_to_geojson([ring])["features"]
    assert entry["geometry"] == {
        "type": "Polygon",
        "coordinates": [[[0, 0], [4.5, 0], [4, 4], [0, 0]]],
    }
    assert entry["properties"]["classification"] == {"name": "Tumor"}
    assert entry["properties"]["objectType"] == "annotation"


@given(arrays(np.bool_, (9, 11)).filter(np.any), st.sampled_from(["", "Tumor", "π"]))
@settings(max_examples=50)
def test_a_mask_survives_the_file(tmp_path_factory, mask, name):
    path = tmp_path_factory.mktemp("g") / "r.geojson"
    slide = (9 * 13, 11 * 17)
    write_regions(path, outline_mask(mask, slide, name=name))
    found = read_regions(path)
    assert {region.name for region in found} == {name}
    drawn = sum(draw_region(region, slide, mask.shape).astype(int) for region in found)
    assert (drawn == mask).all()


def test_later_regions_never_overwrite_earlier_ones(tmp_path):
    one, other = Region([(0, 0), (0, 9), (9, 9)]), Region([(0, 0), (0, 5), (5, 5)])
    folder = tmp_path / "new" / "folder"
    first = keep_regions(folder, "a", [one])
    assert first == folder / "a.regions.geojson"
    assert keep_regions(folder, "a", [one]) == first
    second = keep_regions(folder, "a", [other])
    assert second != first
    assert keep_regions(folder, "a", [other]) == second
    np.testing.assert_array_equal(read_regions(first)[0].outline, one.outline)
    np.testing.assert_array_equal(read_regions(second)[0].outline, other.outline)
    assert len(list(folder.iterdir())) == 2


def test_regions_beside_a_result_need_a_folder_that_can_be_written(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="choose another folder"):
        keep_regions(tmp_path / "file", "a", [Region([(0, 0), (0, 9), (9, 9)])])
