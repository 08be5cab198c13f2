import numpy as np

from builders.results import MPP, make_result
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.plugin.placement import METADATA_KEY, map_placement, patch_sizes


def test_a_map_begins_where_the_first_pixel_begins(tmp_path):
    result = make_result(tmp_path)
    placement = map_placement(result, "trial", PixelSize(8.0, 16.0))
    corner = np.asarray(placement["translate"]) - np.asarray(placement["scale"]) / 2
    np.testing.assert_allclose(corner, -MPP / 2)
    assert placement["units"] == ("um", "um")
    assert placement["metadata"][METADATA_KEY] == {
        "kind": "trial",
        "store": str(result.path),
        "path": "missing.svs",
    }


def test_a_cell_of_overlapping_patches_stands_for_the_patch_about_its_center(tmp_path):
    result = make_result(tmp_path, stride_px=64)
    step, side = patch_sizes(result)
    assert (step, side) == (PixelSize(32.0, 32.0), PixelSize(64.0, 64.0))
    placement = map_placement(result, "trial", step, side)
    assert placement["scale"] == (32.0, 32.0)
    np.testing.assert_allclose(placement["translate"], (64 - MPP) / 2)
