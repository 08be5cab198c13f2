from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.probe_annotation import (
    ANNOTATION_COLUMNS,
    average_columns,
    pair_columns,
    probes_of_genes,
    read_probe_annotation,
    tidy_annotation,
)

TABLE = pd.DataFrame(
    {
        "probe": ["cg1", "cg2", "cg3", "cg4", "cg5"],
        "chrom": ["chr6", "chr6", "chrX", "chr1", ""],
        "gene": ["ESR1", "ESR1;ESR1", "AR", "PGR;MIR1", ""],
        "region": ["TSS200", "5'UTR;Body", "Body", "TSS1500;Body", ""],
    }
)


@pytest.mark.parametrize("name", ["p.tsv", "p.csv.gz", "p.parquet"])
def test_tables_are_read_from_text_and_parquet(tmp_path, name):
    path = tmp_path / name
    if name.endswith("parquet"):
        TABLE.to_parquet(path)
    else:
        TABLE.to_csv(path, sep="\t" if "tsv" in name else ",", index=False)
    found = read_probe_annotation(path)
    assert tuple(found.columns) == ANNOTATION_COLUMNS
    pd.testing.assert_frame_equal(found, tidy_annotation(TABLE))


def test_names_of_the_makers_manifest_are_understood():
    maker = TABLE.rename(
        columns={"probe": "IlmnID", "chrom": "CHR", "gene": "UCSC_RefGene_Name",
                 "region": "UCSC_RefGene_Group"}
    )  # fmt: skip
    pd.testing.assert_frame_equal(tidy_annotation(maker), tidy_annotation(TABLE))


def test_several_genes_of_a_probe_are_paired_with_their_regions():
    found = tidy_annotation(TABLE).set_index("probe")
    rows = found.loc["cg4", ["gene", "region"]].to_numpy().tolist()
    assert rows == [["PGR", "TSS1500"], ["MIR1", "Body"]]
    alone = tidy_annotation(pd.DataFrame({"probe": ["cg1"], "chrom": [7]}))
    assert alone.loc[0].tolist() == ["cg1", "7", "", ""]


def test_promoters_are_the_regions_before_the_gene():
    tidy = tidy_annotation(TABLE)
    pairs = probes_of_genes(tidy, "promoter")
    assert pairs.to_numpy().tolist() == [
        ["cg1", "ESR1"],
        ["cg2", "ESR1"],
        ["cg4", "PGR"],
    ]
    assert len(probes_of_genes(tidy, "gene")) == 5
    with pytest.raises(TableReadError, match=r"none of them into a promoter.*Body"):
        probes_of_genes(tidy[tidy["region"] == "Body"], "promoter")


def average(beta, probes, pairs, features):
    return average_columns(beta, *pair_columns(probes, pairs, features), len(features))


def test_averages_are_over_the_probes_that_have_a_value():
    pairs = probes_of_genes(tidy_annotation(TABLE), "promoter")
    beta = np.array([[0.2, 0.6, 0.9, np.nan], [np.nan, 0.4, 0.9, 0.5]])
    found = average(beta, ["cg1", "cg2_TC11", "cg3", "cg4"], pairs,
                           ["PGR", "ESR1", "AR"])  # fmt: skip
    np.testing.assert_allclose(
        found, [[np.nan, 0.4, np.nan], [0.5, 0.4, np.nan]], equal_nan=True
    )


def test_averages_agree_with_pandas():
    rng = np.random.default_rng(0)
    names = [f"cg{i:08d}" for i in range(60)]
    pairs = pd.DataFrame(
        {"probe": rng.permutation(names)[:50], "feature": rng.choice(list("ABCDE"), 50)}
    )
    beta = pd.DataFrame(rng.random((7, 60)), columns=names)
    beta = beta.mask(rng.random((7, 60)) < 0.3)
    expected = beta[pairs["probe"]].T.groupby(pairs["feature"].to_numpy()).mean().T
    found = average(beta.to_numpy(), names, pairs, list("ABCDE"))
    np.testing.assert_allclose(found, expected[list("ABCDE")])


@pytest.mark.parametrize("frame", [TABLE.drop(columns="probe"), TABLE.iloc[:0]])
def test_a_table_without_probes_is_refused(frame):
    with pytest.raises(TableReadError, match="names no probes"):
        tidy_annotation(frame)


def test_an_unreadable_table_is_refused(tmp_path):
    with pytest.raises(TableReadError, match="cannot be read"):
        read_probe_annotation(tmp_path / "absent.tsv")
    path = tmp_path / "p.parquet"
    path.write_bytes(b"no parquet")
    with pytest.raises(TableReadError, match="cannot be read"):
        read_probe_annotation(path)
