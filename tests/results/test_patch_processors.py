import numpy as np
import pytest

from builders.stores import begin_store
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store import open_result


@pytest.fixture
def store(tmp_path):
    """Five patches of unknown place, three on a card and two on the CPU."""
    writer = begin_store(tmp_path)
    many = [(0, 5, None), (5, 3, "cuda:0"), (8, 2, "cpu")]
    for start, count, device in many:
        if device:
            writer.use_processor(device, "float32")
        cells = np.zeros((count, 2, 4, 4), np.float32)
        ones = np.ones(count, np.uint8)
        writer.write_patches(start, ones, np.ones((count, 5)), cells)
    return writer


def test_patches_are_counted_by_where_they_ran_and_were_drawn(store):
    result = open_result(store.path)
    assert result.processors == {"cuda:0 (float32)": 3, "cpu (float32)": 2}
    assert result.map_processors == result.processors


def test_a_store_of_an_earlier_version_tells_nothing(tmp_path):
    assert open_result(begin_store(tmp_path).path).processors == {}


def test_a_processor_that_is_not_known_is_told(store):
    result = open_result(store.path)
    store._put(schema.PROCESSOR, slice(3, 4), 9)
    with pytest.raises(StoreError, match=r"patches/processor: processor 9 of 2 that"):
        _ = result.processors
    store._put(schema.MAPPED, slice(3, 4), 4)
    with pytest.raises(StoreError, match=r"patches/mapped: processor 3 of 2 that"):
        _ = result.map_processors
