from __future__ import annotations

import io
import pickle
import tarfile
import zipfile

import numpy as np
import pytest

from napari_mmsubtype.models.bundle_disguise import disguise


class Acts:
    """Would call something when unpickled."""

    def __reduce__(self):
        return (print, ("ran",))


def look(name, content):
    stream = io.BytesIO(content)
    found = disguise(name, stream)
    assert stream.tell() == 0
    return found


@pytest.mark.parametrize(
    "name", ["m.pkl", "m.pt", "m.PTH", "m.bin", "m.ckpt", "m.joblib", "m.npy"]
)
def test_kinds_of_file_that_can_run_code_are_known_by_name(name):
    assert "can run code" in look(name, b"harmless")


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", ["notes.txt", "MODEL_CARD.md", "README"])
def test_a_pickle_that_acts_is_known_under_a_harmless_name(name, protocol):
    content = pickle.dumps(Acts(), protocol=protocol)
    assert look(name, content) == "is a pickle by its content"


def test_a_pickle_of_the_first_protocol_may_be_written_by_hand():
    assert "pickle" in look("a.md", b"cos\nsystem\n(S'echo ran'\ntR.")


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_that_only_holds_values_is_known_by_its_mark(protocol):
    assert "pickle" in look("notes.txt", pickle.dumps({"a": 1}, protocol=protocol))


def archive(kind):
    stream = io.BytesIO()
    if kind == "zip":
        with zipfile.ZipFile(stream, "w") as target:
            target.writestr("data.pkl", b"x")
    else:
        with tarfile.open(fileobj=stream, mode=f"w:{kind}") as target:
            target.addfile(tarfile.TarInfo("data.pkl"))
    return stream.getvalue()


@pytest.mark.parametrize("kind", ["zip", "", "gz", "bz2", "xz"])
@pytest.mark.parametrize("name", ["weights.json", "notes.txt", "rna.parquet"])
def test_an_archive_is_known_under_a_harmless_name(name, kind):
    assert look(name, archive(kind)) == "is an archive by its content"


@pytest.mark.parametrize("head", [b"\x7fELF\2\1", b"MZ\x90\0", b"#!/bin/sh\n"])
def test_programs_are_known(head):
    assert look("notes.txt", head + bytes(100))


def test_an_array_may_lie_in_the_reference_only():
    stream = io.BytesIO()
    np.save(stream, np.zeros(3))
    assert "reference.npz" in look("features/notes", stream.getvalue())


def test_a_pickle_named_safetensors_is_none():
    content = pickle.dumps([1, 2, 3])
    assert "not a safetensors" in look("w.safetensors", content)


@pytest.mark.parametrize(
    "text",
    [
        "# A card\n\nIt says (so): 3.5 % of c. 200.\n",
        "I am a model.",
        "(.",
        "N.",
        "]a.",
        "S'just a word'\n.",
        "",
        "p0\n" * 1000,
        "---\nlicense: mit\n---\n",
    ],
)
def test_ordinary_text_passes(text):
    assert look("MODEL_CARD.md", text.encode()) == ""
