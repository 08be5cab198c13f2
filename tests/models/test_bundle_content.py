from __future__ import annotations

import io
import json
import struct
import zipfile

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from pyarrow import parquet
from safetensors.numpy import save

from napari_mmsubtype.errors import BundleIntegrityError
from napari_mmsubtype.models import bundle_content
from napari_mmsubtype.models.bundle_content import (
    check_content,
    parse_json,
    read_json_file,
)


def check(name, content):
    check_content(name, io.BytesIO(content), len(content), f"{name!r} in bundle 'b'")


def refused(name, content, match):
    with pytest.raises(BundleIntegrityError, match=match) as caught:
        check(name, content)
    text = str(caught.value)
    assert name in text
    assert "\n" not in text
    assert len(text) < 500


def npz(**arrays):
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def table(frame):
    stream = io.BytesIO()
    frame.to_parquet(stream, index=False)
    return stream.getvalue()


def tensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


# JSON


def test_json_comes_as_it_is():
    assert parse_json('{"a": [1, 2.5, "é", null]}'.encode(), "f") == {
        "a": [1, 2.5, "é", None]
    }


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "not JSON"),
        ("garbage", "not JSON"),
        ('{"a": NaN}', "NaN is no number"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1e999}', "1e999 is no number"),
        ('{"a": 1' + "0" * 400 + "}", r"10000000000000000000\.\.\. is no number"),
        ('{"a": 1, "a": 2}', "'a' stands twice"),
        ('{"b": {"a": 1, "a": 2}}', "'a' stands twice"),
        ("[1]", "holds a list, expected an object"),
        ("null", "holds a NoneType"),
        ('{"a":' * 200 + "1" + "}" * 200, "nested"),
        ('{"a":' + "[" * 100_000, "nested|not JSON"),
        ('{"a": ' + "9" * 100_000 + "}", "not JSON"),
    ],
)
def test_json_bombs_are_refused(text, reason):
    refused("bundle.json", text.encode(), reason)


def test_json_in_another_encoding_is_refused():
    refused("bundle.json", '{"a": "é"}'.encode("latin-1"), "not JSON")


def test_json_of_a_hundred_levels_passes():
    check("bundle.json", ('{"a":' * 100 + "1" + "}" * 100).encode())


def test_json_that_is_too_long_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(bundle_content, "MAX_TEXT_BYTES", 100)
    refused("calibration.json", b'{"a": "' + b"x" * 100 + b'"}', "109 bytes; .* 100")
    path = tmp_path / "calibration.json"
    path.write_bytes(b'{"a": "' + b"x" * 100 + b'"}')
    with pytest.raises(BundleIntegrityError, match="109 bytes"):
        read_json_file(path, "it")


# Text


def test_a_card_is_text():
    check("MODEL_CARD.md", "# Käse\n".encode())
    refused("MODEL_CARD.md", b"\xff\xfe#", "not text in UTF-8")
    refused("MODEL_CARD.md", b"a\0b", "not text in UTF-8")


# Tensors


def test_tensors_pass():
    for arrays in ({}, {"a": np.zeros((2, 3)), "b": np.zeros(0), "c": np.float32(1)}):
        check(
            "weights.safetensors", save({k: np.asarray(v) for k, v in arrays.items()})
        )


ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a safetensors"),
        (b"garbage garbage", "not a safetensors"),
        (struct.pack("<Q", 2**60) + b"{}", "header claims"),
        (struct.pack("<Q", 50) + b"{}", "header claims 50 bytes, expected at most 2"),
        (tensors(b"{not json"), "the header of .*not JSON"),
        (tensors(b'{"a": {}, "a": {}}'), "'a' stands twice"),
        (tensors({"a": 3}), "damaged safetensors header"),
        (tensors({"a": {"dtype": "F32", "shape": [2]}}), "damaged"),
        (tensors({"a": {**ONE, "dtype": "OBJ"}}, bytes(8)), "dtype 'OBJ'"),
        (tensors({"a": {**ONE, "shape": [2**40, 2**40]}}, bytes(8)), "takes 8 bytes"),
        (tensors({"a": {**ONE, "shape": [-2]}}, bytes(8)), "shape"),
        (tensors({"a": {**ONE, "shape": [True]}}, bytes(8)), "shape"),
        (tensors({"a": {**ONE, "data_offsets": [8, 0]}}, bytes(8)), "takes -8 bytes"),
        (tensors({"a": ONE}, bytes(4)), "ends at 8 of 4"),
        (tensors({"a": ONE}, bytes(12)), "ends at 8 of 12"),
        (tensors({"a": ONE, "b": ONE}, bytes(8)), "begins at byte 0 and not at 8"),
    ],
)
def test_tensor_headers_that_lie_are_refused(content, reason):
    refused("weights.safetensors", content, reason)


def test_a_header_that_is_too_long_is_refused(monkeypatch):
    monkeypatch.setattr(bundle_content, "MAX_HEADER_BYTES", 20)
    refused("weights.safetensors", tensors({"a": ONE}, bytes(8)), "expected at most 20")


def test_a_self_test_that_would_take_forever_is_refused(monkeypatch):
    content = save({"patches": np.zeros(1000)})
    monkeypatch.setattr(bundle_content, "MAX_SELFTEST_BYTES", 100)
    check("weights.safetensors", content)
    refused("selftest.safetensors", content, "expected at most 100")


# Arrays


def test_plain_arrays_pass():
    check("reference.npz", npz(a=np.zeros((2, 3)), b=np.array(["x"]), c=np.array(1)))
    check("reference.npz", npz())


def member(content, name="a.npy"):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def header(shape, dtype="<f8"):
    stream = io.BytesIO()
    facts = {"descr": dtype, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, facts)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"garbage", "plain arrays"),
        (npz(a=np.array([{}], dtype=object)), "Python objects are refused"),
        (npz(a=np.zeros(2, dtype=[("x", "O")])), "plain arrays"),
        (npz(a=np.zeros(2, dtype="M8[s]")), "holds datetime64"),
        (member(b"not an array"), "plain arrays"),
        (member(b"\x80\x04.", "data.pkl"), "'data.pkl' in it is no array"),
        (member(header((3,)) + bytes(24), "x/a.npy"), "is no array"),
        (member(header((2**40,)) + bytes(24)), r"claims the shape \(1099511627776,\)"),
        (member(header((3,)) + bytes(800)), r"claims the shape \(3,\)"),
        (member(b"\x93NUMPY\x09\x00" + bytes(100)), "plain arrays"),
    ],
)
def test_arrays_that_are_none_are_refused(content, reason):
    refused("reference.npz", content, reason)


def test_many_or_large_arrays_are_refused(monkeypatch):
    content = npz(**{f"a{i}": np.zeros(3) for i in range(5)})
    monkeypatch.setattr(bundle_content, "MAX_ARRAYS", 4)
    refused("reference.npz", content, "lists 5 arrays")
    monkeypatch.setattr(bundle_content, "MAX_ARRAYS", 5)
    monkeypatch.setattr(bundle_content, "MAX_TABLE_BYTES", 500)
    refused("reference.npz", content, "more than 500 bytes")


# Tables


def test_plain_tables_pass():
    frame = pd.DataFrame(
        {"a": ["x", None], "b": [1.5, 2], "c": [1, 2], "d": [True] * 2}
    )
    check("features/rna.parquet", table(frame))
    check("features/rna.parquet", table(frame.astype({"a": "category"})))
    check("features/rna.parquet", table(frame.iloc[:0]))


def odd(column):
    stream = io.BytesIO()
    parquet.write_table(pa.table({"a": column}), stream)
    return stream.getvalue()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not a readable Parquet table"),
        (b"PAR1" + b"garbage" * 9 + b"PAR1", "not a readable Parquet table"),
        (odd([[1], [2]]), "type list"),
        (odd([{"x": 1}]), "type struct"),
        (odd([b"\x80\x04."]), "type binary"),
        (odd(pa.array([1], pa.timestamp("s"))), "type timestamp"),
    ],
)
def test_tables_of_another_kind_are_refused(content, reason):
    refused("features/rna.parquet", content, reason)


def test_extension_types_are_refused():
    storage = pa.array(["x"], pa.string())
    column = pa.ExtensionArray.from_storage(pa.json_(pa.string()), storage)
    refused("features/rna.parquet", odd(column), "type extension")


def test_two_columns_of_one_name_are_refused():
    stream = io.BytesIO()
    columns = [pa.array([1]), pa.array([2])]
    parquet.write_table(pa.Table.from_arrays(columns, names=["a", "a"]), stream)
    refused("features/rna.parquet", stream.getvalue(), "two columns of one name")


def test_a_small_file_of_a_large_table_is_refused(monkeypatch):
    content = table(pd.DataFrame({"a": np.zeros(100_000)}))
    assert len(content) < 20_000
    check("features/rna.parquet", content)
    monkeypatch.setattr(bundle_content, "MAX_TABLE_CELLS", 99_999)
    refused("features/rna.parquet", content, "100000 rows of 1 columns")
    monkeypatch.setattr(bundle_content, "MAX_TABLE_BYTES", 100)
    refused("features/rna.parquet", content, "table of at most 100")


def test_other_files_are_none_of_its_business():
    check("notes.txt", b"\0\1\2")
