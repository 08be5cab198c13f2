"""Methylation probes: which array they come from, and which of them are left out."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from napari_mmsubtype.omics.feature_names import is_probe

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd
    from numpy.typing import NDArray

Platform = Literal["HM27", "HM450", "EPIC", "EPICv2", ""]

_SUFFIX = re.compile(r"_[TB][CO][0-9]+$")
# How many probes the tables of each array have, from the masked to the complete.
_COUNTS: tuple[tuple[Platform, int, int], ...] = (
    ("HM27", 20_000, 27_700),
    ("HM450", 300_000, 487_000),
    ("EPIC", 600_000, 870_000),
    ("EPICv2", 870_001, 960_000),
)
# The first probes of each array by name that the other arrays do not have.
_ONLY_EPIC = frozenset({"cg00000103", "cg00000155", "cg00000158"})
_ONLY_HM450 = frozenset({"cg00000108"})
_MIN_SHARE = 0.5
_SEX = frozenset({"x", "y", "chrx", "chry", "23", "24"})


@dataclass(frozen=True, slots=True)
class PlatformFinding:
    """An array and what speaks for it.

    Attributes
    ----------
    platform : str
        ``HM27``, ``HM450``, ``EPIC``, ``EPICv2``, or empty where it cannot be told.
    evidence : str
        What said so.
    """

    platform: Platform
    evidence: str


def plain_probe(name: str) -> str:
    """Name a probe without the suffix that the newest array adds.

    Parameters
    ----------
    name : str
        For example ``cg00000029_TC21``.

    Returns
    -------
    str
        For example ``cg00000029``.
    """
    return _SUFFIX.sub("", name.strip())


def recognize_platform(names: Sequence[str]) -> PlatformFinding:
    """Recognise a methylation array from its probes.

    Parameters
    ----------
    names : sequence of str
        Features of a table.

    Returns
    -------
    PlatformFinding
        Without a platform where the features are no probes, or too few.
    """
    probes = [name for name in names if is_probe(name)]
    count = len(probes)
    if count < _MIN_SHARE * len(names) or not count:
        return PlatformFinding("", f"{len(names)} features that are no probes")
    if sum(bool(_SUFFIX.search(name)) for name in probes) >= _MIN_SHARE * count:
        return PlatformFinding("EPICv2", f"{count} probes with a suffix such as _TC11")
    held = {*probes} & (_ONLY_EPIC | _ONLY_HM450)
    if held and not held <= _ONLY_HM450:
        return PlatformFinding("EPIC", f"{count} probes, {min(held)} among them")
    if held:
        return PlatformFinding("HM450", f"{count} probes, {min(held)} among them")
    for platform, low, high in _COUNTS:
        if low <= count <= high:
            return PlatformFinding(platform, f"{count} probes")
    return PlatformFinding("", f"{count} probes: part of an array")


def keep_probes(
    names: Sequence[str],
    annotation: pd.DataFrame | None = None,
    *,
    sex_chromosomes: bool = False,
) -> tuple[NDArray[np.bool_], tuple[str, ...]]:
    """Mark the probes that measure methylation, and not who the patient is.

    Parameters
    ----------
    names : sequence of str
        Features of a table.
    annotation : DataFrame or None, default: None
        As `probe_annotation.tidy_annotation`: ``probe`` and ``chrom``.
    sex_chromosomes : bool, default: False
        Keep probes on X and Y.

    Returns
    -------
    kept : ndarray of bool, shape (feature,)
        False for genotype probes (``rs``), probes outside CpG (``ch.``) and, where the
        annotation says so, probes on X and Y.
    notes : tuple of str
        What was left out.
    """
    plain = np.array([plain_probe(name) for name in names], dtype=object)
    probe = np.array([is_probe(name) for name in names], dtype=bool)
    genotype = probe & np.array([name.startswith("rs") for name in plain], bool)
    other = probe & np.array([name.startswith("ch.") for name in plain], bool)
    left_out = [(genotype, "genotype (rs)"), (other, "outside CpG (ch.)")]
    if annotation is not None and not sex_chromosomes:
        on_sex = annotation["chrom"].str.casefold().isin(_SEX)
        sexed = set(annotation.loc[on_sex, "probe"])
        left_out.append(
            (np.array([name in sexed for name in plain], bool), "on X or Y")
        )
    kept = ~np.logical_or.reduce([mask for mask, _ in left_out])
    notes = tuple(
        f"{int(mask.sum())} probes {what} left out"
        for mask, what in left_out
        if mask.any()
    )
    return kept, notes
