from __future__ import annotations

import io

import anndata
import numpy as np
import pandas as pd
import pytest

from builders.omics import clinical_frame, tpm_frame, write
from napari_mmsubtype.omics.table import read_here
from napari_mmsubtype.omics.table_stream import (
    pack_table,
    receive,
    send,
    unpack_table,
)


def carried(table: anndata.AnnData) -> anndata.AnnData:
    stream = io.BytesIO()
    send(stream, *pack_table(table))
    stream.seek(0)
    facts, blobs = receive(stream)
    assert receive(stream) is None
    return unpack_table(facts, blobs)


def assert_same(found: anndata.AnnData, table: anndata.AnnData) -> None:
    assert found.X.dtype == table.X.dtype
    np.testing.assert_array_equal(found.X, table.X)
    options = {"check_index_type": True, "check_exact": True}
    pd.testing.assert_frame_equal(found.obs, table.obs, **options)
    pd.testing.assert_frame_equal(found.var, table.var, **options)
    assert found.uns == table.uns


@pytest.mark.parametrize(
    "frame", [tpm_frame(5), clinical_frame(5)], ids=["rna", "clinical"]
)
def test_tables_arrive_as_they_were(tmp_path, frame):
    table = read_here(write(frame, tmp_path / "t.csv"))
    found = carried(table)
    assert_same(found, table)
    found.obs["sample"] = "may be changed"
    found.X[:] = 0


def test_every_type_of_column_arrives():
    obs = pd.DataFrame(
        {
            "words": np.array(["a", None, float("nan"), "ü\n\ud800"], dtype=object),
            "mixed": np.array([1, 2.5, True, "x"], dtype=object),
            "whole": np.arange(4, dtype=np.int8),
            "yes": [True, False, True, True],
            "day": pd.to_datetime(["2020-01-01", None, "2021-01-01", "2022-01-01"]),
            "level": pd.Categorical(["lo", "hi", None, "lo"], ["lo", "hi"], True),
            "gaps": pd.array([1, None, 3, 4], dtype="Int64"),
            "text": pd.array(["a", None, "c", "d"], dtype="string"),
        },
        index=pd.Index(["s1", "s2", "s3", "s4"], name="who"),
    )
    table = anndata.AnnData(
        X=np.array([[np.nan], [np.inf], [-0.0], [1e-45]], dtype=np.float32),
        obs=obs,
        var=pd.DataFrame(index=["g"]),
        uns={"mmsubtype": {"steps": ["one", "zwei"]}},
    )
    found = carried(table)
    assert_same(found, table)
    words = found.obs["words"].tolist()
    assert words[1] is None
    assert np.isnan(words[2])
    assert [type(cell) for cell in found.obs["mixed"]] == [int, float, bool, str]


def test_long_columns_go_in_pieces():
    names = [f"cg{i:08d}" for i in range(45_000)]
    table = anndata.AnnData(
        X=np.zeros((1, len(names)), np.float32), var=pd.DataFrame(index=names)
    )
    facts, blobs = pack_table(table)
    assert facts["var"]["index"]["cells"][1] - facts["var"]["index"]["cells"][0] == 3
    assert len(blobs) > 3
    assert list(carried(table).var_names) == names


def test_a_stream_that_ends_early_is_told_from_a_message():
    stream = io.BytesIO()
    send(stream, {"kind": "x"}, [memoryview(b"abcdef")])
    whole = stream.getvalue()
    assert receive(io.BytesIO(whole)) == ({"kind": "x"}, [bytearray(b"abcdef")])
    for length in range(len(whole)):
        assert receive(io.BytesIO(whole[:length])) is None
