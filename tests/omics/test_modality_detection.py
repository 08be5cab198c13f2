from __future__ import annotations

import numpy as np
import pytest

from builders.omics import GENES, barcodes
from napari_mmsubtype.omics.modality_detection import (
    detect_by_names,
    detect_modality,
)

PROBES = [f"cg{i:08d}" for i in range(8)]
PATIENTS = barcodes(4, "")
LINEAR = np.array([[0.5, 400.0]])
SHARES = np.array([[0.1, 0.9]])
NONE = np.zeros((4, 0))


@pytest.mark.parametrize(
    ("columns", "rows", "values", "expected", "evidence"),
    [
        (["cases.submitter_id", "x"], PATIENTS, LINEAR, "clinical", "cases.sub"),
        (["case_submitter_id", "x"], PATIENTS, LINEAR, "clinical", "case_sub"),
        (["id", *PROBES], PATIENTS, SHARES, "methylation", "8 methylation probes"),
        (["", *PATIENTS], PROBES, SHARES, "methylation", "8 methylation probes"),
        (["id", *GENES], PATIENTS, LINEAR, "rna", "30 known genes"),
        (["id", *GENES], PATIENTS, SHARES, "methylation", "from 0.1 to 0.9"),
        (["id", "locus-1"], PATIENTS, LINEAR, "rna", "from 0.5 to 400"),
        (["id", "Sex", "ESR1"], PATIENTS, LINEAR, "clinical", "'Sex'"),
        (["id", "demographic.age_at_index"], PATIENTS, LINEAR, "clinical", "age"),
        (["id", "histology"], PATIENTS, NONE, "clinical", "no column of numbers"),
        (["id", "age", "A_cnv", "A_rnaseq"], PATIENTS, LINEAR, "rna", "_rnaseq"),
        (["id", "age", *GENES], PATIENTS, LINEAR, "rna", "30 known genes"),
        (["id", "x"], PATIENTS, np.array([[np.nan]]), "rna", "values"),
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
