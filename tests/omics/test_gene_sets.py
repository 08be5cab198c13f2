from __future__ import annotations

import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.gene_sets import GeneSet, read_gmt, write_gmt

SETS = (
    GeneSet("ESTROGEN", "https://example.org/e", ("ESR1", "PGR", "GATA3")),
    GeneSet("BASAL", "", ("KRT5", "KRT14")),
)
names = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1)


@pytest.mark.parametrize("name", ["sets.gmt", "sets.gmt.gz"])
def test_sets_survive_a_file(tmp_path, name):
    path = write_gmt(tmp_path / name, SETS)
    assert read_gmt(path) == SETS
    first = path.read_bytes()
    assert write_gmt(path, SETS).read_bytes() == first


@given(st.dictionaries(names, st.lists(names, min_size=1, unique=True), min_size=1))
def test_any_sets_survive_a_file(tmp_path_factory, content):
    sets = tuple(GeneSet(n, f"about {n}", tuple(g)) for n, g in content.items())
    path = tmp_path_factory.mktemp("gmt") / "sets.gmt"
    assert read_gmt(write_gmt(path, sets)) == sets


def test_weights_repeats_blanks_and_line_ends_are_understood(tmp_path):
    path = tmp_path / "enrichr.gmt"
    path.write_bytes(b"\xef\xbb\xbfA\t\tESR1,1.0\tPGR,0.5\tESR1\t\r\n\r\nB\tx\tKRT5\n")
    assert read_gmt(path) == (
        GeneSet("A", "", ("ESR1", "PGR")),
        GeneSet("B", "x", ("KRT5",)),
    )


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"ESR1\nPGR\n", r"line 1 of 's\.gmt' is no gene set"),
        (b"A\tx\tESR1\nB\tx\n", "line 2"),
        (b"A\tx\t\t\n", "at least one gene"),
        (b"A\tx\tESR1\nA\tx\tPGR\n", "'A' twice"),
        (b"\n", "no gene set"),
        (b"\xff\xfe\x00\x81", "not text"),
        (gzip.compress(b"A\tx\tESR1\n", mtime=0)[:-6], "cannot be read"),
    ],
)
def test_what_is_no_gmt_is_refused(tmp_path, content, words):
    path = tmp_path / "s.gmt"
    path.write_bytes(content)
    with pytest.raises(TableReadError, match=words):
        read_gmt(path)


def test_an_absent_file_is_refused(tmp_path):
    with pytest.raises(TableReadError, match="cannot be read"):
        read_gmt(tmp_path / "absent.gmt")


@pytest.mark.parametrize(
    "entry",
    [GeneSet("A", "", ()), GeneSet("A\tB", "", ("X",)), GeneSet("A", "", ("X\n",))],
)
def test_what_gmt_cannot_keep_is_not_written(tmp_path, entry):
    with pytest.raises(ValueError, match="GMT cannot keep"):
        write_gmt(tmp_path / "s.gmt", [entry])
