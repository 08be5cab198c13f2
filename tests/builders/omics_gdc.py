"""Downloads from the GDC in their true layout, with made-up values."""

from __future__ import annotations

import gzip
import json
import uuid
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import pandas as pd

STAR_NAME = "rna_seq.augmented_star_gene_counts.tsv"
SESAME_NAME = "methylation_array.sesame.level3betas.txt"
_STAR_HEADER = (
    "gene_id", "gene_name", "gene_type", "unstranded", "stranded_first",
    "stranded_second", "tpm_unstranded", "fpkm_unstranded", "fpkm_uq_unstranded",
)  # fmt: skip


def ensembl(number: int) -> str:
    return f"ENSG{number:011d}"


def star_text(tpm: pd.Series) -> str:
    """A STAR file; counts are ten times the TPM, FPKM half and FPKM-UQ a quarter."""
    lines = ["# gene-model: GENCODE v36", "\t".join(_STAR_HEADER)]
    for name in ("unmapped", "multimapping", "noFeature", "ambiguous"):
        lines.append(f"N_{name}\t\t\t2047123\t2047123\t2047123\t\t\t")
    for number, (symbol, value) in enumerate(tpm.items(), start=1):
        count = round(value * 10)
        numbers = [count, count // 2, count - count // 2]
        scaled = [repr(float(value * factor)) for factor in (1.0, 0.5, 0.25)]
        cells = [f"{ensembl(number)}.{number % 9 + 1}", symbol, "protein_coding"]
        lines.append("\t".join([*cells, *map(str, numbers), *scaled]))
    lines.append("ENSG00000182378.15_PAR_Y\tPLCXD1\tprotein_coding\t0\t0\t0\t0\t0\t0")
    return "\n".join(lines) + "\n"


def sesame_text(beta: pd.Series) -> str:
    """A file of betas: no header, NA where masked."""
    return "".join(
        f"{probe}\t{'NA' if np.isnan(value) else repr(float(value))}\n"
        for probe, value in beta.items()
    )


def file_id(number: int) -> str:
    return str(uuid.UUID(int=0xA1B2 << 100 | number))


def gdc_folder(
    folder: Path,
    frame: pd.DataFrame,
    *,
    kind: str = "star",
    nested: bool = True,
    packed: bool = False,
) -> dict[str, Path]:
    """Write one file per row of a frame (sample × feature); give them by sample."""
    ending = STAR_NAME if kind == "star" else f"HM450.{SESAME_NAME}"
    write = star_text if kind == "star" else sesame_text
    files = {}
    for number, (sample, row) in enumerate(frame.iterrows(), start=1):
        place = folder / file_id(number) if nested else folder
        place.mkdir(parents=True, exist_ok=True)
        content = write(row).encode()
        name = f"{file_id(1000 + number)}.{ending}"
        file = place / (f"{name}.gz" if packed else name)
        file.write_bytes(gzip.compress(content) if packed else content)
        if nested:
            (place / "annotations.txt").write_text("id\tentity_type\n")
            (place / "logs").mkdir()
            (place / "logs" / f"{name}.parcel").write_text("log")
        files[str(sample)] = file
    (folder / "MANIFEST.txt").write_text("id\tfilename\tmd5\tsize\tstate\n")
    return files


def sheet_rows(
    files: Mapping[str, Path], *, data_type: str = "Gene Expression Quantification"
) -> list[tuple[str, ...]]:
    """List the sheet's lines for files by sample barcode."""
    kinds = {"01": "Primary Tumor", "06": "Metastatic", "11": "Solid Tissue Normal"}
    return [
        (
            file.parent.name,
            file.name.removesuffix(".gz"),
            "Transcriptome Profiling",
            data_type,
            "TCGA-BRCA",
            sample[:12],
            sample[:16],
            kinds.get(sample[13:15], "Primary Tumor"),
        )
        for sample, file in files.items()
    ]


def write_sheet(
    path: Path,
    rows: Sequence[Sequence[str]],
    *,
    kinds: Sequence[str] = ("Sample Type",),
) -> Path:
    """Write a sheet; those since 2024 end in tissue type and tumour descriptor."""
    header = (
        "File ID", "File Name", "Data Category", "Data Type", "Project ID", "Case ID",
        "Sample ID", *kinds,
    )  # fmt: skip
    path.write_text("".join("\t".join(row) + "\n" for row in [header, *rows]))
    return path


def write_metadata(folder: Path, aliquots: Mapping[str, str]) -> Path:
    """Write the metadata of a cart, which name the aliquot of each file."""
    entries = [
        {
            "file_name": name,
            "data_format": "TSV",
            "associated_entities": [
                {"entity_submitter_id": barcode, "entity_type": "aliquot"}
            ],
        }
        for name, barcode in aliquots.items()
    ]
    path = folder / "metadata.cart.2024-05-01.json"
    path.write_text(json.dumps(entries))
    return path
