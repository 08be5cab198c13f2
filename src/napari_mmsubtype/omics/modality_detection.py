"""Which modality a table holds, where nobody said."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.clinical_table import SYNONYMS, match_variables
from napari_mmsubtype.omics.feature_names import is_known_feature, is_probe
from napari_mmsubtype.omics.matrix import EXPRESSION_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

_LOOKED_AT = 4000
_MIN_SHARE = 0.5
# So many different values within 0 to 1 are no flags, ranks or single cells.
_MIN_DIFFERENT = 20
_SHOWN = 3
_FEW_COLUMNS = 1000
_FEW_GENES = 20
_JUDGED_VALUES = 4_000_000
_GDC_HEADER = re.compile(
    r"(cases|demographic|diagnoses|exposures|treatments|follow_ups|family_histories)\."
    r"[a-z_]+|[a-z_]+\.(demographic|diagnoses|exposures|treatments|samples)$"
    r"|(case|diagnosis|exposure)_submitter_id$"
)
_CLINICAL = (*SYNONYMS, "vital_status", "os_months", "age_at_diagnosis")


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
        As `detect_by_names`; else methylation where half of the names of an axis are
        probes (``cg``, ``ch``; ``rs`` beside them), clinical without numbers. Of the
        rest, at least 20 different values all within 0 to 1 are methylation, and values
        above 1 are RNA where there are as many or a gene is known.

    Raises
    ------
    TableReadError
        If neither names nor values tell.
    """
    named = detect_by_names(columns)
    if named is not None:
        return named
    axes = (list(columns[:_LOOKED_AT]), list(rows[:_LOOKED_AT]))
    for labels in axes:
        probes = [label for label in labels if is_probe(label)]
        # The rs numbers alone are genotypes of any table, not those of an array.
        if len(probes) >= _MIN_SHARE * len(labels) and any(map(_is_site, probes)):
            evidence = f"{len(probes)} of {len(labels)} names are methylation probes"
            return ModalityFinding(Modality.METHYLATION, evidence)
    if not values.size:
        return ModalityFinding(Modality.CLINICAL, "no column of numbers")
    known = max(
        sum(is_known_feature(label) and not is_probe(label) for label in labels)
        for labels in axes
    )
    genes = f"{known} known genes, " if known else ""
    low, high, different = _range(values)
    span = f"values from {low:.4g} to {high:.4g}"
    if different >= _MIN_DIFFERENT and low >= 0 and high <= 1:
        return ModalityFinding(Modality.METHYLATION, f"{genes}{span}")
    # Above 1 they are no betas, and M-values of genes are rare: few values will do.
    if high > 1 and (known or different >= _MIN_DIFFERENT):
        return ModalityFinding(Modality.RNA, f"{genes}{span}")
    examples = ", ".join(repr(label) for label in columns[:_SHOWN])
    count = f"only {different} different value" + "s" * (different != 1)
    msg = (
        f"cannot tell RNA from methylation: {count}"
        + (f" from {low:.4g} to {high:.4g}" if different else "")
        + (f" of {known} known genes" if known else ", no known gene or probe")
        + f" (columns such as {examples}); say which it is: "
        + pass_option("modality", "rna", "methylation", "clinical")
    )
    raise TableReadError(msg)


def _is_site(probe: str) -> bool:
    """Tell a probe of methylation from one of a genotype."""
    return probe.strip().startswith(("cg", "ch"))


def _range(values: NDArray[np.floating]) -> tuple[float, float, int]:
    """Find the least, the greatest, and how many different values there are."""
    step = max(1, -(-values.size // _JUDGED_VALUES))
    finite = values[::step][np.isfinite(values[::step])]
    if not finite.size:
        return 0.0, 0.0, 0
    different = np.unique(finite[: _MIN_DIFFERENT * 100]).size
    if different < _MIN_DIFFERENT:
        different = np.unique(finite).size
    return float(finite.min()), float(finite.max()), int(different)
