"""Synthetic cohorts whose subtype needs both the image and the omics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.omics.gene_programs import (
    PROGRAMS,
    PROMOTERS,
    gene_trait,
    promoter_genes,
    rna_genes,
)

if TYPE_CHECKING:
    import os

    from numpy.typing import NDArray

_CORRELATION = 0.2  # between what the image and what the omics show
_BASAL_SLOPE = 1.6  # of the basal-like share, in logits per standard deviation
_BASAL_LIMITS = (0.02, 0.98)
_GENE_NOISE = 0.7  # log2 units
_PROMOTER_NOISE = 0.55  # logits


@dataclass(frozen=True, slots=True)
class SyntheticCohort:
    """Made-up patients with slide, RNA, methylation and clinical data.

    Attributes
    ----------
    patients : DataFrame
        One row per patient: ``patient_id``, ``label`` (0 Luminal, 1 Basal/HER2),
        ``slide`` (address), ``basal`` (share of the tumour that is basal-like) and
        ``omics_score`` (the cause behind the tables; positive is Basal/HER2).
    rna : DataFrame
        Patients by genes, in log2(tpm + 1).
    methylation : DataFrame
        Patients by genes, mean β-value of the promoter, 0 to 1.
    clinical : DataFrame
        Patients by ``age`` (years), ``sex``, ``menopausal_status``, ``tumor_size_mm``
        and ``nodal_status``; some answers are missing.
    """

    patients: pd.DataFrame
    rna: pd.DataFrame
    methylation: pd.DataFrame
    clinical: pd.DataFrame


@dataclass(frozen=True, slots=True)
class _Causes:
    """What differs between patients: standard scores, and `her2` 0 or 1."""

    subtype: NDArray[np.float64]
    her2: NDArray[np.float64]
    proliferation: NDArray[np.float64]
    immune: NDArray[np.float64]
    stroma: NDArray[np.float64]


def synthetic_cohort(n: int, *, seed: int, slide_size: int = 2048) -> SyntheticCohort:
    """Make up a cohort.

    Parameters
    ----------
    n : int
        Number of patients.
    seed : int
        Everything random follows from it.
    slide_size : int, default: 2048
        Height and width of every slide, in level-0 px.

    Returns
    -------
    SyntheticCohort
        The label is whether the sum of an image score and an omics score is positive;
        the two scores correlate weakly, so neither alone tells the label.

    Raises
    ------
    ValueError
        If there is no patient, or the seed is negative.
    """
    if n < 1 or seed < 0:
        msg = f"need n >= 1 patients and seed >= 0, found n={n} and seed={seed}"
        raise ValueError(msg)
    rng = np.random.default_rng([seed, 0])
    scores = rng.multivariate_normal(
        [0, 0], [[1, _CORRELATION], [_CORRELATION, 1]], size=n
    )
    image_score, omics_score = scores[:, 0], scores[:, 1]
    logit = _BASAL_SLOPE * image_score
    basal = np.clip(1 / (1 + np.exp(-logit)), *_BASAL_LIMITS).round(4)
    digits = max(4, len(str(n)))
    names = pd.Index(
        [f"SYN{seed}-{i:0{digits}d}" for i in range(1, n + 1)], name="patient_id"
    )
    slide_seeds = rng.integers(0, 2**31, size=n)
    patients = pd.DataFrame(
        {
            "patient_id": names,
            "label": (image_score + omics_score > 0).astype(np.int64),
            "slide": [
                f"synthetic:seed={slide_seed},size={slide_size},basal={share:.4f}"
                for slide_seed, share in zip(slide_seeds, basal, strict=True)
            ],
            "basal": basal,
            "omics_score": omics_score.round(6),
        }
    )
    causes = _draw_causes(omics_score, np.random.default_rng([seed, 1]))
    return SyntheticCohort(
        patients,
        _rna(causes, names, np.random.default_rng([seed, 2])),
        _methylation(causes, names, np.random.default_rng([seed, 3])),
        _clinical(causes, names, np.random.default_rng([seed, 4])),
    )


def _draw_causes(score: NDArray[np.float64], rng: np.random.Generator) -> _Causes:
    """Let the omics score act through a few causes."""
    n = score.size
    likely = 1 / (1 + np.exp(-(1.2 * score - 2.0)))
    her2 = (rng.random(n) < likely).astype(np.float64)

    def related(weight: float) -> NDArray[np.float64]:
        noise = rng.standard_normal(n)
        return np.asarray(weight * score + np.sqrt(1 - weight**2) * noise)

    return _Causes(score, her2, related(0.45), related(0.2), related(-0.15))


def _rna(causes: _Causes, names: pd.Index, rng: np.random.Generator) -> pd.DataFrame:
    """Express every gene."""
    columns = []
    for program in PROGRAMS:
        shared = (
            program.subtype * causes.subtype
            + program.her2 * causes.her2
            + program.proliferation * causes.proliferation
            + program.immune * causes.immune
            + program.stroma * causes.stroma
        )
        for gene in program.genes:
            level = program.level + 1.4 * gene_trait(gene, "level")
            response = 1 + 0.35 * gene_trait(gene, "response")
            noise = _GENE_NOISE * (1 + 0.3 * gene_trait(gene, "noise"))
            columns.append(
                level + response * shared + noise * rng.standard_normal(len(names))
            )
    # log2(tpm + 1) has a floor: a silent gene reads 0.
    values = np.maximum(np.column_stack(columns), 0).round(4)
    return pd.DataFrame(values, index=names, columns=list(rna_genes()))


def _methylation(
    causes: _Causes, names: pd.Index, rng: np.random.Generator
) -> pd.DataFrame:
    """Methylate every promoter."""
    columns = []
    for group in PROMOTERS:
        shared = group.subtype * causes.subtype + group.immune * causes.immune
        for gene in group.genes:
            level = np.log(group.level / (1 - group.level))
            level += 0.5 * gene_trait(gene, "methylation")
            response = 1 + 0.35 * gene_trait(gene, "methylation response")
            noise = _PROMOTER_NOISE * rng.standard_normal(len(names))
            columns.append(1 / (1 + np.exp(-(level + response * shared + noise))))
    values = np.column_stack(columns).round(4)
    return pd.DataFrame(values, index=names, columns=list(promoter_genes()))


def _clinical(
    causes: _Causes, names: pd.Index, rng: np.random.Generator
) -> pd.DataFrame:
    """Fill in a clinical form, with a weak bearing on the subtype and some gaps."""
    n = len(names)
    age = np.clip(np.rint(rng.normal(59, 12, n) - 2.0 * causes.subtype), 25, 90)
    female = rng.random(n) < 0.99
    past = rng.random(n) < 1 / (1 + np.exp(-(age - 51) / 2.5))
    menopause = np.where(past, "post", "pre").astype(object)
    menopause[~female | (rng.random(n) < 0.05)] = np.nan
    size = np.exp(rng.normal(3.05, 0.45, n) + 0.08 * causes.subtype)
    size = np.clip(np.rint(size), 4, 120)
    size[rng.random(n) < 0.04] = np.nan
    burden = (
        rng.normal(0, 1, n) + 0.1 * causes.subtype + (np.nan_to_num(size) - 22) / 30
    )
    nodes = np.asarray(["N0", "N1", "N2", "N3"], object)[
        np.searchsorted([0.2, 1.1, 1.8], burden)
    ]
    return pd.DataFrame(
        {
            "age": age.astype(np.int64),
            "sex": np.where(female, "female", "male"),
            "menopausal_status": menopause,
            "tumor_size_mm": size,
            "nodal_status": nodes,
        },
        index=names,
    )


def write_cohort(
    cohort: SyntheticCohort, folder: str | os.PathLike[str]
) -> dict[str, Path]:
    """Write a cohort as the files that users have.

    Parameters
    ----------
    cohort : SyntheticCohort
        What to write.
    folder : str or path
        Made if absent; files of an earlier cohort are replaced.

    Returns
    -------
    dict of str to Path
        ``rna`` (rna.csv.gz), ``methylation`` (methylation.csv.gz), ``clinical``
        (clinical.csv) and ``manifest`` (manifest.csv); equal cohorts give equal bytes.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    paths = {
        "rna": target / "rna.csv.gz",
        "methylation": target / "methylation.csv.gz",
        "clinical": target / "clinical.csv",
        "manifest": target / "manifest.csv",
    }
    # Without a fixed time, gzip would make equal tables differ.
    packed = {"method": "gzip", "mtime": 0}
    for table, key in ((cohort.rna, "rna"), (cohort.methylation, "methylation")):
        table.to_csv(paths[key], float_format="%.4f", compression=packed)
    cohort.clinical.to_csv(paths["clinical"])
    cohort.patients.to_csv(paths["manifest"], index=False)
    return paths
