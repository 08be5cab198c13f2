"""Bundles that somebody made to do harm, their hashes kept right."""

from __future__ import annotations

import io
import json
import pickle
import stat
import struct
import warnings
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from pyarrow import parquet
from safetensors.numpy import load_file, save_file

from napari_mmsubtype.models.bundle_files import sha256_file
from napari_mmsubtype.models.bundle_names import is_left_behind

if TYPE_CHECKING:
    from collections.abc import Callable

MARK = "mmsubtype-was-here"
"""File in the folder for temporary files that a bomb leaves if it ever runs."""


class Bomb:
    """Leaves a mark if it is ever unpickled."""

    def __reduce__(self):
        return (_leave_mark, ())


def _leave_mark():
    import tempfile

    Path(tempfile.gettempdir(), MARK).touch()


def seal(folder: Path, **changes: object) -> None:
    """Bring the manifest's hashes up to date, as a careful forger would."""
    path = folder / "bundle.json"
    manifest = json.loads(path.read_text()) | changes
    for file in folder.rglob("*"):
        name = file.relative_to(folder).as_posix()
        if file.is_file() and name != path.name and not is_left_behind(name):
            manifest["files"][name] = sha256_file(file)
    path.write_text(json.dumps(manifest))


def zip_folder(folder: Path, target: Path) -> Path:
    """Zip whatever a folder holds."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                archive.write(path, path.relative_to(folder).as_posix())
    return target


def _put(name: str, content: bytes) -> Callable[[Path], None]:
    def change(folder):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(content)
        seal(folder)

    return change


def _archive(name: str, content: bytes) -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr(name, content)
    return stream.getvalue()


def _arrays(**arrays: object) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _array_of(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    facts = {"descr": "<f8", "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(stream, facts)
    return _archive("embedding_mean.npy", stream.getvalue())


def _table(column: object) -> bytes:
    stream = io.BytesIO()
    parquet.write_table(pa.table({"feature": column}), stream)
    return stream.getvalue()


def _header(length: int, text: bytes) -> bytes:
    return struct.pack("<Q", length) + text


def _manifest(text: str) -> Callable[[Path], None]:
    return lambda folder: (folder / "bundle.json").write_text(text) and None


def _listed(name: str) -> Callable[[Path], None]:
    def change(folder):
        manifest = json.loads((folder / "bundle.json").read_text())
        manifest["files"][name] = "0" * 64
        (folder / "bundle.json").write_text(json.dumps(manifest))

    return change


def _overflowing_selftest(folder: Path) -> None:
    tensors = load_file(folder / "selftest.safetensors")
    tensors["logits"] = np.full_like(tensors["logits"], np.nan)
    save_file(tensors, folder / "selftest.safetensors")
    seal(folder)


def _link(folder: Path) -> None:
    (folder / "MODEL_CARD.md").unlink()
    (folder / "MODEL_CARD.md").symlink_to("/etc/hostname")


_PICKLE = pickle.dumps(Bomb(), protocol=4)
_NINE = b'{"a":{"dtype":"U8","shape":[9],"data_offsets":[0,9]}}'
_OLD_PICKLE = pickle.dumps(Bomb(), protocol=0)

FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "pickle by name": (_put("extra.pkl", _PICKLE), "can run code"),
    "pickle as .pt": (_put("weights.pt", _PICKLE), "can run code"),
    "pickle as .bin": (_put("pytorch_model.bin", _OLD_PICKLE), "can run code"),
    "pickle as a card": (_put("MODEL_CARD.md", _PICKLE), "pickle"),
    "old pickle as a card": (_put("MODEL_CARD.md", _OLD_PICKLE), "pickle"),
    "pickle as text": (_put("features/notes.txt", _OLD_PICKLE), "pickle"),
    "pickle as weights": (_put("weights.safetensors", _PICKLE), "safetensors"),
    "pickle as table": (_put("features/rna.parquet", _PICKLE), "pickle"),
    "pickle as json": (_put("calibration.json", _OLD_PICKLE), "not JSON"),
    "pickle among arrays": (
        _put("reference.npz", _archive("data.pkl", _PICKLE)), "no array"
    ),
    "objects in an array": (
        _put("reference.npz", _arrays(a=np.array([Bomb()], dtype=object))), "objects"
    ),
    "torch file as text": (
        _put("notes.txt", _archive("archive/data.pkl", _PICKLE)), "archive"
    ),
    "zip as table": (_put("features/rna.parquet", _archive("a", b"")), "archive"),
    "array of a petabyte": (_put("reference.npz", _array_of((2**47,))), "claims"),
    "header of an exabyte": (
        _put("weights.safetensors", _header(2**60, b"{}")), "header claims"
    ),
    "tensor out of the file": (
        _put("weights.safetensors", _header(len(_NINE), _NINE)), "ends at 9 of 0"
    ),
    "two tensors of one name": (
        _put("weights.safetensors", _header(16, b'{"a":1,"a":2}   ')), "stands twice"
    ),
    "deep manifest": (_manifest('{"a":' * 100_000), "JSON"),
    "deep calibration": (
        _put("calibration.json", b'{"a":' * 500 + b"1" + b"}" * 500), "nested"
    ),
    "temperature that is none": (
        _put("calibration.json", b'{"temperature": NaN}'), "NaN is no number"
    ),
    "infinite temperature": (
        _put("calibration.json", b'{"temperature": 1e999}'), "no number"
    ),
    "two temperatures": (
        _put("calibration.json", b'{"temperature": 1, "temperature": 2}'), "twice"
    ),
    "table of lists": (_put("features/rna.parquet", _table([[1], [2]])), "type list"),
    "table of bytes": (_put("features/rna.parquet", _table([_PICKLE])), "type binary"),
    "table of one column": (_put("features/rna.parquet", _table(["A"])), "feature"),
    "self-test of nothing": (_overflowing_selftest, "fails its self-test"),
    "listed file outside": (_listed("../../etc/passwd"), "outside"),
    "listed device": (_listed("features/NUL.parquet"), "device"),
    "program": (_put("run", b"\x7fELF" + bytes(64)), "program"),
    "script": (_put("install", b"#!/bin/sh\nrm -rf ~\n"), "script"),
    "card in another encoding": (_put("MODEL_CARD.md", b"\xff\xfe\0#"), "UTF-8"),
}  # fmt: skip
"""How the folder of a good bundle is changed, and what must be said of it."""

LINKS: dict[str, tuple[Callable[[Path], None], str]] = {
    "link to a file of the system": (_link, "is a link"),
}
"""The same, on systems that let everyone make links."""


def _add(name: str, content: bytes = b"x", mode: int = 0) -> Callable[[Path], None]:
    def change(path):
        entry = zipfile.ZipInfo(name)
        entry.external_attr = mode << 16
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # zipfile warns of names written twice
            with zipfile.ZipFile(path, "a") as archive:
                archive.writestr(entry, content)

    return change


def _bomb(path: Path) -> None:
    with (
        zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive,
        archive.open("features/zeros.parquet", "w") as member,
    ):
        for _ in range(500):
            member.write(bytes(2**20))


def _encrypt(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        at = archive.start_dir
    content = bytearray(path.read_bytes())
    content[at + 8] |= 1
    path.write_bytes(content)


ZIPS: dict[str, tuple[Callable[[Path], None], str]] = {
    "slip": (_add("../../evil.txt"), "outside"),
    "slip within": (_add("features/../../evil.txt"), "outside"),
    "absolute path": (_add("/tmp/evil.txt"), "outside"),
    "drive": (_add("C:/evil.txt"), "outside"),
    "share": (_add("\\\\host\\share\\evil.txt"), "outside"),
    "device path": (_add("\\\\?\\C:\\evil.txt"), "outside"),
    "device": (_add("features/CON.txt"), "device"),
    "trailing dot": (_add("bundle.json."), "dot"),
    "control characters": (_add("a\x1b[2J.txt"), "control"),
    "link": (_add("card.md", b"/etc/passwd", stat.S_IFLNK | 0o777), "link"),
    "pipe": (_add("card.md", b"", stat.S_IFIFO | 0o777), "special file"),
    "name twice": (_add("bundle.json", b"{}"), "different"),
    "name in other case": (_add("BUNDLE.json", b"{}"), "same name"),
    "name in other accents": (_add("Weights.safetensors"), "same name"),
    "file as folder": (_add("features"), "same name"),
    "zip in the zip": (_add("inner.dat", _archive("a", b"")), "archive"),
    "half a gigabyte of zeros": (_bomb, "times its size"),
    "password": (_encrypt, "encrypted"),
    "thousands of files": (
        lambda path: [_add(f"{i}.txt", b"")(path) for i in range(1_001)] and None,
        "at most 1000",
    ),
}
"""How the zip of a good bundle is changed, and what must be said of it."""
