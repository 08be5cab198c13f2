"""Clinical columns that give the label away, or name the patient."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_scales import read_number
from napari_mmsubtype.omics.clinical_table import is_unanswered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

# In this order: the first that fits names the reason. Searched in the column's name
# in lower case, its words joined by "_", with "_" at both ends.
_SUSPECTS = tuple(
    (reason, re.compile(pattern))
    for reason, pattern in (
        (
            "subtype or label",
            r"subtype|pam50|intrinsic|^_(labels?|class(es)?|targets?)_$|_class_label_"
            r"|cluster|sample_type|tissue_type|classification_of_tumor"
            r"|_(er|pr|her2|erbb2|hr)_(status|ihc|fish)|_(ihc|fish)_|receptor|triple_neg",
        ),
        (
            "outcome",
            r"surviv|vital|_death|_dead_|deceased|_alive|_(os|dfs|dss|pfs|pfi|rfs|dfi)_"
            r"|disease_free|progress|recurr|relapse|follow_?up|_last_(comm|alive|follow|known|contact)|new_(tumor|neoplasm)"
            r"|neoplasm_cancer_status|tumor_status|_outcome|_response|days_to_(?!birth)",
        ),
        (
            "treatment",
            r"treat|therap|radiat(?!ion_exposure)|chemo|_drug|pharmac|_dose|regimen|surg|residual_dis"
            r"|_margin|resection|_cycles_|_fractions_|course_number|route_of_admin",
        ),
        (
            "histology",
            r"histolog(?!ic(al)?_grade)|morpholog|_icd|oncotree|primary_diagnosis"
            r"|(cancer|tumor|disease)_type",
        ),
        (
            "site of collection or of the tumour",
            r"_sites?_|_tss_|_cent(er|re)_|institution|hospital|_batch|_plate|_project"
            r"|_study|_country|tissue_or_organ|tumor_of_origin|anatomic|_portion_"
            r"|consent|form_completion|_collection_|pathway_analysis"
            r"|year_of_|_edition|publication_version|obfuscated|index_date"
            r"|somatic_status|samples_per_patient",
        ),
        (
            "identifier",
            r"_ids?_|uuid|barcode|submitter|_sample_name_|_case_|_mrn_",
        ),
    )
)
_MIN_JUDGED = 20
_MIN_MINORITY = 4
_MAX_LEVEL_SHARE = 0.34
_PURITY = 0.98
_PERFECT = 0.99


@dataclass(frozen=True, slots=True)
class Leak:
    """A column that must not be an input unless it is asked for.

    Attributes
    ----------
    column : str
        Its name.
    reason : str
        What it gives away.
    """

    column: str
    reason: str

    def __str__(self) -> str:
        return f"{self.column!r} ({self.reason})"


def find_leaks(
    frame: pd.DataFrame, labels: Sequence[object] | None = None
) -> tuple[Leak, ...]:
    """Find columns that give the label away, or name the patient.

    By name: subtype, outcome, treatment, histology code, site and identifiers. With
    labels also by value: columns whose answers each belong to one class, and numbers
    that separate two classes. Columns without any answer are passed over.

    Parameters
    ----------
    frame : DataFrame
        Training patients only, one column per variable.
    labels : sequence or None, default: None
        Class of each row.

    Returns
    -------
    tuple of Leak
        In the order of the columns.

    Raises
    ------
    ConfigurationError
        If there is not one label per row.
    """
    if labels is not None and len(labels) != len(frame):
        msg = f"{len(labels)} labels for {len(frame)} clinical rows; give one per row"
        raise ConfigurationError(msg)
    leaks = []
    for position, column in enumerate(map(str, frame.columns)):
        if frame.iloc[:, position].map(is_unanswered).all():
            continue
        reason = _by_name(column)
        if not reason and labels is not None:
            reason = _by_value(frame.iloc[:, position], labels)
        if reason:
            leaks.append(Leak(column, reason))
    return tuple(leaks)


def refuse_leaks(leaks: Iterable[Leak], allow: Collection[str] = ()) -> None:
    """Refuse columns that give the label away.

    Parameters
    ----------
    leaks : iterable of Leak
        As `find_leaks`.
    allow : collection of str, default: ()
        Columns to use all the same.

    Raises
    ------
    ConfigurationError
        Naming every column and its reason, if one is not allowed.
    """
    refused = [leak for leak in leaks if leak.column not in allow]
    if refused:
        names = ", ".join(repr(leak.column) for leak in refused)
        msg = (
            f"{len(refused)} clinical columns may give the label away or name the "
            f"patient: {', '.join(map(str, refused))}; leave them out, or pass "
            f"allow=[{names}] to use them on purpose"
        )
        raise ConfigurationError(msg)


def _by_name(column: str) -> str:
    """Suspect a column for its name."""
    plain = "_" + re.sub(r"[^a-z0-9]+", "_", column.casefold()).strip("_") + "_"
    return next((reason for reason, p in _SUSPECTS if p.search(plain)), "")


def _by_value(values: pd.Series[Any], labels: Sequence[object]) -> str:
    """Suspect a column for how it goes with the label."""
    classes = pd.Series([str(label) for label in labels], index=values.index)
    counts = classes.value_counts()
    if len(classes) < _MIN_JUDGED or len(counts) < 2 or counts.min() < _MIN_MINORITY:
        return ""
    levels = values.map(
        lambda cell: "" if is_unanswered(cell) else str(cell).strip().casefold()
    )
    table = pd.crosstab(levels, classes)
    purity = float(table.max(axis=1).sum() / len(classes))
    usual = float(counts.max() / len(classes))
    # The share of wrong guesses that the column takes away; few levels only, as every
    # level of an almost unique column is pure.
    gain = (purity - usual) / (1 - usual)
    if len(table) <= max(2, _MAX_LEVEL_SHARE * len(classes)) and gain >= _PURITY:
        one_to_one = len(table) == len(counts)
        return "equal to the label" if one_to_one else "each answer tells the label"
    numbers = values.map(read_number).to_numpy(dtype=np.float64)
    seen = np.isfinite(numbers)
    if len(counts) != 2 or seen.sum() < _MIN_JUDGED:
        return ""
    first = (classes == counts.index[0]).to_numpy()[seen]
    if min(first.sum(), (~first).sum()) < _MIN_MINORITY:
        return ""
    ranks = pd.Series(numbers[seen]).rank().to_numpy()
    above = ranks[first].sum() - first.sum() * (first.sum() + 1) / 2
    auc = float(above / (first.sum() * (~first).sum()))
    if max(auc, 1 - auc) >= _PERFECT:
        return f"separates the classes (AUC {max(auc, 1 - auc):.3f})"
    return ""
