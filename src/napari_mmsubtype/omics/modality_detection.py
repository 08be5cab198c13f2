"""Which modality a table holds, where nobody said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.omics.clinical_table import SYNONYMS, match_variables
from napari_mmsubtype.omics.feature_names import is_known_feature, is_probe
from napari_mmsubtype.omics.matrix import EXPRESSION_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LOOKED_AT = 4000
_MIN_FEATURES = 3
_FEW_COLUMNS = 1000
_FEW_GENES = 20
_JUDGED_VALUES = 4_000_000
_GDC_HEADER = re.compile(
    r"(cases|demographic|diagnoses|exposures|treatments|follow_ups|family_histories)\."
    r"[a-z_]+|(case|diagnosis|exposure)_submitter_id$"
)
_CLINICAL = (*SYNONYMS, "smoking", "vital_status", "os_months", "age_at_diagnosis")


@dataclass(frozen=True, slots=True)
class ModalityFinding:
    """A modality and what speaks for it.

    Attributes
    ----------
    modality : Modality
        RNA, methylation or clinical.
    evidence : str
        What said so.
    """

    modality: Modality
    evidence: str


def detect_by_names(columns: Sequence[str]) -> ModalityFinding | None:
    """Recognise a table whose columns' names alone say what it is.

    Parameters
    ----------
    columns : sequence of str
        Names of all columns.

    Returns
    -------
    ModalityFinding or None
        RNA for columns of expression among others (``ESR1_rnaseq``); clinical for the
        headers of the GDC's exports, and for clinical variables without many genes
        beside them; None where only the values can tell.
    """
    suffixed = sum(name.endswith(EXPRESSION_SUFFIX) for name in columns)
    if suffixed:
        return ModalityFinding(
            Modality.RNA, f"{suffixed} columns end in {EXPRESSION_SUFFIX}"
        )
    found = [name for name in columns if _GDC_HEADER.match(name)]
    if not found and len(columns) <= _FEW_COLUMNS:
        known = sum(is_known_feature(name) for name in columns)
        matched = match_variables(columns, _CLINICAL).values()
        if known < _FEW_GENES:
            found = list(dict.fromkeys(name for name in matched if name))
    if not found:
        return None
    listed = ", ".join(repr(name) for name in found[:3])
    return ModalityFinding(Modality.CLINICAL, f"columns such as {listed}")


def detect_modality(
    columns: Sequence[str], rows: Sequence[str], values: NDArray[np.floating]
) -> ModalityFinding:
    """Recognise the modality of a table by names, labels and values.

    Parameters
    ----------
    columns : sequence of str
        Names of all columns.
    rows : sequence of str
        Labels of the rows.
    values : ndarray of float, shape (row, column)
        The columns of numbers.

    Returns
    -------
    ModalityFinding
        As `detect_by_names`; else probes are methylation, a table without numbers is
        clinical, and the rest is methylation where all values lie within 0 to 1, RNA
        otherwise.
    """
    named = detect_by_names(columns)
    if named is not None:
        return named
    labels = [*columns[:_LOOKED_AT], *rows[:_LOOKED_AT]]
    probes = sum(map(is_probe, labels))
    known = sum(map(is_known_feature, labels)) - probes
    if probes >= _MIN_FEATURES and probes > known:
        return ModalityFinding(Modality.METHYLATION, f"{probes} methylation probes")
    if not values.size:
        return ModalityFinding(Modality.CLINICAL, "no column of numbers")
    genes = f"{known} known genes, " if known else ""
    low, high = _range(values)
    if low >= 0 and high <= 1:
        return ModalityFinding(
            Modality.METHYLATION, f"{genes}values from {low:.3g} to {high:.3g}"
        )
    return ModalityFinding(Modality.RNA, f"{genes}values from {low:.4g} to {high:.4g}")


def _range(values: NDArray[np.floating]) -> tuple[float, float]:
    """Find the least and the greatest value; 0 and infinity where there is none."""
    step = max(1, -(-values.size // _JUDGED_VALUES))
    finite = values[::step][np.isfinite(values[::step])]
    if not finite.size:
        return 0.0, float("inf")
    return float(finite.min()), float(finite.max())
