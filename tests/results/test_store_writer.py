import errno

import numpy as np
import pytest

from builders.results import make_attributions
from builders.stores import begin_store
from napari_mmsubtype.errors import StoreError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_writer import StoreWriter


def test_a_run_of_patches_is_done_only_when_its_data_are_there(tmp_path, monkeypatch):
    writer = begin_store(tmp_path)
    order = []
    put = StoreWriter._put
    monkeypatch.setattr(
        StoreWriter,
        "_put",
        lambda self, name, part, data: (
            order.append(name),
            put(self, name, part, data),
        ),
    )
    cells = np.ones((3, 2, 4, 4), np.float32)
    writer.write_patches(2, np.ones(3, np.uint8), np.ones((3, 5)), cells)
    assert order[-1] == schema.STATUS
    assert order[0] == schema.EMBEDDING
    result = open_result(writer.path)
    np.testing.assert_array_equal(result.patch_status[:6], [0, 0, 1, 1, 1, 0])
    assert result.status == "partial"


def test_the_provenance_is_added_to(tmp_path):
    writer = begin_store(tmp_path)
    before = writer.attributes
    facts = {"precision": "bfloat16", "precision_reason": "as asked"}
    writer.use_processor("cpu", "bfloat16", facts)
    used = [{"device": "cpu", "precision": "bfloat16"}]
    expected = {**before["provenance"], **facts}
    whole = {**before, "provenance": expected, "processors": used}
    assert StoreWriter(writer.path).attributes == whole
    assert open_result(writer.path).provenance == expected
    # The processor is known by now; the facts are not.
    writer.use_processor("cpu", "bfloat16", {"precision_reason": "other"})
    again = StoreWriter(writer.path).attributes
    assert again["processors"] == used
    assert again["provenance"]["precision_reason"] == "other"


def test_a_full_disk_is_one_clear_error_and_leaves_a_store_that_opens(
    tmp_path, monkeypatch
):
    writer = begin_store(tmp_path)

    def full(*_args, **_kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zarr.storage._local._put", full)
    with pytest.raises(StoreError, match=r"No space left on device.*resumes"):
        writer.write_patches(0, np.ones(2, np.uint8), np.ones((2, 5)), None)
    with pytest.raises(StoreError, match=r"No space left on device.*resumes"):
        writer.write_attributions(make_attributions())
    with pytest.raises(StoreError, match=r"No space left on device.*resumes"):
        writer.use_processor("cpu", "bfloat16")
    monkeypatch.undo()
    assert (open_result(writer.path).patch_status == 0).all()


def test_the_store_knows_which_patches_ran_where(tmp_path):
    writer = begin_store(tmp_path)
    assert open_result(writer.path).processors == {}
    writer.use_processor("cuda:0", "bfloat16")
    writer.write_patches(0, np.ones(4, np.uint8), np.ones((4, 5)), None)
    # Another process resumes on the CPU, and a third goes back.
    later = StoreWriter(writer.path)
    later.use_processor("cpu", "float32")
    later.write_patches(4, np.ones(2, np.uint8), np.ones((2, 5)), None)
    last = StoreWriter(writer.path)
    last.use_processor("cuda:0", "bfloat16")
    last.write_patches(6, np.ones(1, np.uint8), np.ones((1, 5)), None)
    found = open_result(writer.path).processors
    assert found == {"cuda:0 (bfloat16)": 5, "cpu (float32)": 2}
    assert last.read(schema.PROCESSOR)[:8].tolist() == [1, 1, 1, 1, 2, 2, 1, 0]
