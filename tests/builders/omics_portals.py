"""Tables as cBioPortal, Xena, GenePattern and others lay them out, made-up values."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import h5py
import numpy as np
import pandas as pd

from builders.omics_gdc import ensembl

if TYPE_CHECKING:
    from pathlib import Path


def xena(path: Path, log: pd.DataFrame) -> Path:
    """Genes in rows below the word "sample", logarithms, barcodes of 15 characters."""
    turned = log.T
    turned.columns = [name[:15] for name in turned.columns]
    turned.to_csv(path, sep="\t", index_label="sample")
    return path


def cbioportal(path: Path, frame: pd.DataFrame) -> Path:
    """Two columns of identifiers, genes in rows; some rows without a symbol."""
    turned = frame.T
    turned.columns = [name[:15] for name in turned.columns]
    entrez = [str(100_130_000 + i) for i in range(len(turned))]
    turned.insert(0, "Entrez_Gene_Id", entrez)
    turned.index.name = "Hugo_Symbol"
    nameless = turned.iloc[[0]].copy()
    nameless.index = [""]
    nameless["Entrez_Gene_Id"] = "100134869"
    pd.concat([nameless, turned]).to_csv(path, sep="\t", index_label="Hugo_Symbol")
    return path


def porpoise(path: Path, zscores: pd.DataFrame) -> Path:
    """One row per slide, patients beside; expression, copy number and mutations."""
    frame = pd.DataFrame(index=range(len(zscores)))
    frame["case_id"] = [name[:12] for name in zscores.index]
    frame["slide_id"] = [f"{name[:12]}-01Z-00-DX1.A1B2.svs" for name in zscores.index]
    frame["site"] = [name[5:7] for name in zscores.index]
    frame["age"] = np.arange(40, 40 + len(zscores))
    frame["survival_months"] = np.linspace(1.5, 90.5, len(zscores))
    frame["censorship"] = np.arange(len(zscores)) % 2
    for gene in list(zscores.columns)[:3]:
        frame[f"{gene}_cnv"] = np.arange(len(zscores)) % 3 - 1
        frame[f"{gene}_mut"] = np.arange(len(zscores)) % 2
    for gene in zscores.columns:
        frame[f"{gene}_rnaseq"] = zscores[gene].to_numpy()
    frame.to_csv(path)
    return path


def gct(path: Path, frame: pd.DataFrame, *, version: str = "1.2") -> Path:
    """Ensembl identifiers with symbols beside them."""
    rows, columns = frame.shape[1], frame.shape[0]
    ids = [f"{ensembl(i + 1)}.{i % 9 + 1}" for i in range(rows)]
    lines = [f"#{version}"]
    if version == "1.2":
        lines += [
            f"{rows}\t{columns}",
            "\t".join(["Name", "Description", *frame.index]),
        ]
    else:
        lines += [
            f"{rows}\t{columns}\t2\t1",
            "\t".join(["id", "pr_gene_symbol", "pr_gene_title", *frame.index]),
            "\t".join(["batch", "na", "na", *["b1"] * columns]),
        ]
    for name, (symbol, values) in zip(ids, frame.T.iterrows(), strict=True):
        beside = [symbol] if version == "1.2" else [symbol, f"gene called {symbol}"]
        lines.append("\t".join([name, *beside, *map(repr, values.astype(float))]))
    path.write_text("\n".join(lines) + "\n")
    return path


def as_anndata(frame: pd.DataFrame) -> anndata.AnnData:
    """Samples × features without a record, as other programs write it."""
    return anndata.AnnData(
        X=frame.to_numpy(np.float32),
        obs=pd.DataFrame(index=pd.Index(frame.index, dtype=object)),
        var=pd.DataFrame(index=pd.Index(frame.columns, dtype=object)),
    )


def h5ad(path: Path, frame: pd.DataFrame) -> Path:
    as_anndata(frame).write_h5ad(path)
    return path


def h5mu(path: Path, **parts: anndata.AnnData) -> Path:
    """The layout of MuData: one AnnData per group of ``mod``."""
    with h5py.File(path, "w") as file:
        file.attrs["encoding-type"] = "MuData"
        file.attrs["encoding-version"] = "0.1.0"
        modalities = file.create_group("mod")
        for name, data in parts.items():
            anndata.io.write_elem(modalities, name, data)
    return path


def cbioportal_clinical(path: Path, frame: pd.DataFrame) -> Path:
    """Four lines of comments, then the header in capitals."""
    names = [str(column) for column in frame.columns]
    head = [
        "\t".join(["#Patient Identifier", *names]),
        "\t".join(["#Identifier to uniquely specify a patient.", *names]),
        "\t".join(["#STRING", *["STRING"] * len(names)]),
        "\t".join(["#1", *["1"] * len(names)]),
        "\t".join(["PATIENT_ID", *(name.upper() for name in names)]),
    ]
    rows = [
        "\t".join([str(patient), *map(str, row)])
        for patient, row in zip(frame.index, frame.to_numpy(), strict=True)
    ]
    path.write_text("\n".join([*head, *rows]) + "\n")
    return path


def gdc_clinical(path: Path, frame: pd.DataFrame, *, dotted: bool = True) -> Path:
    """Two rows per case (one per treatment), ``'--`` where there is no answer."""
    prefix = {"age": "demographic.age_at_index", "sex": "demographic.gender"}
    prefix["stage"] = "diagnoses.ajcc_pathologic_stage"
    names = [prefix[c] if dotted else prefix[c].partition(".")[2] for c in frame]
    case, id_ = (
        ("cases.submitter_id", "cases.case_id")
        if dotted
        else ("case_submitter_id", "case_id")
    )
    lines = ["\t".join([id_, case, *names, "treatments.treatment_type"])]
    for number, (patient, row) in enumerate(
        zip(frame.index, frame.to_numpy(), strict=True)
    ):
        cells = [f"uuid-{number}", str(patient), *map(str, row)]
        lines.append("\t".join([*cells, "Radiation"]))
        cells[-1] = "'--"
        lines.append("\t".join([*cells, "'--"]))
    path.write_text("\n".join(lines) + "\n")
    return path
