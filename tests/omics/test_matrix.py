from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders.omics import GENES, barcodes, log_frame
from builders.omics_portals import cbioportal, porpoise
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.delimited import RawTable, read_delimited
from napari_mmsubtype.omics.matrix import arrange, gene_roles


def raw(text: dict[str, list[str]], columns, values=None) -> RawTable:
    frame = pd.DataFrame(text, dtype=object)
    if values is None:
        values = np.ones((len(frame), len(columns)), dtype=np.float32)
    corner = str(frame.columns[0])
    return RawTable(corner, frame, tuple(columns), values, ("tab-separated",))


def test_expression_is_taken_and_other_kinds_are_left_aside(tmp_path):
    frame = log_frame(6) - 6
    table = read_delimited(porpoise(tmp_path / "all.csv", frame))
    reading = arrange(table, "all.csv", Modality.RNA, None)
    assert list(reading.samples) == barcodes(6, "")
    assert [name.removesuffix("_rnaseq") for name in reading.features] == list(GENES)
    np.testing.assert_allclose(reading.values, frame, rtol=1e-5)
    assert "3 copy-number, 3 mutation, " in reading.steps[1]
    assert "age, survival_months" in reading.steps[1]


def test_table_of_copy_numbers_alone_is_refused():
    table = raw({"id": barcodes(2)}, ["TP53_cnv", "ESR1_mut"])
    with pytest.raises(TableReadError, match=r"'t'.*copy-number.*'TP53_cnv'"):
        arrange(table, "t", Modality.RNA, None)


def test_genes_without_a_suffix_stay_beside_other_kinds():
    table = raw({"id": barcodes(2)}, ["TP53", "TP53_mut"])
    reading = arrange(table, "t", Modality.RNA, None)
    assert list(reading.features) == ["TP53"]


def test_empty_symbols_go_by_their_number(tmp_path):
    path = cbioportal(tmp_path / "data_mrna_seq_v2_rsem.txt", log_frame(4))
    reading = arrange(read_delimited(path), path.name, Modality.RNA, None)
    assert reading.features[0] == "100134869"
    assert list(reading.features[1:]) == list(GENES)
    assert reading.identifiers["entrez"].tolist()[:2] == ["100134869", "100130000"]
    assert reading.values.shape == (4, 31)


def test_counter_before_the_names_is_skipped():
    text = {"": ["0", "1", "2"], "name": ["P1", "P2", "P3"]}
    reading = arrange(raw(text, GENES), "t", Modality.RNA, None)
    assert list(reading.samples) == ["P1", "P2", "P3"]


def test_columns_about_the_genes_are_no_samples():
    text = {"Geneid": list(GENES), "Chr": ["chr1;chr1"] * len(GENES)}
    reading = arrange(
        raw(text, ["Start", "Length", "P1.bam", "P2.bam"]), "t", Modality.RNA, None
    )
    assert list(reading.samples) == ["P1.bam", "P2.bam"]
    assert reading.values.shape == (2, len(GENES))
    assert "columns about the genes left aside: Start, Length" in reading.steps


def test_barcodes_win_over_the_first_column():
    text = {"study": ["s", "s"], "who": barcodes(2)}
    reading = arrange(raw(text, GENES), "t", Modality.RNA, None)
    assert list(reading.samples) == barcodes(2)
    assert "1 columns of text left aside ('study')" in reading.steps[1]


def test_axis_declared_by_the_caller_is_taken():
    table = raw({"id": barcodes(2)}, ["a", "b", "c"])
    reading = arrange(table, "t", Modality.RNA, "columns")
    assert list(reading.samples) == ["a", "b", "c"]
    assert "declared" in reading.steps[0]


def test_undecided_axis_names_the_file():
    with pytest.raises(TableReadError, match="'t': cannot tell"):
        arrange(raw({"x": ["P1", "P2"]}, ["l1", "l2"]), "t", Modality.RNA, None)


def test_roles_are_found_in_any_case():
    assert gene_roles(["Hugo_Symbol", "x", "ENTREZ_GENE_ID", "gene_ids"]) == {
        "symbol": 0,
        "entrez": 2,
        "ensembl": 3,
    }
