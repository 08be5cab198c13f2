import pytest

from napari_mmsubtype.slides.slide_name import slide_name


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("/a/TCGA-E2-A14V-01Z-00-DX1.tif", "TCGA-E2-A14V-01Z-00-DX1"),
        ("b.ome.tif", "b"),
        ("b.ome.zarr.zip", "b"),
        ("b.ome.zarr/", "b"),
        ("TCGA-1.0A8F.svs", "TCGA-1.0A8F"),
        ("synthetic:size=64,seed=3,basal=0.35", "synthetic-3"),
        ("synthetic:", "synthetic-0"),
        (".tif", ".tif"),
    ],
)
def test_names_lose_folder_and_endings(path, name):
    assert slide_name(path) == name
