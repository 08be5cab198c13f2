from __future__ import annotations

import datetime

import numpy as np
import pandas as pd
import pytest

from builders.omics import GENES, log_frame
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.parquet_file import read_parquet, read_parquet_names


def write(folder, frame, **options):
    frame.to_parquet(folder / "t.parquet", **options)
    return folder / "t.parquet"


def test_index_names_the_rows_wherever_it_is_kept(tmp_path):
    frame = log_frame(4)
    raw = read_parquet(write(tmp_path, frame))
    assert raw.corner == ""
    assert raw.text.iloc[:, 0].tolist() == list(frame.index)
    assert raw.columns == GENES
    assert raw.values.dtype == np.float32
    np.testing.assert_allclose(raw.values, frame, rtol=1e-6)
    frame.index.name = "patient_id"
    assert read_parquet(write(tmp_path, frame)).corner == "patient_id"
    plain = read_parquet(write(tmp_path, frame.reset_index(), index=False))
    assert plain.corner == "patient_id"
    np.testing.assert_array_equal(plain.values, raw.values)


def test_gaps_integers_and_identifiers(tmp_path):
    frame = pd.DataFrame(
        {
            "gene": ["ESR1", None],
            "Entrez_Gene_Id": [100_506_658, 2064],
            "a": pd.array([1, None], dtype="Int64"),
            "b": [None, 2.5],
        }
    )
    raw = read_parquet(write(tmp_path, frame))
    assert raw.text["Entrez_Gene_Id"].tolist() == ["100506658", "2064"]
    assert raw.text["gene"].isna().tolist() == [False, True]
    np.testing.assert_array_equal(raw.values, np.float32([[1, np.nan], [np.nan, 2.5]]))


def test_every_column_can_be_text(tmp_path):
    frame = pd.DataFrame(
        {
            "id": ["P1", "P2"],
            "age": [55.0, np.nan],
            "dose": [2.5, 3.0],
            "seen": [datetime.date(2020, 2, 29), None],
            "stage": pd.Categorical(["I", "NA"]),
        }
    )
    text = read_parquet(write(tmp_path, frame), numeric=False).text
    assert text.iloc[0].tolist() == ["P1", "55", "2.5", "2020-02-29", "I"]
    assert text.iloc[1].isna().tolist() == [False, True, False, True, True]


def test_names_are_read_alone(tmp_path):
    path = write(tmp_path, log_frame(2))
    assert read_parquet_names(path) == [*GENES, ""]
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(TableReadError, match="damaged Parquet"):
        read_parquet_names(path)


@pytest.mark.parametrize(
    ("frame", "words"),
    [
        (pd.DataFrame({"a": [1.0]}), "no column that names its rows"),
        (pd.DataFrame({"id": ["x"], "a": [[1, 2]]}), "'a' holds list"),
        (pd.DataFrame({"id": [], "a": []}), "no row"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, frame, words):
    with pytest.raises(TableReadError, match=f"'t.parquet'.*{words}"):
        read_parquet(write(tmp_path, frame))


def test_damaged_file_is_refused(tmp_path):
    path = write(tmp_path, log_frame(3))
    path.write_bytes(path.read_bytes()[:-50])
    with pytest.raises(TableReadError, match="damaged Parquet"):
        read_parquet(path)
