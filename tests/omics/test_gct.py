from __future__ import annotations

import gzip

import numpy as np
import pytest

from builders.omics import GENES, tpm_frame
from builders.omics_portals import gct
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.gct import read_gct


@pytest.mark.parametrize("version", ["1.2", "1.3"])
@pytest.mark.parametrize("packed", [False, True])
def test_both_versions_are_read(tmp_path, version, packed):
    frame = tpm_frame(4)
    path = gct(tmp_path / "t.gct", frame, version=version)
    if packed:
        path.write_bytes(gzip.compress(path.read_bytes()))
    reading = read_gct(path)
    assert list(reading.samples) == list(frame.index)
    assert reading.features[0] == "ENSG00000000001.1"
    assert reading.identifiers["symbol"].tolist() == list(GENES)
    np.testing.assert_allclose(reading.values, frame, rtol=1e-6)
    assert reading.steps[0] == f"GCT {version}, genes in rows"
    assert ("1 rows of sample metadata left aside" in reading.steps) == (
        version == "1.3"
    )


def test_sentences_are_no_symbols(tmp_path):
    path = gct(tmp_path / "t.gct", tpm_frame(2))
    path.write_text(path.read_text().replace("\tESR1\t", "\testrogen receptor 1\t"))
    assert read_gct(path).identifiers is None


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("30\t3\n", "thirty\n", "second line is 'thirty'; expected 2 counts"),
        ("30\t3\n", "30\t4\n", "4 samples by its second line.*header names 3"),
        ("30\t3\n", "31\t3\n", "31 rows by its second line, but has 30"),
    ],
)
def test_broken_promises_are_said(tmp_path, old, new, words):
    path = gct(tmp_path / "t.gct", tpm_frame(3))
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(TableReadError, match=f"'t.gct'.*{words}"):
        read_gct(path)
