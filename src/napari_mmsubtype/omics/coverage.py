"""What became of a table on its way into a model: coverage, refusals, cautions."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.records import ModalityReport
from napari_mmsubtype.omics.feature_names import is_probe

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.omics.identifiers import SampleMatch

_FAR_OFF = 3.0
_MIN_JUDGED = 20
_SHOWN = 3


@dataclass(frozen=True, slots=True, eq=False)
class AlignedSample:
    """One patient's row, ready for the model.

    Attributes
    ----------
    values : ndarray of float32, shape (feature,), or None
        In the model's order and scale, without NaN; None if and only if
        ``report.used`` is False.
    report : ModalityReport
        What became of the table.
    unscaled : ndarray of float64, shape (feature,), or None
        RNA and methylation in the model's unit, NaN where missing, before ranks,
        scaling and filling; None where the row was refused or is no such table.
    """

    values: NDArray[np.float32] | None
    report: ModalityReport
    unscaled: NDArray[np.float64] | None = None


def report_coverage(
    record: Mapping[str, Any],
    match: SampleMatch,
    expected: Sequence[str],
    seen: NDArray[np.bool_],
    weights: NDArray[np.floating],
    identifiers: str = "",
) -> tuple[ModalityReport, float]:
    """Start the report of a table with what was found in it.

    Parameters
    ----------
    record : mapping
        ``uns["mmsubtype"]`` of the table: ``modality``, ``unit``, ``source`` and
        ``steps``.
    match : SampleMatch
        The row taken for the patient.
    expected : sequence of str, length n
        Features, or clinical variables, of the model.
    seen : ndarray of bool, shape (n,)
        Which of them have a value.
    weights : ndarray of float, shape (n,)
        How much the model leans on each; not negative.
    identifiers : str, default: ""
        Kinds of identifiers of the table's features, in words.

    Returns
    -------
    report : ModalityReport
        With ``used`` True; `dataclasses.replace` refuses or adds to it.
    share : float
        Share of the weight that has values, 0 to 1.
    """
    total = float(weights.sum())
    share = float(weights[seen].sum()) / total if total > 0 else float(seen.mean())
    matched = int(seen.sum())
    summary = (
        f"{matched} of {len(expected)} features have a value "
        f"({share:.1%} of the model's weight)"
    )
    report = ModalityReport(
        modality=str(record["modality"]),
        used=True,
        sample=match.sample,
        unit=str(record["unit"]),
        matched=matched,
        expected=len(expected),
        coverage=matched / len(expected),
        # Heaviest first: of a long list, people read the beginning.
        missing=tuple(
            expected[i] for i in np.argsort(-weights, kind="stable") if not seen[i]
        ),
        notes=(*(str(step) for step in record["steps"]), *match.notes, summary),
        weight_coverage=share,
        source=str(record["source"]),
        identifiers=identifiers,
    )
    return report, share


def add_notes(report: ModalityReport, notes: Sequence[str]) -> ModalityReport:
    """Add to what the user should know.

    Parameters
    ----------
    report : ModalityReport
        Left as it is.
    notes : sequence of str
        Steps and cautions.

    Returns
    -------
    ModalityReport
        With the notes that it does not have yet at the end.
    """
    new = (note for note in notes if note not in report.notes)
    return replace(report, notes=(*report.notes, *new))


def cautions(
    scaled: NDArray[np.floating], clipped: int, clip: float, largest: float = 0.0
) -> tuple[str, ...]:
    """Say what was clipped, and whether the values look alien to the model.

    Parameters
    ----------
    scaled : ndarray of float, shape (n,)
        Scaled values of the features that were found.
    clipped : int
        How many of them were clipped.
    clip : float
        To ± what.
    largest : float, default: 0.0
        The largest distance from the mean that was clipped, where it is worth telling.

    Returns
    -------
    tuple of str
        Empty where nothing is remarkable.
    """
    notes = []
    if clipped:
        most = f" (up to {largest:.3g})" if largest > clip else ""
        notes.append(
            f"{clipped} values beyond ±{clip:g} standard deviations{most} were clipped"
        )
    if scaled.size >= _MIN_JUDGED and np.median(np.abs(scaled)) > _FAR_OFF:
        notes.append(
            f"more than half of the values are over {_FAR_OFF:g} standard deviations "
            "from the training means: check the unit, and that the tissue is alike"
        )
    return tuple(notes)


def describe_mismatch(modality: str, model: Sequence[str], table: Sequence[str]) -> str:
    """Say that table and model share no feature, with examples of both.

    Parameters
    ----------
    modality : str
        For example ``rna``.
    model, table : sequence of str
        Names of both sides.

    Returns
    -------
    str
        One sentence.
    """
    ours = ", ".join(repr(name) for name in model[:_SHOWN])
    theirs = ", ".join(repr(name) for name in table[:_SHOWN])
    hint = f"give a {modality} table with identifiers such as the model's"
    if any(map(is_probe, table[:_SHOWN])) and not any(map(is_probe, model[:_SHOWN])):
        hint = "give methylation by gene, or use a model made for probes"
    return (
        f"none of the model's {len(model)} {modality} features (such as {ours}) is "
        f"among the {len(table)} of the table (such as {theirs}); {hint}"
    )
