"""One patient, kept in every format: each gives the same row to the model."""

from __future__ import annotations

import bz2
import gzip
import lzma
import zipfile
from types import SimpleNamespace

import anndata
import numpy as np
import pandas as pd
import pytest

from builders import omics_gdc, omics_portals
from builders.omics import (
    GENES,
    barcodes,
    beta_frame,
    clinical_frame,
    tpm_frame,
    write,
)
from napari_mmsubtype.omics.omics_file import write_omics
from napari_mmsubtype.omics.preprocessing import align_sample, fit_modality
from napari_mmsubtype.omics.table import read_omics

SUFFIX = "-01A-11R-A12D-07"
PATIENT = barcodes(12, "")[5]


def rna_spec():
    names = list(GENES)
    identifiers = pd.DataFrame(
        {
            "ensembl": [omics_gdc.ensembl(i + 1) for i in range(len(names))],
            "entrez": "",
            "aliases": "",
        },
        index=names,
    )
    train = np.log2(tpm_frame(30, seed=9) + 1)
    return fit_modality(
        train, modality="rna", unit="log2(tpm+1)", identifiers=identifiers
    )


def plain(pack=bytes, name="t.tsv", *, turned=False):
    def make(folder, frame):
        shown = frame.T if turned else frame
        path = write(shown, folder / name, corner="gene" if turned else "patient_id")
        path.write_bytes(pack(path.read_bytes()))
        return path

    return make


def zipped(folder, frame):
    path = write(frame, folder / "inner.csv")
    with zipfile.ZipFile(folder / "t.zip", "w") as archive:
        archive.write(path, "inner.csv")
    return folder / "t.zip"


def parquet(folder, frame, *, turned=False):
    path = folder / "t.parquet"
    (frame.T if turned else frame).to_parquet(path)
    return path


def gdc(folder, frame):
    files = omics_gdc.gdc_folder(folder / "gdc", frame)
    omics_gdc.write_sheet(
        folder / "gdc_sample_sheet.2024-05-01.tsv", omics_gdc.sheet_rows(files)
    )
    return folder / "gdc"


def one_star_file(folder, frame):
    gdc(folder, frame.loc[[PATIENT + SUFFIX]])
    return next((folder / "gdc").rglob("*.tsv"))


def mudata(frame):
    parts = {
        "rna": omics_portals.as_anndata(frame),
        "methylation": omics_portals.as_anndata(beta_frame(12)),
    }
    return SimpleNamespace(mod=parts)


def our_own(folder, frame):
    table = read_omics(write(frame, folder / "t.csv"), unit="tpm")
    return write_omics(table, folder / "own.h5ad")


FORMATS = {
    "tsv": plain(),
    "tsv.gz genes in rows": plain(gzip.compress, turned=True),
    "csv.bz2": plain(bz2.compress, "t.csv"),
    "csv.xz genes in rows": plain(lzma.compress, "t.csv", turned=True),
    "zip": zipped,
    "parquet": parquet,
    "parquet genes in rows": lambda d, f: parquet(d, f, turned=True),
    "gct 1.2": lambda d, f: omics_portals.gct(d / "t.gct", f),
    "gct 1.3": lambda d, f: omics_portals.gct(d / "t.gct", f, version="1.3"),
    "xena": lambda d, f: omics_portals.xena(d / "tpm.tsv", np.log2(f + 1)),
    "gdc folder": gdc,
    "gdc file": one_star_file,
    "h5ad": lambda d, f: omics_portals.h5ad(d / "t.h5ad", f),
    "h5ad genes in obs": lambda d, f: omics_portals.h5ad(d / "t.h5ad", f.T),
    "h5mu": lambda d, f: omics_portals.h5mu(d / "t.h5mu", **mudata(f).mod),
    "AnnData": lambda _, f: omics_portals.as_anndata(f),
    "MuData": lambda _, f: mudata(f),
    "our own h5ad": our_own,
}


@pytest.mark.parametrize("name", FORMATS)
def test_each_format_gives_the_patient_the_same_row(tmp_path, name):
    frame = tpm_frame(suffix=SUFFIX)
    spec = rna_spec()
    expected = (
        np.log2(frame.loc[PATIENT + SUFFIX] + 1) - spec.features["mean"].to_numpy()
    )
    expected = np.clip(expected / spec.features["std"].to_numpy(), -6, 6)
    table = read_omics(FORMATS[name](tmp_path, frame))
    assert table.uns["mmsubtype"]["modality"] == "rna"
    assert all(isinstance(step, str) for step in table.uns["mmsubtype"]["steps"])
    sample = align_sample(table, PATIENT, spec)
    assert sample.report.used
    assert sample.report.matched == len(GENES)
    np.testing.assert_allclose(sample.values, expected, rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", ["plain", "parquet", "gdc folder", "h5mu"])
def test_each_format_gives_the_patient_the_same_betas(tmp_path, name):
    frame = beta_frame(12, 20)
    frame.index = [f"{sample}-01A-11D-A12E-05" for sample in frame.index]
    made = {
        "plain": lambda: write(frame.T, tmp_path / "b.csv", corner=""),
        "parquet": lambda: parquet(tmp_path, frame),
        "gdc folder": lambda: beta_folder(tmp_path, frame),
        "h5mu": lambda: omics_portals.h5mu(
            tmp_path / "t.h5mu", DNAm=omics_portals.as_anndata(frame)
        ),
    }
    table = read_omics(made[name](), modality="methylation")
    assert table.uns["mmsubtype"]["unit"] == "beta"
    spec = fit_modality(beta_frame(30, 20, seed=3), modality="methylation", unit="beta")
    sample = align_sample(table, PATIENT, spec)
    expected = (frame.iloc[5] - spec.features["mean"].to_numpy()) / spec.features[
        "std"
    ].to_numpy()
    np.testing.assert_allclose(
        sample.values, np.clip(expected, -6, 6), rtol=1e-4, atol=1e-4
    )


def beta_folder(folder, frame):
    files = omics_gdc.gdc_folder(folder / "gdc", frame, kind="sesame")
    rows = omics_gdc.sheet_rows(files, data_type="Methylation Beta Value")
    omics_gdc.write_sheet(folder / "gdc" / "gdc_sample_sheet.tsv", rows)
    return folder / "gdc"


@pytest.mark.parametrize("name", ["plain", "porpoise", "cbioportal"])
def test_scores_of_a_cohort_are_the_same_in_every_layout(tmp_path, name):
    log = np.log2(tpm_frame(12) + 1)
    scores = (log - log.mean()) / log.std()
    named = scores.rename(index=lambda sample: f"{sample}-01")
    made = {
        "plain": lambda: write(scores, tmp_path / "z.csv"),
        "porpoise": lambda: omics_portals.porpoise(tmp_path / "all.csv.zip", scores),
        "cbioportal": lambda: omics_portals.cbioportal(
            tmp_path / "data_mrna_seq_v2_rsem_zscores_ref_all_samples.txt", named
        ),
    }
    table = read_omics(made[name]())
    assert table.uns["mmsubtype"]["unit"] == "z-score"
    sample = align_sample(table, PATIENT, rna_spec())
    np.testing.assert_allclose(sample.values, scores.loc[PATIENT], rtol=1e-5)
    marks = [n for n in sample.report.notes if "not comparable across cohorts" in n]
    assert len(marks) == 1


def test_rsem_of_cbioportal_are_counts(tmp_path):
    frame = tpm_frame(12, suffix="-01")
    path = omics_portals.cbioportal(tmp_path / "data_mrna_seq_v2_rsem.txt", frame)
    table = read_omics(path)
    assert table.uns["mmsubtype"]["unit"] == "counts"
    assert table.var.loc["ESR1", "entrez"] == "100130000"
    assert table.var_names[0] == "100134869"
    np.testing.assert_allclose(table[:, list(GENES)].X, frame, rtol=1e-6)


CLINICAL = {
    "plain": lambda d, f: write(f, d / "c.csv"),
    "parquet": lambda d, f: parquet(d, f),
    "gdc": lambda d, f: omics_portals.gdc_clinical(d / "clinical.tsv", f),
    "older gdc": lambda d, f: omics_portals.gdc_clinical(
        d / "clinical.tsv", f, dotted=False
    ),
    "cbioportal": lambda d, f: omics_portals.cbioportal_clinical(
        d / "data_clinical_patient.txt", f
    ),
    "h5ad": lambda d, f: clinical_h5ad(d / "c.h5ad", f),
}


def clinical_h5ad(path, frame):
    data = anndata.AnnData(X=np.zeros((len(frame), 1), np.float32), obs=frame)
    data.write_h5ad(path)
    return path


@pytest.mark.parametrize("name", CLINICAL)
def test_each_format_gives_the_patient_the_same_clinical_row(tmp_path, name):
    frame = clinical_frame(12)
    spec = fit_modality(
        clinical_frame(40, seed=4),
        modality="clinical",
        schema={"age": "numeric", "sex": "category", "stage": "category"},
    )
    plain = read_omics(write(frame, tmp_path / "reference.csv"), modality="clinical")
    expected = align_sample(plain, PATIENT, spec)
    declared = {"modality": "clinical"} if name == "h5ad" else {}
    table = read_omics(CLINICAL[name](tmp_path, frame), **declared)
    assert table.uns["mmsubtype"]["modality"] == "clinical"
    found = align_sample(table, PATIENT, spec)
    np.testing.assert_array_equal(found.values, expected.values)
    assert found.report.matched == 3


@pytest.mark.real_data
@pytest.mark.parametrize(
    "file",
    [
        "tcga_brca_rnaseq_zscores.csv.gz",
        "tcga_brca_methylation_chr17_betas.csv.gz",
        "tcga_brca_mrna_chr17_counts.tsv.gz",
    ],
)
@pytest.mark.parametrize("kept", ["t.parquet", "t.gct", "t.h5ad", "own.h5ad"])
def test_real_tables_stay_the_same_in_another_format(tmp_path, real_data, file, kept):
    table = read_omics(real_data / "omics" / file)
    frame = pd.DataFrame(
        table.X, index=table.obs["sample"].tolist(), columns=table.var_names
    )
    path = tmp_path / kept
    write_again = {
        "t.parquet": lambda: frame.to_parquet(path),
        "t.gct": lambda: plain_gct(path, frame),
        "t.h5ad": lambda: omics_portals.h5ad(path, frame),
        "own.h5ad": lambda: write_omics(table, path),
    }
    write_again[kept]()
    again = read_omics(path, modality=table.uns["mmsubtype"]["modality"])
    assert again.uns["mmsubtype"]["unit"] == table.uns["mmsubtype"]["unit"]
    assert again.obs["sample"].tolist() == table.obs["sample"].tolist()
    assert again.var_names.tolist() == table.var_names.tolist()
    np.testing.assert_array_equal(again.X, table.X)


def plain_gct(path, frame):
    turned = frame.T
    turned.insert(0, "Description", "na")
    head = f"#1.2\n{frame.shape[1]}\t{frame.shape[0]}\n"
    path.write_text(head + turned.to_csv(sep="\t", index_label="Name"))
