from __future__ import annotations

import anndata
import numpy as np
import pandas as pd
import pytest

from builders.omics import as_table, barcodes, clinical_frame, tpm_frame
from napari_mmsubtype.errors import UnmatchedSampleError
from napari_mmsubtype.omics.gdc_replicates import REPLICATE
from napari_mmsubtype.omics.sample_choice import (
    case_names,
    find_row,
    sample_names,
    standing_rows,
)
from napari_mmsubtype.omics.table import read_omics

COLUMNS = ["sample", "patient", "sample_type", "file"]
ROWS = [
    ("C3L-00001-02", "C3L-00001", "Solid Tissue Normal", "f0.tsv"),
    ("C3L-00001-01", "C3L-00001", "Primary Tumor", "f1.tsv"),
    ("C3L-00002-01", "C3L-00002", "Primary Tumor", "f2.tsv"),
    ("C3L-00002-02", "C3L-00002", "Primary Tumor", "f3.tsv"),
    ("C3L-00003-06", "C3L-00003", "Metastatic Tumor", "f4.tsv"),
    ("C3L-00003-11", "C3L-00003", "Blood Derived Normal", "f5.tsv"),
    ("C3L-00004-01", "C3L-00004", "", "f6.tsv"),
    ("C3L-00005-01", "C3L-00005", "Primary Tumor", "f7.tsv"),
    ("C3L-00005-01", "C3L-00005", "Primary Tumor", "f8.tsv"),
    ("C3L-00006-01", "C3L-00006", "Primary Tumor, Solid Tissue Normal", "f9.tsv"),
    ("TCGA-E2-A000-11A", "TCGA-E2-A000", "Solid Tissue Normal", "fa.tsv"),
    ("TCGA-E2-A000-01A", "TCGA-E2-A000", "Primary Tumor", "fb.tsv"),
    ("TCGA-E2-A001-11A", "TCGA-E2-A001", "Solid Tissue Normal", "fc.tsv"),
]


def table(rows=ROWS, **columns) -> anndata.AnnData:
    obs = pd.DataFrame(rows, columns=COLUMNS, index=[f"r{i}" for i in range(len(rows))])
    return anndata.AnnData(
        X=np.zeros((len(rows), 1), np.float32),
        obs=obs.assign(**columns),
        uns={"mmsubtype": {"modality": "rna", "unit": "tpm"}},
    )


@pytest.mark.parametrize(
    ("patient", "sample", "notes"),
    [
        ("C3L-00001", "C3L-00001-01", ["(Primary Tumor) is that of case 'C3L-00001'"]),
        ("c3l-00001 ", "C3L-00001-01", ["differ in case or spaces", "is that of case"]),
        ("C3L-00001-02", "C3L-00001-02", []),
        ("C3L-00003-06", "C3L-00003-06", []),
        ("C3L-00004", "C3L-00004-01", ["type not said", "no normal tissue"]),
        ("TCGA-E2-A000", "TCGA-E2-A000-01A", []),
        ("TCGA-E2-A000-01Z-00-DX1", "TCGA-E2-A000-01A", []),
        ("f0.tsv", "C3L-00001-02", ["by its file or aliquot 'f0.tsv'"]),
        ("f8", "C3L-00005-01", ["by its file"]),
    ],
)
def test_patients_of_the_sheet_are_found(patient, sample, notes):
    match = find_row(table(), patient)
    assert match.sample == sample
    assert len(match.notes) == len(notes)
    for found, expected in zip(match.notes, notes, strict=True):
        assert expected in found


def test_a_file_is_a_row_of_its_own():
    assert [find_row(table(), name).index for name in ("f7", "f8.tsv.gz")] == [7, 8]


@pytest.mark.parametrize(
    ("patient", "words"),
    [
        ("C3L-00002", r"2 samples .*'C3L-00002-01' \(Primary Tumor\); 'C3L-00002-02'"),
        ("c3l00002", "is not among"),
        ("c3l-00002", "2 samples could be meant by"),
        ("C3L-00003", r"no primary tumour.*'C3L-00003-06' \(Metastatic Tumor\)"),
        ("C3L-00005", "2 files with different values: 'f7.tsv', 'f8.tsv'"),
        ("C3L-00005-01", "name one of the files as the patient"),
        ("C3L-00006", "no primary tumour"),
        ("C3L-00099", "is not among"),
        ("TCGA-E2-A001", "no primary solid tumour"),
        ("", "no patient was named"),
    ],
)
def test_what_cannot_be_chosen_is_refused(patient, words):
    with pytest.raises(UnmatchedSampleError, match=words):
        find_row(table(), patient)


def test_a_normal_is_never_taken_for_a_tumour_whatever_the_order():
    rng = np.random.default_rng(0)
    for _ in range(20):
        rows = [ROWS[i] for i in rng.permutation(len(ROWS))]
        match = find_row(table(rows), "C3L-00001")
        assert rows[match.index][2] == "Primary Tumor"


def test_the_preferred_aliquot_stands_for_the_sample():
    aliquots = ["" for _ in ROWS]
    aliquots[7:9] = ["C3L-00005-01-A", "C3L-00005-01-B"]
    left = [i == 7 for i in range(len(ROWS))]
    given = table(aliquot=aliquots, **{REPLICATE: left})
    for name in ("C3L-00005", "C3L-00005-01", "c3l-00005-01"):
        match = find_row(given, name)
        assert match.index == 8
    assert find_row(given, "C3L-00005-01-A").index == 7
    assert standing_rows(given) == [f"r{i}" for i in range(len(ROWS)) if i != 7]


def test_tables_without_a_sheet_go_by_their_samples():
    given = as_table(tpm_frame(3), "tpm")
    assert find_row(given, barcodes(1, "")[0]).index == 0
    assert standing_rows(given) == list(given.obs_names)
    with pytest.raises(UnmatchedSampleError, match="is not among"):
        find_row(given, "f1.tsv")
    # A clinical column that is called patient is an answer, not a sheet's.
    clinical = clinical_frame(3).assign(patient="X9", file="f")
    with pytest.raises(UnmatchedSampleError, match="is not among"):
        find_row(as_table(clinical, "raw", modality="clinical"), "X9")


def test_rows_name_samples_where_no_column_does():
    data = anndata.AnnData(np.zeros((2, 1)), obs=pd.DataFrame(index=["a", "b"]))
    assert sample_names(data) == ["a", "b"]


def test_patients_of_a_table_are_those_of_the_sheet_or_its_samples():
    assert case_names(table())[:3] == ["C3L-00001", "C3L-00001", "C3L-00002"]
    plain = as_table(tpm_frame(2), "tpm")
    assert case_names(plain) == sample_names(plain)


def test_patients_that_an_anndata_names_are_found():
    frame = tpm_frame(4).set_axis(["s1", "s2", "s3", "s4"])
    obs = pd.DataFrame(
        {
            "Case_ID": pd.Categorical(["A 1", "A 1", "B 2", "B 2"]),
            "sample_type": ["Solid Tissue Normal", "Primary Tumor", "Primary", None],
        },
        index=frame.index,
    )
    var = pd.DataFrame(index=frame.columns)
    read = read_omics(anndata.AnnData(frame.to_numpy(np.float32), obs=obs, var=var))
    assert find_row(read, "A 1").sample == "s2"
    assert find_row(read, "a1").sample == "s2"
    assert find_row(read, "B 2").sample == "s3"
    assert find_row(read, "s1").sample == "s1"
    assert case_names(read) == ["A 1", "A 1", "B 2", "B 2"]
