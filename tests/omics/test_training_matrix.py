from __future__ import annotations

import numpy as np
import pytest

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.fit_options import FitOptions
from napari_mmsubtype.omics.training_matrix import TrainingMatrix
from napari_mmsubtype.omics.units import UNITS

TPM = np.random.default_rng(0).lognormal(2, 1.5, (20, 6))
NAMES = ["ESR1", "PGR", "KRT5", "EGFR", "ERBB2", "MKI67"]


def matrix(values: np.ndarray, kind: Modality = Modality.RNA) -> TrainingMatrix:
    return TrainingMatrix(values.copy(), list(NAMES), kind, 6.0)


def test_unexpressed_genes_are_dropped_by_their_linear_values():
    values = TPM.copy()
    values[:, 2] = 0.5
    values[:3, 2] = 4.0  # expressed in 15 % of the patients
    for unit, given in (("tpm", values), ("log2(tpm+1)", np.log2(values + 1))):
        work = matrix(given)
        options = FitOptions(min_expression=1.0, min_expressed=0.2)
        work.drop_unexpressed(UNITS[unit], options)
        assert work.names == [n for n in NAMES if n != "KRT5"]
        assert "expressed below 1 in more than 80%" in work.steps[-1]
        work = matrix(given)
        work.drop_unexpressed(
            UNITS[unit], FitOptions(min_expression=1.0, min_expressed=0.1)
        )
        assert work.names == NAMES


def test_z_scores_do_not_tell_what_is_expressed():
    options = FitOptions(min_expression=1.0, min_expressed=0.2)
    with pytest.raises(ConfigurationError, match="do not tell which features"):
        matrix(TPM).drop_unexpressed(UNITS["z-score"], options)


def test_features_that_are_too_often_missing_are_dropped():
    values = TPM.copy()
    values[:5, 1] = np.nan
    work = matrix(values)
    work.drop_unexpressed(UNITS["tpm"], FitOptions(max_missing=0.2))
    assert "PGR" not in work.names
    work = matrix(values)
    work.drop_unexpressed(UNITS["tpm"], FitOptions(max_missing=0.25))
    assert work.names == NAMES


def test_fpkm_of_whole_transcriptomes_becomes_tpm():
    values = np.random.default_rng(1).lognormal(0, 2, (2, 10_000))
    names = [f"G{i}" for i in range(10_000)]
    work = TrainingMatrix(values, names, Modality.RNA, 6.0)
    work.check(UNITS["fpkm"])
    options = FitOptions(min_expression=1.0, min_expressed=1.0)
    work.drop_unexpressed(UNITS["fpkm"], options)
    kept = (values >= 1).all(axis=0)
    work.convert(UNITS["fpkm"], UNITS["tpm"])
    # The million is that of all genes, not of those that were kept.
    expected = values / values.sum(axis=1, keepdims=True) * 1e6
    np.testing.assert_allclose(work.values, expected[:, kept])


def test_replicate_probes_of_the_newest_array_are_averaged():
    beta = np.random.default_rng(0).random((9, 3))
    names = ["cg00000029_TC21", "cg00000029_TC22", "cg00000109_BC11"]
    work = TrainingMatrix(beta, names, Modality.METHYLATION, 6.0)
    work.choose_probes(UNITS["beta"], FitOptions(), None)
    assert work.names == ["cg00000029", "cg00000109"]
    np.testing.assert_allclose(work.values[:, 0], beta[:, :2].mean(axis=1))
    assert work.steps[1].startswith("EPICv2")


def test_single_precision_is_enough_for_selection():
    values = np.log2(TPM + 1)
    chosen = []
    for dtype in (np.float32, np.float64):
        work = matrix(values.astype(dtype))
        work.check(UNITS["log2(tpm+1)"])
        work.drop_unexpressed(UNITS["log2(tpm+1)"], FitOptions(max_missing=0.5))
        work.select(FitOptions(select="mad", top=3))
        assert work.values.dtype == dtype
        chosen.append(work.names)
    assert chosen[0] == chosen[1]


def test_impossible_values_are_refused_or_clipped():
    with pytest.raises(TableReadError, match="20 negative values"):
        matrix(np.where(TPM.max(axis=1, keepdims=True) == TPM, -TPM, TPM)).check(
            UNITS["counts"]
        )
    work = matrix(np.where(TPM.max() == TPM, -4.0, TPM))
    work.check(UNITS["counts"])
    assert work.values.min() == 0
    assert "1 negative counts values (down to -4) set to 0" in work.steps
    wide = np.tile(np.log2(TPM + 1), (1, 40))
    work = TrainingMatrix(wide, [f"G{i}" for i in range(240)], Modality.RNA, 6.0)
    with pytest.raises(TableReadError, match="logarithms already"):
        work.check(UNITS["tpm"])
    scores = np.random.default_rng(0).normal(size=(20, 6))
    scores[0, 0] = 3.7e4
    work = matrix(scores)
    work.check(UNITS["z-score"])
    assert work.values.max() == 6
    assert "1 z-score values outside -6 to 6" in work.steps[-1]


def test_the_most_variable_features_stay_in_their_order():
    values = np.log2(TPM + 1) * np.array([1, 5, 2, 4, 3, 0])
    work = matrix(values)
    work.select(FitOptions(select="variance", top=3))
    scale = values.std(axis=0)
    assert work.names == [n for i, n in enumerate(NAMES) if i in np.argsort(-scale)[:3]]
    assert any("without spread" in step for step in work.steps)


def test_nothing_left_is_an_error_that_says_why():
    with pytest.raises(ConfigurationError, match="none of the 6 rna features is left"):
        matrix(TPM / 1e6).drop_unexpressed(
            UNITS["tpm"], FitOptions(min_expression=1.0, min_expressed=0.2)
        )


def test_ranks_are_not_divided_by_next_to_nothing():
    values = np.arange(6) + np.random.default_rng(0).normal(0, 0.01, (20, 6))
    work = matrix(values)
    spec = work.finish(UNITS["log2(tpm+1)"], FitOptions(rank_normal=True), 0.5, None)
    assert spec.rank_normal
    assert (spec.features["std"] == 0.05).all()
