from __future__ import annotations

import pytest

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.text_layout import sniff, text_columns


def layout(folder, text, *, encoding="utf-8", numeric=True):
    path = folder / "t.csv"
    path.write_bytes(text.encode(encoding))
    return sniff(path, numeric=numeric)


@pytest.mark.parametrize(
    ("text", "delimiter", "skip", "decimal"),
    [
        ("id,a\nx,1\n", ",", 1, "."),
        ("id\ta\nx\t1\n", "\t", 1, "."),
        ("id;a\nx;1,5\n", ";", 1, ","),
        ("id|a\nx|1\n", "|", 1, "."),
        ("id a\nx 1.5\n", " ", 1, "."),
        ('"a" "b"\n"x" 1 2\n', " ", 1, "."),
        ("# note\n\nid,a\nx,1\n", ",", 3, "."),
        ('id,a,b\nx,"1,5","2,25"\n', ",", 1, ","),
        ("id\tname of it\nx\tStage II A\n", "\t", 1, "."),
    ],
)
def test_layout_is_found(tmp_path, text, delimiter, skip, decimal):
    found = layout(tmp_path, text)
    assert (found.delimiter, found.skip, found.decimal) == (delimiter, skip, decimal)


@pytest.mark.parametrize(
    ("text", "encoding", "notes"),
    [
        ("id,a\nx,1\n", "utf-8", ("comma-separated",)),
        (
            "id,a\nx,1\n",
            "utf-8-sig",
            ("comma-separated", "byte-order mark skipped"),
        ),
        ("id,a\nMüller,1\n", "latin-1", ("comma-separated", "text is latin-1")),
        ("id,a\nx,1\n", "utf-16", ("comma-separated", "text is utf-16")),
        (
            "id;a\nx;1,5\n",
            "utf-8",
            ("semicolon-separated", "decimal commas read as points"),
        ),
    ],
)
def test_what_is_unusual_is_told(tmp_path, text, encoding, notes):
    found = layout(tmp_path, text, encoding=encoding)
    assert found.notes == notes
    assert found.header == ("id", "a")


@pytest.mark.parametrize("text", ['id,a\nx,"1,500"\n', "id;a\nx;12,500\n"])
def test_commas_that_may_part_thousands_are_refused(tmp_path, text):
    with pytest.raises(TableReadError, match="without thousands separators"):
        layout(tmp_path, text)


def test_identifiers_and_words_are_text(tmp_path):
    found = layout(tmp_path, "g,Entrez_Gene_Id,a,sex,b\nx,7,1,m,\ny,8,2,f,NA\n")
    assert text_columns(found, "t.csv") == [0, 1, 3]


def test_a_word_among_numbers_is_no_column_of_words(tmp_path):
    found = layout(tmp_path, "g,a\nx,1\ny,2\nz,n.d.\n")
    with pytest.raises(TableReadError, match=r"'t.csv': column 'a' mixes.*'n.d.'"):
        text_columns(found, "t.csv")


def test_clinical_text_may_hold_what_numbers_may_not(tmp_path):
    text = "id,note\nx,=A1+B1\n"
    with pytest.raises(TableReadError, match="formula"):
        layout(tmp_path, text)
    assert layout(tmp_path, text, numeric=False).header == ("id", "note")
