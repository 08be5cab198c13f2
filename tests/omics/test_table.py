from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from builders.omics import (
    GENES,
    barcodes,
    beta_frame,
    clinical_frame,
    log_frame,
    tpm_frame,
    write,
)
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics.preprocessing import align_sample, fit_modality
from napari_mmsubtype.omics.table import read_omics


@pytest.mark.parametrize(
    "name", ["t.csv", "t.tsv", "t.csv.gz", "t.tsv.gz", "t.csv.zip"]
)
def test_either_orientation_gives_the_same_table(tmp_path, name):
    frame = log_frame(suffix="-01A-11R-A12D-07")
    upright = read_omics(write(frame, tmp_path / name))
    turned = read_omics(write(frame.T, tmp_path / f"turned_{name}", corner="gene"))
    for table in (upright, turned):
        assert table.X.dtype == np.float32
        assert table.obs["sample"].tolist() == list(frame.index)
        assert table.var_names.tolist() == list(GENES)
        np.testing.assert_allclose(table.X, frame, rtol=1e-6)
        assert table.uns["mmsubtype"]["unit"] == "log2(x+1)"
        assert table.uns["mmsubtype"]["modality"] == "rna"
    assert "samples in rows" in upright.uns["mmsubtype"]["steps"][0]
    assert "samples in columns" in turned.uns["mmsubtype"]["steps"][0]


def test_evidence_for_the_unit_is_kept(tmp_path):
    table = read_omics(write(tpm_frame(), tmp_path / "t.csv"))
    assert table.uns["mmsubtype"]["unit"] == "tpm"
    assert any("samples sum to" in step for step in table.uns["mmsubtype"]["steps"])


def test_declared_unit_and_orientation_overrule(tmp_path):
    frame = log_frame()
    frame.index = [f"P{i}" for i in range(len(frame))]
    frame.columns = [f"locus-{i}" for i in range(frame.shape[1])]
    path = write(frame, tmp_path / "t.csv", corner="sample")
    with pytest.raises(TableReadError, match="samples_in='rows'"):
        read_omics(path)
    table = read_omics(path, unit="log2(fpkm+1)", samples_in="rows")
    assert table.uns["mmsubtype"]["unit"] == "log2(fpkm+1)"
    assert table.shape == frame.shape
    assert read_omics(path, samples_in="columns").shape == frame.T.shape


def test_logarithms_cannot_be_declared_as_tpm(tmp_path):
    wide = pd.concat([log_frame(seed=s) for s in range(8)], axis=1)
    wide.columns = [f"{name}|{i}" for i, name in enumerate(wide.columns)]
    with pytest.raises(TableReadError, match="logarithms already"):
        read_omics(write(wide, tmp_path / "t.csv"), unit="tpm")


def test_two_identifier_columns_and_comments_of_cbioportal(tmp_path):
    frame = tpm_frame(4, suffix="-01").T
    frame.insert(0, "Entrez_Gene_Id", np.arange(len(frame)) + 100_506_000)
    path = write(frame, tmp_path / "data_mrna_seq_v2_rsem.tsv", corner="Hugo_Symbol")
    path.write_text("# cBioPortal\n" + path.read_text())
    table = read_omics(path)
    assert table.obs["sample"].tolist() == barcodes(4, "-01")
    assert table.var.loc["ESR1", "entrez"] == "100506000"
    assert table.uns["mmsubtype"]["unit"] == "counts"


def test_row_without_symbol_goes_by_its_entrez_number(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text(
        "Hugo_Symbol\tEntrez_Gene_Id\tTCGA-E2-A14V-01\nESR1\t2099\t40.5\n\t2064\t3.5\n"
    )
    table = read_omics(path)
    assert table.var_names.tolist() == ["ESR1", "2064"]
    assert table.var["entrez"].tolist() == ["2099", "2064"]


def test_samples_are_named_by_the_column_of_barcodes(tmp_path):
    frame = log_frame(suffix="-01A")
    frame = frame.reset_index(names="slide_id")
    table = read_omics(write(frame, tmp_path / "t.csv", corner=""))
    assert table.obs["sample"].tolist() == barcodes(12, "-01A")
    assert table.shape == (12, len(GENES))


@pytest.mark.parametrize(
    ("counts", "expected"), [(True, [7, 17]), (False, [3.75, 8.75])]
)
def test_repeated_features_are_summed_or_averaged(tmp_path, counts, expected):
    numbers = "2,5,40\n8,9,50" if counts else "2.5,5,40.5\n8.5,9,50.5"
    first, second = numbers.split("\n")
    path = tmp_path / "t.csv"
    path.write_text(
        f"patient_id,ESR1,ESR1,PGR\nTCGA-E2-A14V,{first}\nTCGA-E2-A15A,{second}\n"
    )
    table = read_omics(path, unit="counts" if counts else "tpm")
    assert table.var_names.tolist() == ["ESR1", "PGR"]
    assert table.X[:, 0].tolist() == expected
    word = "summed" if counts else "averaged"
    assert any("ESR1" in s and word in s for s in table.uns["mmsubtype"]["steps"])


def test_missing_copy_of_a_repeated_feature_is_left_out(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("patient_id,ESR1,ESR1,PGR\na,,5.5,40.5\nb,,,41.5\n")
    table = read_omics(path)
    np.testing.assert_array_equal(table.X[:, 0], np.float32([5.5, np.nan]))


def test_second_copies_on_y_are_dropped(tmp_path):
    path = tmp_path / "t.tsv"
    path.write_text(
        "gene\tTCGA-E2-A14V-01A\tTCGA-E2-A15A-01A\nENSG00000182378.15\t40.5\t1.5\n"
        "ENSG00000182378.15_PAR_Y\t0\t0\n"
    )
    assert read_omics(path).var["ensembl"].tolist() == ["ENSG00000182378"]


def test_equal_repeats_of_a_sample_merge_and_others_stay_apart(tmp_path):
    frame = log_frame(3)
    frame = pd.concat([frame, frame.iloc[:1], frame.iloc[1:2] + 1])
    table = read_omics(write(frame, tmp_path / "t.csv"))
    first, second, third = barcodes(3, "")
    assert table.obs["sample"].tolist() == [first, second, third, second]
    assert table.obs_names.is_unique
    steps = " ".join(table.uns["mmsubtype"]["steps"])
    assert "1 samples repeated with equal values" in steps
    assert second in steps


def test_negative_counts_are_refused_where_many(tmp_path):
    counts = np.rint(tpm_frame())
    counts.iloc[2, 3] = -4
    table = read_omics(write(counts, tmp_path / "t.csv"))
    assert table.X.min() == 0
    counts.iloc[:, 3] = -counts.iloc[:, 3].abs()
    with pytest.raises(TableReadError, match=r"'t.csv'.*12 negative counts"):
        read_omics(write(counts, tmp_path / "t.csv"))


def test_impossible_betas_are_clipped_or_refused(tmp_path):
    beta = beta_frame(20, 100)
    beta.iloc[0, 0] = 1.3
    table = read_omics(write(beta, tmp_path / "t.csv"), modality="methylation")
    assert table.X.max() <= 1
    assert any("1 beta values outside" in s for s in table.uns["mmsubtype"]["steps"])
    beta.iloc[:, :10] += 1
    with pytest.raises(TableReadError, match=r"'t.csv'"):
        read_omics(write(beta, tmp_path / "t.csv"), modality="methylation", unit="beta")


def test_dates_of_spreadsheets_are_reported(tmp_path):
    frame = log_frame().rename(columns={"MYC": "1-Mar", "VIM": "9-Sep"})
    table = read_omics(write(frame, tmp_path / "t.csv"))
    assert any("2 features are dates" in s for s in table.uns["mmsubtype"]["steps"])


def test_table_of_words_only_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("patient_id,sex\nTCGA-E2-A14V,female\n")
    with pytest.raises(TableReadError, match="no column of numbers"):
        read_omics(path, modality="rna")


@pytest.mark.parametrize(
    "options", [{"modality": "image"}, {"unit": "beta"}, {"samples_in": "cells"}]
)
def test_unknown_requests_are_refused(tmp_path, options):
    path = write(log_frame(), tmp_path / "t.csv")
    with pytest.raises(ConfigurationError):
        read_omics(path, **options)


def test_clinical_columns_stay_as_written(tmp_path):
    frame = clinical_frame()
    frame["code"] = "007"
    table = read_omics(write(frame, tmp_path / "c.tsv"), modality="clinical")
    assert table.shape == (12, 0)
    assert table.obs["sample"].tolist() == list(frame.index)
    assert table.obs["code"].tolist() == ["007"] * 12
    assert table.obs["age"].tolist() == frame["age"].astype(str).tolist()
    assert table.uns["mmsubtype"]["unit"] == "raw"


@pytest.mark.real_data
def test_zscored_tcga_row_is_read_and_aligned(real_data):
    path = real_data / "omics" / "tcga_brca_rnaseq_zscores.csv.gz"
    table = read_omics(path)
    frame = pd.read_csv(path, index_col=0)
    np.testing.assert_allclose(table.X, frame, rtol=1e-6)
    spec = fit_modality(
        log_frame(), modality="rna", unit="log2(tpm+1)", min_coverage=0.2
    )
    sample = align_sample(table, "TCGA-E2-A14V", spec)
    shared = [name for name in spec.names if name in frame.columns]
    assert sample.report.matched >= len(shared) >= 10
    place = [spec.names.index(name) for name in shared]
    expected = frame.loc["TCGA-E2-A14V", shared].clip(-6, 6)
    np.testing.assert_allclose(sample.values[place], expected, rtol=1e-5)
    assert sample.report.unit == "z-score"
    assert any("not comparable" in note for note in sample.report.notes)


@pytest.mark.real_data
def test_tcga_methylation_prefers_tumours(real_data):
    path = real_data / "omics" / "tcga_brca_methylation_chr17_betas.csv.gz"
    table = read_omics(path, modality="methylation")
    assert table.shape == (321, 1464)
    assert table.uns["mmsubtype"]["unit"] == "beta"
    frame = pd.DataFrame(table.X, index=table.obs_names, columns=table.var_names)
    spec = fit_modality(frame.iloc[:200, ::5], modality="methylation", unit="beta")
    report = align_sample(table, "TCGA-E2-A14V", spec).report
    assert report.sample == "TCGA-E2-A14V-01A-11D-A12E-05"


@pytest.mark.real_data
def test_tcga_counts_with_genes_in_rows(real_data):
    table = read_omics(real_data / "omics" / "tcga_brca_mrna_chr17_counts.tsv.gz")
    assert table.shape == (736, 730)
    assert table.uns["mmsubtype"]["unit"] == "counts"
    assert "ERBB2" in table.var_names


@pytest.mark.real_data
@pytest.mark.parametrize(
    ("name", "patients"),
    [
        ("clinical/brca_tcga_pan_can_atlas_2018_clinical_data.tsv", 1084),
        ("clinical/gdc_luad/clinical.tsv", 585),
        ("cohort_tcga_brca.csv", 901),
    ],
)
def test_public_clinical_tables_have_one_row_per_patient(real_data, name, patients):
    table = read_omics(real_data / name, modality="clinical")
    assert table.obs["sample"].is_unique
    assert len(table.obs) == patients


@pytest.mark.parametrize(("unit", "expected"), [(None, "tpm"), ("counts", "counts")])
def test_counts_beside_gene_lengths_become_tpm(tmp_path, unit, expected):
    rng = np.random.default_rng(0)
    genes = [f"ENSG{i:011d}" for i in range(10_200)]
    counts = rng.integers(1, 5000, (10_200, 2))
    frame = pd.DataFrame({"Geneid": genes, "Chr": "chr1;chr1"})
    frame = frame.assign(Start=100, Length=rng.integers(200, 9000, 10_200))
    frame[["P1.bam", "P2.bam"]] = counts
    path = tmp_path / "counts.tsv"
    frame.to_csv(path, sep="\t", index=False)
    table = read_omics(path, modality="rna", unit=unit)
    assert table.uns["mmsubtype"]["unit"] == expected
    rate = counts / frame["Length"].to_numpy()[:, None]
    tpm = rate / rate.sum(axis=0) * 1e6
    np.testing.assert_allclose(table.X, (tpm if unit is None else counts).T, rtol=1e-5)
    said = (
        "unit tpm (made TPM by the table's own gene lengths)"
        in table.uns["mmsubtype"]["steps"]
    )
    assert said is (unit is None)


def test_lengths_of_a_few_genes_make_no_tpm(tmp_path):
    frame = pd.DataFrame({"Geneid": GENES, "Start": 1, "Length": 900})
    frame = frame.assign(P1=range(30), P2=range(30, 60))
    path = tmp_path / "counts.tsv"
    frame.to_csv(path, sep="\t", index=False)
    table = read_omics(path, modality="rna")
    assert table.uns["mmsubtype"]["unit"] == "counts"
    assert any("counts stay counts" in s for s in table.uns["mmsubtype"]["steps"])
