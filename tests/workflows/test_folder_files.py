"""Files are written whole or not at all."""

import json

import numpy as np
import pandas as pd

from napari_mmsubtype.workflows.folder_files import (
    finite,
    write_array,
    write_json,
    write_parquet,
)


def test_what_json_lacks_becomes_null_or_plain(tmp_path):
    content = {
        "a": np.float32(0.5),
        "b": [np.nan, np.inf, np.int64(3), np.True_],
        4: (np.array([1.0, np.nan]), "ä"),
    }
    plain = {"a": 0.5, "b": [None, None, 3, True], "4": [[1.0, None], "ä"]}
    assert finite(content) == plain
    assert json.loads(write_json(tmp_path / "x.json", content).read_text()) == plain


def test_arrays_and_tables_come_back(tmp_path):
    values = np.arange(6, dtype=np.float16).reshape(3, 2)
    path = write_array(tmp_path / "bag.npy", values)
    np.testing.assert_array_equal(np.load(path, mmap_mode="r"), values)
    frame = pd.DataFrame({"model": ["a", "b"], "p0": [0.25, np.nan]})
    path = write_parquet(tmp_path / "p.parquet", frame)
    pd.testing.assert_frame_equal(pd.read_parquet(path), frame)
