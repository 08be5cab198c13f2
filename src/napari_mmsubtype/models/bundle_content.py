"""What the files of a bundle may hold, checked before a library reads them."""

from __future__ import annotations

import json
import math
import struct
import zipfile
from typing import IO, TYPE_CHECKING, Any, NoReturn

import numpy as np

from napari_mmsubtype.errors import BundleIntegrityError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

MAX_TEXT_BYTES = 16 * 2**20
MAX_HEADER_BYTES = 16 * 2**20
MAX_SELFTEST_BYTES = 256 * 2**20
MAX_TABLE_BYTES = 2 * 2**30
MAX_TABLE_CELLS = 500_000_000
MAX_ARRAYS = 1_000

# https://github.com/huggingface/safetensors#format: bits of each kind of number.
_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "I16": 16, "U16": 16,
    "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64,
    "F64": 64,
}  # fmt: skip
_MAX_DIGITS = 20
"""Of a whole number: as many as 64 bits have, with a sign."""

_MAX_DEPTH = 100
_AGAIN = "copy or download the bundle again"


def check_content(name: str, stream: IO[bytes], size: int, where: str) -> None:
    """Refuse a file whose inside is not what its name says.

    Parameters
    ----------
    name : str
        Path inside the bundle; files of other kinds than a bundle's pass.
    stream : binary file
        At its start; can seek.
    size : int
        Bytes that it holds.
    where : str
        Names file and bundle, for the message.

    Raises
    ------
    BundleIntegrityError
        One sentence: what was found and what was expected.
    """
    if name.endswith(".json"):
        parse_json(_text(stream, size, where), where)
    elif name.endswith(".md"):
        _check_text(_text(stream, size, where), where)
    elif name.endswith(".safetensors"):
        limit = MAX_SELFTEST_BYTES if name.startswith("selftest") else None
        _check_tensors(stream, size, where, limit)
    elif name.endswith(".npz"):
        _check_arrays(stream, where)
    elif name.endswith(".parquet"):
        _check_table(stream, size, where)


def parse_json(data: bytes, where: str) -> dict[str, Any]:
    """Read an object of JSON as the standard has it.

    Parameters
    ----------
    data : bytes
        UTF-8.
    where : str
        Names file and bundle, for the message.

    Returns
    -------
    dict
        Plain types; no NaN and no infinity among them.

    Raises
    ------
    BundleIntegrityError
        If it is no object of JSON, has a key twice, or nests too deeply.
    """
    try:
        content = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_no_constant,
            parse_float=_finite,
            parse_int=_counted,
        )
        too_deep = _depth(content) > _MAX_DEPTH
    except RecursionError:
        too_deep = True
    except ValueError as err:
        msg = f"{where} is not JSON ({err}); {_AGAIN}"
        raise BundleIntegrityError(msg) from err
    if too_deep:
        msg = f"{where} is not JSON that is read (nested more than {_MAX_DEPTH} deep)"
        raise BundleIntegrityError(msg)
    if not isinstance(content, dict):
        msg = f"{where} holds a {type(content).__name__}, expected an object"
        raise BundleIntegrityError(msg)
    return content


def read_json_file(path: Path, where: str) -> dict[str, Any]:
    """Read a JSON object from a file that nobody vouches for.

    Parameters
    ----------
    path : Path
        The file.
    where : str
        Names file and bundle, for the message.

    Returns
    -------
    dict
        As `parse_json`.

    Raises
    ------
    BundleIntegrityError
        If it is too large, or no object of JSON.
    """
    with path.open("rb") as stream:
        return parse_json(_text(stream, path.stat().st_size, where), where)


def _text(stream: IO[bytes], size: int, where: str) -> bytes:
    if size > MAX_TEXT_BYTES:
        msg = f"{where} has {size} bytes; expected text of at most {MAX_TEXT_BYTES}"
        raise BundleIntegrityError(msg)
    return stream.read(MAX_TEXT_BYTES + 1)


def _check_text(data: bytes, where: str) -> None:
    try:
        plain = "\0" not in data.decode("utf-8")
    except UnicodeDecodeError:
        plain = False
    if not plain:
        msg = f"{where} is not text in UTF-8; {_AGAIN}"
        raise BundleIntegrityError(msg)


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    content = dict(pairs)
    if len(content) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        msg = f"the key {twice[:40]!r} stands twice in one object"
        raise ValueError(msg)
    return content


def _no_constant(text: str) -> NoReturn:
    msg = f"{text} is no number of JSON"
    raise ValueError(msg)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        _no_constant(text[:40])
    return value


def _counted(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        _no_constant(f"{text[:20]}...")
    return int(text)


def _depth(content: Any) -> int:
    """Count levels of objects and lists, without recursion."""
    depth, level = 0, [content]
    while level := [
        inner
        for item in level
        if isinstance(item, dict | list)
        for inner in (item.values() if isinstance(item, dict) else item)
    ]:
        depth += 1
        if depth > _MAX_DEPTH:
            break
    return depth


def _check_tensors(stream: IO[bytes], size: int, where: str, limit: int | None) -> None:
    """Check the header of a safetensors file against the bytes that follow it."""
    if limit is not None and size > limit:
        msg = f"{where} has {size} bytes; expected at most {limit}"
        raise BundleIntegrityError(msg)
    head = stream.read(9)
    if len(head) < 9 or head[8:] != b"{":
        msg = f"{where} is not a safetensors file; {_AGAIN}"
        raise BundleIntegrityError(msg)
    length = struct.unpack("<Q", head[:8])[0]
    if length > min(MAX_HEADER_BYTES, size - 8):
        msg = (
            f"{where} is not a safetensors file: its header claims {length} bytes, "
            f"expected at most {min(MAX_HEADER_BYTES, size - 8)}"
        )
        raise BundleIntegrityError(msg)
    header = parse_json(head[8:] + stream.read(length - 1), f"the header of {where}")
    header.pop("__metadata__", None)
    end = 0
    try:
        spans = sorted((_span(entry), name) for name, entry in header.items())
        for (begin, stop), name in spans:
            if begin != end:
                _bad_tensor(name, f"begins at byte {begin} and not at {end}")
            end = stop
        if end != size - 8 - length:
            _bad_tensor("the last", f"ends at {end} of {size - 8 - length} bytes")
    except (ValueError, KeyError, TypeError) as err:
        msg = f"{where} has a damaged safetensors header ({err}); {_AGAIN}"
        raise BundleIntegrityError(msg) from err


def _span(entry: Any) -> tuple[int, int]:
    """Give the bytes of a tensor, if its kind, shape and place agree."""
    shape, (begin, end) = entry["shape"], entry["data_offsets"]
    bits = _BITS.get(entry["dtype"])
    if bits is None or not all(type(n) is int and n >= 0 for n in (begin, end, *shape)):
        _bad_tensor("a tensor", f"has dtype {entry['dtype']!r} and shape {shape!r}")
    elif math.prod(shape) * bits != (end - begin) * 8:
        _bad_tensor("a tensor", f"of shape {shape!r} takes {end - begin} bytes")
    return begin, end


def _bad_tensor(name: str, what: str) -> None:
    msg = f"{name[:80]} {what[:120]}"
    raise ValueError(msg)


def _check_arrays(stream: IO[bytes], where: str) -> None:
    """Check that an npz file holds plain arrays of the sizes they claim."""
    try:
        with zipfile.ZipFile(stream) as archive:
            members = archive.infolist()
            names = [member.filename for member in members]
            if len(members) > MAX_ARRAYS or len(set(names)) != len(names):
                _refuse_arrays(f"it lists {len(names)} arrays, some of them twice")
            if sum(member.file_size for member in members) > MAX_TABLE_BYTES:
                _refuse_arrays(f"it would unpack to more than {MAX_TABLE_BYTES} bytes")
            for member in members:
                if not member.filename.endswith(".npy") or "/" in member.filename:
                    _refuse_arrays(f"{member.filename[:80]!r} in it is no array")
                with archive.open(member) as entry:
                    _check_array(entry, member.filename, member.file_size)
    except (ValueError, OSError, zipfile.BadZipFile, EOFError, RuntimeError) as err:
        msg = (
            f"{where} does not hold plain arrays ({err}); arrays of Python objects are "
            "refused"
        )
        raise BundleIntegrityError(msg) from err


def _check_array(entry: IO[bytes], name: str, size: int) -> None:
    version = np.lib.format.read_magic(entry)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    if version not in readers:
        _refuse_arrays(f"{name!r} has format version {version}")
    shape, _, dtype = readers[version](entry)
    if dtype.hasobject or dtype.kind not in "biufUS":
        _refuse_arrays(f"{name!r} holds {dtype}")
    if math.prod(shape) * dtype.itemsize != size - entry.tell():
        _refuse_arrays(f"{name!r} claims the shape {shape} in {size} bytes")


def _refuse_arrays(reason: str) -> None:
    raise ValueError(reason)


def _check_table(stream: IO[bytes], size: int, where: str) -> None:
    """Check that a Parquet file has plain columns and a size that can be read."""
    import pyarrow
    from pyarrow import parquet

    if size > MAX_TABLE_BYTES:
        msg = f"{where} has {size} bytes; expected a table of at most {MAX_TABLE_BYTES}"
        raise BundleIntegrityError(msg)
    try:
        with parquet.ParquetFile(stream) as table:
            facts, schema = table.metadata, table.schema_arrow
            unpacked = sum(
                facts.row_group(i).total_byte_size for i in range(facts.num_row_groups)
            )
    except (OSError, ValueError, pyarrow.ArrowException) as err:
        reason = " ".join(str(err).split())[:200]
        msg = f"{where} is not a readable Parquet table ({reason}); {_AGAIN}"
        raise BundleIntegrityError(msg) from err
    if len(set(schema.names)) != len(schema.names):
        msg = f"{where} has two columns of one name; expected different names"
        raise BundleIntegrityError(msg)
    for column in schema:
        if not _plain(column.type):
            msg = (
                f"{where} has the column {column.name!r} of type {column.type}; "
                "expected numbers, text or true and false"
            )
            raise BundleIntegrityError(msg)
    if facts.num_rows * len(schema) > MAX_TABLE_CELLS or unpacked > MAX_TABLE_BYTES:
        msg = (
            f"{where} would unpack to {facts.num_rows} rows of {len(schema)} columns "
            f"({unpacked} bytes); expected at most {MAX_TABLE_CELLS} cells"
        )
        raise BundleIntegrityError(msg)


def _plain(kind: Any) -> bool:
    from pyarrow import types

    if types.is_dictionary(kind):
        return _plain(kind.value_type)
    return any(
        test(kind)
        for test in (
            types.is_boolean,
            types.is_integer,
            types.is_floating,
            types.is_string,
            types.is_large_string,
            types.is_null,
        )
    )
