from __future__ import annotations

import numpy as np
import pytest

from builders.omics import beta_frame, log_frame, tpm_frame
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.unit_detection import detect_unit

RNG = np.random.default_rng(0)
TPM = tpm_frame(20).to_numpy()
LOG = log_frame(20).to_numpy()
BETA = beta_frame(20, 200).to_numpy()
M = np.log2(BETA / (1 - BETA))


def whole_transcriptome(total: float) -> np.ndarray:
    values = RNG.lognormal(1, 2, (3, 12_000))
    return values / values.sum(axis=1, keepdims=True) * total


@pytest.mark.parametrize(
    ("values", "hint", "expected"),
    [
        (np.rint(TPM), "", "counts"),
        (np.where(TPM.max() == TPM, -4, np.rint(TPM)), "", "counts"),
        (np.where(TPM.max() == TPM, -0.5, TPM), "", "tpm"),
        (TPM, "", "tpm"),
        (TPM, "BRCA_fpkm.tsv", "fpkm"),
        (TPM, "data_mrna_seq_v2_rsem.txt", "counts"),
        (TPM * 1e4, "", "counts"),
        (whole_transcriptome(1e6), "fpkm.tsv", "tpm"),
        (whole_transcriptome(4e5), "", "fpkm"),
        (whole_transcriptome(3e7), "", "counts"),
        (whole_transcriptome(1e6), "cpm.tsv", "cpm"),
        (np.log2(whole_transcriptome(1e6) + 1), "", "log2(tpm+1)"),
        (np.log2(whole_transcriptome(1e6) + 1), "logcpm.tsv", "log2(cpm+1)"),
        (np.log2(whole_transcriptome(3e7) + 1), "HiSeqV2", "log2(counts+1)"),
        (np.log2(whole_transcriptome(4e5) + 1), "", "log2(x+1)"),
        (LOG, "", "log2(x+1)"),
        (LOG, "TCGA-BRCA.htseq_fpkm.tsv", "log2(fpkm+1)"),
        (np.log2(np.where(TPM < 20, 0, TPM) + 0.001), "", "log2(tpm+0.001)"),
        ((LOG - LOG.mean(0)) / LOG.std(0), "", "z-score"),
    ],
)
def test_expression_units_are_recognised(values, hint, expected):
    assert detect_unit(values, Modality.RNA, hint=hint).unit.name == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (BETA, "beta"),
        (M, "m-value"),
        ((M - M.mean(0)) / M.std(0), "z-score"),
    ],
)
def test_methylation_units_are_recognised(values, expected):
    finding = detect_unit(values, Modality.METHYLATION)
    assert finding.unit.name == expected
    assert "values from" in finding.evidence


def test_outliers_do_not_hide_z_scores():
    values = RNG.normal(size=(50, 40))
    values[3, 4] = 3.7e4
    assert detect_unit(values, Modality.RNA).unit.name == "z-score"


@pytest.mark.parametrize("fill", [np.nan, np.inf])
def test_missing_values_do_not_disturb(fill):
    values = LOG.copy()
    values[0, :5] = fill
    assert detect_unit(values, Modality.RNA).unit.name == "log2(x+1)"


@pytest.mark.parametrize(
    ("values", "modality", "words"),
    [
        (np.full((2, 3), np.nan), Modality.RNA, "every value"),
        (np.zeros((2, 3)), Modality.RNA, "every value of the rna table is 0"),
        (np.zeros((2, 3)), Modality.METHYLATION, "methylation table is 0"),
        (np.array([[-2.0, 0, 2], [1, -1, 0]]), Modality.RNA, "copy-number calls"),
        (np.array([[5.0, -1.0, 200.0]]), Modality.RNA, "1 negative counts"),
        (RNG.normal(8, 3, (9, 30)), Modality.RNA, "neither z-scores"),
        (BETA * 100, Modality.METHYLATION, "percentages"),
        (TPM, Modality.METHYLATION, "neither beta"),
        (BETA, Modality.RNA, "look like methylation"),
    ],
)
def test_values_of_no_unit_are_refused(values, modality, words):
    with pytest.raises(TableReadError, match=words):
        detect_unit(values, modality)
