"""Small omics tables, made up from a seed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anndata
import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from pathlib import Path

GENES = (
    "ESR1", "PGR", "ERBB2", "GRB7", "KRT5", "KRT14", "KRT17", "EGFR", "FOXA1", "FOXC1",
    "GATA3", "MKI67", "NUF2", "NDC80", "ORC6", "MYC", "BCL2", "CCNB1", "CCNE1", "CDH3",
    "TP53", "PTEN", "BRCA1", "BRCA2", "VIM", "CD4", "CD8A", "GAPDH", "ACTB", "B2M",
)  # fmt: skip


def barcodes(n: int, suffix: str = "-01A-11R-A12D-07") -> list[str]:
    return [f"TCGA-E2-A{i:03d}{suffix}" for i in range(n)]


def tpm_frame(n: int = 12, *, seed: int = 0, suffix: str = "") -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    level = rng.uniform(3, 10, len(GENES))
    values = np.exp2(level + rng.normal(0, 1, (n, len(GENES))))
    return pd.DataFrame(values, index=barcodes(n, suffix), columns=list(GENES))


def log_frame(n: int = 12, *, seed: int = 0, suffix: str = "") -> pd.DataFrame:
    return np.log2(tpm_frame(n, seed=seed, suffix=suffix) + 1)


def beta_frame(n: int = 12, features: int = 20, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    center = rng.choice([0.05, 0.5, 0.9], features)
    values = np.clip(center + rng.normal(0, 0.04, (n, features)), 0.001, 0.999)
    names = [f"cg{i:08d}" for i in range(features)]
    return pd.DataFrame(values, index=barcodes(n), columns=names)


def clinical_frame(n: int = 12, *, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "age": rng.integers(30, 90, n),
            "sex": rng.choice(["Female", "Male"], n),
            "stage": rng.choice(["Stage I", "Stage II", "Stage III"], n),
        },
        index=barcodes(n, ""),
    )


def write(frame: pd.DataFrame, path: Path, *, corner: str = "patient_id") -> Path:
    sep = "\t" if ".tsv" in path.name else ","
    frame.to_csv(path, sep=sep, index_label=corner)
    return path


def as_table(
    frame: pd.DataFrame, unit: str, *, modality: str = "rna"
) -> anndata.AnnData:
    """Wrap a frame as `read_omics` would, without a file."""
    clinical = modality == "clinical"
    obs = pd.DataFrame({"sample": frame.index.astype(object)}, index=frame.index)
    if clinical:
        obs = obs.join(frame)
    values = np.zeros((len(frame), 0)) if clinical else frame.to_numpy()
    return anndata.AnnData(
        X=values.astype(np.float32),
        obs=obs,
        var=pd.DataFrame(index=[] if clinical else list(frame.columns)),
        uns={
            "mmsubtype": {
                "modality": modality,
                "unit": unit,
                "source": "memory",
                "steps": [],
            }
        },
    )
