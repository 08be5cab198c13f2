from __future__ import annotations

import numpy as np
import pytest

from builders.omics import GENES, barcodes
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.modality_detection import (
    detect_by_names,
    detect_modality,
)
from napari_mmsubtype.omics.table import read_omics

PROBES = [f"cg{i:08d}" for i in range(8)]
PATIENTS = barcodes(4, "")
LINEAR = np.array([[0.5, 400.0]])
SHARES = np.linspace(0.1, 0.9, 40).reshape(4, 10)
ONE = np.array([[0.4]])
NONE = np.zeros((4, 0))


@pytest.mark.parametrize(
    ("columns", "rows", "values", "expected", "evidence"),
    [
        (["cases.submitter_id", "x"], PATIENTS, LINEAR, "clinical", "cases.sub"),
        (["case_submitter_id", "x"], PATIENTS, LINEAR, "clinical", "case_sub"),
        (["id", *PROBES], PATIENTS, SHARES, "methylation", "8 of 9 names are methyl"),
        (["", *PATIENTS], PROBES, SHARES, "methylation", "8 of 8 names are"),
        (["id", *GENES], PATIENTS, LINEAR, "rna", "30 known genes"),
        (["id", *GENES], PATIENTS, SHARES, "methylation", "from 0.1 to 0.9"),
        (["id", "locus-1"], PATIENTS, SHARES * 400, "rna", "from 40 to 360"),
        (["id", "cg00000029"], PATIENTS, ONE, "methylation", "1 of 2 names"),
        (["", "P1"], ["cg00000029"], ONE, "methylation", "1 of 1 names"),
        (["id", "Sex", "ESR1"], PATIENTS, LINEAR, "clinical", "'Sex'"),
        (["id", "demographic.age_at_index"], PATIENTS, LINEAR, "clinical", "age"),
        (["id", "race.demographic"], PATIENTS, LINEAR, "clinical", "race.demographic"),
        (["id", "Age (years)", "Smoker"], PATIENTS, LINEAR, "clinical", "Smoker"),
        (["id", "histology"], PATIENTS, NONE, "clinical", "no column of numbers"),
        (["id", "age", "A_cnv", "A_rnaseq"], PATIENTS, LINEAR, "rna", "_rnaseq"),
        (["id", "age", *GENES], PATIENTS, LINEAR, "rna", "30 known genes"),
    ],
)
def test_modality_is_recognised(columns, rows, values, expected, evidence):
    found = detect_modality(columns, rows, values)
    assert found.modality == expected
    assert evidence in found.evidence


def test_names_alone_may_not_tell():
    assert detect_by_names(["id", *GENES]) is None
    assert detect_by_names(["id", "locus-1"]) is None
    assert detect_by_names(["id", "A_rnaseq"]).modality == "rna"


@pytest.mark.parametrize(
    ("columns", "rows", "values", "words"),
    [
        # A gene that a spreadsheet made a date, and one value.
        (["gene", "1-Sep"], ["x"], ONE, "1 different value from 0.4 to 0.4, no known"),
        (["id", "locus-1"], PATIENTS, LINEAR, "2 different values from 0.5 to 400, no"),
        (["id", "x"], PATIENTS, np.array([[np.nan]]), "0 different values, no known"),
        (["id", *GENES], PATIENTS, ONE, r"1 different value .* of 30 known genes"),
        (["id", "a", "b"], PATIENTS, np.eye(40), "2 different values from 0 to 1"),
        # Genotypes carry names of the kind that arrays have beside their sites.
        (["id", "rs1234", "rs2345"], PATIENTS, np.array([[0.0, 2.0]]), "2 different"),
    ],
)
def test_tables_that_cannot_tell_say_so(columns, rows, values, words):
    with pytest.raises(TableReadError, match=words) as caught:
        detect_modality(columns, rows, values)
    assert "modality='rna', 'methylation' or 'clinical'" in str(caught.value)


def test_a_sample_called_like_a_date_makes_no_methylation(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("gene,1-Sep\nESR1,0.4\n")
    with pytest.raises(TableReadError, match=r"'t.csv': cannot tell RNA from methyl"):
        read_omics(path)
