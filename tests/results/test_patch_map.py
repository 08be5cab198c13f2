import numpy as np
import pytest
import zarr

from builders.stores import begin_store, complete_store
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results.patch_map import (
    MapSpec,
    PatchMap,
    read_patch_map,
    write_patch_map,
)
from napari_mmsubtype.results.store import open_result


def some_map(seed=0, reference=0):
    draw = np.random.default_rng(seed)
    points = draw.normal(size=(20, 2)).astype(np.float32)
    points[3] = np.nan
    return PatchMap(
        points,
        MapSpec(seed=seed, neighbors=7),
        draw.normal(size=(reference, 2)).astype(np.float32),
        draw.integers(0, 2, reference).astype(np.uint8),
    )


@pytest.mark.parametrize("reference", [0, 30])
def test_what_is_written_is_read(tmp_path, reference):
    path = begin_store(tmp_path).path
    write_patch_map(path, some_map(1))
    made = some_map(2, reference)
    write_patch_map(path, made)
    found = open_result(path).patch_map
    np.testing.assert_array_equal(found.points, made.points)
    np.testing.assert_array_equal(found.reference, made.reference)
    np.testing.assert_array_equal(found.reference_class, made.reference_class)
    assert found.spec == made.spec
    assert found.is_reference == (reference > 0)


def test_a_store_without_a_map_has_none(tmp_path):
    assert complete_store(tmp_path).patch_map is None


def test_a_map_that_was_interrupted_is_none_and_the_result_stays(tmp_path, monkeypatch):
    result = complete_store(tmp_path)
    write_patch_map(result.path, some_map(1))
    create, calls = zarr.Group.create_array, []

    def fail_at_the_third(*words, **more):
        calls.append(words)
        if len(calls) == 3:
            raise OSError(28, "No space left on device")
        return create(*words, **more)

    monkeypatch.setattr(zarr.Group, "create_array", fail_at_the_third)
    with pytest.raises(StoreError, match="No space left on device; the result is as"):
        write_patch_map(result.path, some_map(2))
    assert read_patch_map(result.path) is None
    assert open_result(result.path).status == "complete"


@pytest.mark.parametrize("name", ["patches", "reference", "reference_class"])
def test_a_part_that_was_lost_is_told(tmp_path, name):
    path = begin_store(tmp_path).path
    write_patch_map(path, some_map(2, 30))
    next((path / "umap" / name / "c").rglob("0*")).rename(tmp_path / "lost")
    with pytest.raises(StoreError, match=f"damaged at umap/{name}: "):
        read_patch_map(path)
