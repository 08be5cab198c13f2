from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.probe_annotation import tidy_annotation
from napari_mmsubtype.omics.training_probes import average_by_gene, merge_replicates
from napari_mmsubtype.omics.unit_conversion import beta_to_m
from napari_mmsubtype.omics.units import UNITS

BETA = np.random.default_rng(0).random((9, 3))
PROBES = ["cg00000029", "cg00000109", "cg00000165"]
ANNOTATION = tidy_annotation(
    pd.DataFrame(
        {
            "probe": PROBES,
            "chrom": ["chr16", "chr3", "chr1"],
            "gene": ["RBL2", "FNDC3B;RBL2", "FNDC3B"],
            "region": ["TSS1500", "Body;TSS200", "Body"],
        }
    )
)


def test_replicates_of_a_site_are_averaged_under_the_older_name():
    names = ["cg00000029_TC21", "cg00000109_BC11", "cg00000029_TC22"]
    values, sites, notes = merge_replicates(BETA, names)
    assert sites == ["cg00000029", "cg00000109"]
    np.testing.assert_allclose(values[:, 0], BETA[:, [0, 2]].mean(axis=1))
    np.testing.assert_allclose(values[:, 1], BETA[:, 1])
    assert notes == ("3 probes with a suffix are 2 sites",)


def test_names_without_a_suffix_are_left_as_they_are():
    values, names, notes = merge_replicates(BETA, PROBES)
    assert values is BETA
    assert names is PROBES
    assert notes == ()


@pytest.mark.parametrize("unit", ["beta", "m-value"])
def test_genes_are_means_of_betas_whatever_was_measured(unit):
    values = BETA if unit == "beta" else beta_to_m(BETA)
    by_promoter = average_by_gene(values, PROBES, UNITS[unit], ANNOTATION, "promoter")
    assert by_promoter[1] == ["RBL2"]
    np.testing.assert_allclose(by_promoter[0][:, 0], BETA[:, :2].mean(axis=1))
    assert by_promoter[3] == "mean beta of 2 probes by promoter: 1 genes"
    averaged, genes, pairs, _ = average_by_gene(
        values, PROBES, UNITS[unit], ANNOTATION, "gene"
    )
    assert genes == ["FNDC3B", "RBL2"]
    np.testing.assert_allclose(averaged[:, 0], BETA[:, 1:].mean(axis=1))
    assert len(pairs) == 4


@pytest.mark.parametrize(
    ("unit", "annotation", "names", "words"),
    [
        ("beta", None, PROBES, "needs a table of probes"),
        ("z-score", ANNOTATION, PROBES, "z-scores cannot be averaged"),
        ("beta", ANNOTATION, ["cg1", "cg2", "cg3"], "none of the 3 probes"),
    ],
)
def test_averages_that_cannot_be_made_are_refused(unit, annotation, names, words):
    with pytest.raises(ConfigurationError, match=words):
        average_by_gene(BETA, names, UNITS[unit], annotation, "gene")
