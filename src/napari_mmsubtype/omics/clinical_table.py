"""Clinical tables: who a row belongs to, which columns hold which variable."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.errors import TableReadError
from napari_mmsubtype.omics.identifiers import parse_barcode

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pandas as pd

UNANSWERED = frozenset(
    {
        "", "na", "n/a", "nan", "none", "null", "--", "'--", ".", "?", "unknown",
        "not reported", "not available", "[not available]", "not applicable",
        "[not applicable]", "[unknown]", "[not evaluated]", "[discrepancy]",
        "not evaluated", "missing",
    }
)  # fmt: skip
"""What clinical exports write where there is no answer, in lower case."""

SYNONYMS = {
    "age": (
        "age_at_index",
        "diagnosis_age",
        "age_at_diagnosis_years",
        "age_at_initial_pathologic_diagnosis",
        "age_at_initial_pathologic_diagnosis_nature2012",
        "age_years",
        "age_in_years",
        "patient_age",
        "dx_age",
        "age_at_surgery",
    ),
    "sex": ("gender", "biological_sex", "sex_at_birth", "sex_assigned_at_birth"),
    "stage": (
        "ajcc_pathologic_stage",
        "ajcc_pathologic_tumor_stage",
        "pathologic_stage",
        "pathological_stage",
        "tumor_stage",
        "tumour_stage",
        "ajcc_stage",
        "ajcc_stage_nature2012",
        "overall_stage",
        "stage_at_diagnosis",
        "neoplasm_disease_stage_american_joint_committee_on_cancer_code",
    ),
    "smoking": (
        "smoking_status",
        "tobacco_smoking_status",
        "smoking_history",
        "tobacco_smoking_history",
        "patient_smoking_history_category",
        "smoker",
    ),
    "race": ("race_category",),
    "ethnicity": ("ethnicity_category",),
}
"""Names under which public exports keep the same variable, in plain spelling."""

# The GDC gives one row per diagnosis and treatment, earlier tumours among them.
_PRIMARY_DISEASE = "diagnoses.diagnosis_is_primary_disease"
# Xena writes the GDC's headers the other way round: gender.demographic.
_ENTITIES = ("demographic", "diagnoses", "exposures", "treatments", "samples")
_DIAGNOSIS_PREFIXES = ("diagnoses.", "treatments.")

# Units alone: a stage (clinical) is no stage (pathologic).
_IN_BRACKETS = re.compile(
    r"\s*[(\[](?:y|yrs?|years?|mo|months?|weeks?|days?|mm|cm|g|kg|lbs?|pack[- ]years?"
    r"|m/f|f/m|male/female|female/male)[)\]]$",
    re.IGNORECASE,
)
_ID_NAMES = (
    "patient_id", "patient", "case_submitter_id", "submitter_id",
    "bcr_patient_barcode", "barcode", "sample_id", "sample", "case_id", "case", "id",
)  # fmt: skip


def gather_patients(text: pd.DataFrame, name: str) -> tuple[pd.DataFrame, list[str]]:
    """Bring a clinical table to one row per identifier.

    The identifiers are a column called ``patient_id`` or similar, else the first column
    of TCGA barcodes, else the first column if it has no repeats. Where several rows
    belong to one of them, each column keeps its first answer; in the GDC's exports,
    other diagnoses of a patient (earlier tumours, metastases) do not answer for the
    primary disease.

    Parameters
    ----------
    text : DataFrame of str
        Every column as text, NaN where missing.
    name : str
        File name, for messages.

    Returns
    -------
    frame : DataFrame of str
        Index the identifiers; the columns of the file.
    steps : list of str
        What was done.

    Raises
    ------
    TableReadError
        If no column names the patients.
    """
    import pandas as pd

    chosen = _id_column(text)
    if chosen is None:
        listed = ", ".join(repr(str(c)) for c in text.columns[:6])
        msg = (
            f"{name!r} has no column that names the patients (first columns: {listed});"
            " call it 'patient_id'"
        )
        raise TableReadError(msg)
    ids = text.iloc[:, chosen]
    named = ids.notna()
    steps = [f"patients named by column {str(text.columns[chosen])!r}"]
    if not named.all():
        steps.append(f"{int((~named).sum())} rows without a patient dropped")
    frame = text[named].astype(object)
    frame.index = pd.Index(ids[named].tolist(), dtype=object)
    if frame.index.has_duplicates:
        rows = len(frame)
        frame, other = _of_primary_disease(frame)
        steps.extend(other)
        answered = frame.where(~frame.map(is_unanswered))
        groups = answered.groupby(level=0, sort=False)
        differing = int((groups.nunique() > 1).any(axis=1).sum())
        frame = groups.first()
        frame = frame.astype(object).where(frame.notna(), np.nan)
        steps.append(
            f"{rows} rows gathered into {len(frame)} patients; {differing} of them "
            "have rows that differ, and the first answer of each column was kept"
        )
    return frame, steps


def _of_primary_disease(frame: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Empty what the GDC says of other diagnoses than that of the primary disease."""
    if _PRIMARY_DISEASE not in frame:
        return frame, []
    primary = frame[_PRIMARY_DISEASE].eq("true")
    has_primary = primary.groupby(level=0).transform("any")
    other = (has_primary & ~primary & frame[_PRIMARY_DISEASE].notna()).to_numpy()
    if not other.any():
        return frame, []
    told = [c for c in frame.columns if str(c).startswith(_DIAGNOSIS_PREFIXES)]
    emptied = frame.copy()
    emptied.loc[other, told] = np.nan
    return emptied, [
        f"{int(other.sum())} rows on other diagnoses than the primary disease left "
        "aside for diagnosis and treatment"
    ]


def is_unanswered(value: object) -> bool:
    """Tell whether a clinical value is no answer.

    Parameters
    ----------
    value : object
        A cell: text, number or missing.

    Returns
    -------
    bool
        True for missing values and the words of `UNANSWERED`.
    """
    import pandas as pd

    if isinstance(value, str):
        return value.strip().casefold() in UNANSWERED
    return bool(pd.isna(value))  # type: ignore[call-overload]


def match_variables(
    columns: Sequence[str], variables: Sequence[str]
) -> dict[str, str | None]:
    """Find a model's clinical variables among the columns of a table.

    Names are compared without case, spaces, units in brackets (``Age (years)``) and
    what the GDC and Xena put before or after a dot (``demographic.gender``,
    ``gender.demographic``), then by `SYNONYMS`.

    Parameters
    ----------
    columns : sequence of str
        Columns of the table.
    variables : sequence of str
        Variables of the model.

    Returns
    -------
    dict of str to str or None
        The column of each variable, None where there is none.
    """
    exact = {str(column) for column in columns}
    whole: dict[str, str] = {}
    tails: dict[str, str] = {}
    for column in map(str, columns):
        whole.setdefault(_plain(column), column)
        head, _, tail = column.rpartition(".")
        tails.setdefault(_plain(head if tail in _ENTITIES and head else tail), column)
    found: dict[str, str | None] = {}
    for variable in variables:
        if variable in exact:
            found[variable] = variable
            continue
        names = [_plain(variable)]
        for known, others in SYNONYMS.items():
            if names[0] in {known, *others}:
                names += [known, *others]
        hits = [lookup[n] for n in names for lookup in (whole, tails) if n in lookup]
        found[variable] = hits[0] if hits else None
    return found


def _id_column(text: pd.DataFrame) -> int | None:
    """Find the column that names the patients."""
    names = [_plain(str(column).rpartition(".")[2]) for column in text.columns]
    filled = [bool(text.iloc[:, i].notna().any()) for i in range(len(names))]
    barcodes = [i for i in range(len(names)) if filled[i] and _holds_barcodes(text, i)]
    known = [
        i for name in _ID_NAMES for i, n in enumerate(names) if n == name and filled[i]
    ]
    if both := [i for i in known if i in barcodes]:
        return both[0]
    if barcodes:
        return barcodes[0]
    if known:
        return known[0]
    first = text.iloc[:, 0]
    return 0 if first.notna().all() and first.is_unique else None


def _holds_barcodes(text: pd.DataFrame, position: int) -> bool:
    """Tell whether a column is made of TCGA barcodes."""
    head = text.iloc[:, position].dropna().head(50)
    return sum(parse_barcode(cell) is not None for cell in head) > len(head) / 2


def _plain(name: str) -> str:
    """Bring a column's name to one spelling."""
    return re.sub(r"[\s_.-]+", "_", _IN_BRACKETS.sub("", name.strip())).casefold()
