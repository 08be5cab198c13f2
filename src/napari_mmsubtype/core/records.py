"""What an analysis says about one patient, as plain records."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - annotations are read
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any

from napari_mmsubtype.core.answers import (
    Answer,
    check_answer,
    read_answer,
)
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.record_reader import read_record
from napari_mmsubtype.core.trust import ConformalSet, GuardReport  # noqa: TC001

_ROUNDING = 1e-3


@dataclass(frozen=True, slots=True)
class Call:
    """One classification from one subset of modalities.

    Attributes
    ----------
    modalities : tuple of str
        What the call was made from.
    logits : tuple of float
        One per class, before temperature.
    probabilities : tuple of float
        One per class, calibrated, summing to 1.
    """

    modalities: tuple[str, ...]
    logits: tuple[float, ...]
    probabilities: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class ModalityReport:
    """What became of one table on its way into the model.

    Attributes
    ----------
    modality : str
        ``rna``, ``methylation`` or ``clinical``.
    used : bool
        Whether the model saw it.
    reason : str
        Why it was not used, or empty.
    sample : str or None
        The row of the table that was taken for the patient.
    unit : str
        Unit of the values as found, for example ``"log2(tpm+1)"`` or ``"z-score"``.
    matched, expected : int
        Features found and features the model has.
    coverage : float
        ``matched / expected``.
    missing : tuple of str
        Features the model has and the table lacks, the heaviest in the model first (in
        results of older versions, in the model's order).
    notes : tuple of str
        Anything the user should know (steps taken, values clipped, cautions).
    weight_coverage : float or None
        Share of the model's weight that has values: a feature that the model leans on
        counts more. None in results of versions that did not record it.
    source : str
        The table's file or folder; empty in results of versions that did not record it.
    identifiers : str
        Kinds of identifiers that its features have, in words; likewise.
    """

    modality: str
    used: bool
    reason: str = ""
    sample: str | None = None
    unit: str = ""
    matched: int = 0
    expected: int = 0
    coverage: float = 0.0
    missing: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    weight_coverage: float | None = None
    source: str = ""
    identifiers: str = ""


@dataclass(frozen=True, slots=True)
class PatchCounts:
    """Every patch of the grid accounted for.

    Attributes
    ----------
    total : int
        Patches of the grid, tissue or not.
    tissue : int
        Patches with enough tissue: those to be analysed.
    done : int
        Patches that the call was made from.
    unreadable : int
        Tissue patches that could not be decoded.
    excluded : int
        Patches left out for a quality flag; ``done + unreadable + excluded == tissue``.
    flagged : mapping of str to int
        Patches with each quality flag, left out or not; a patch may have several.
    """

    total: int
    tissue: int
    done: int
    unreadable: int
    excluded: int = 0
    flagged: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Prediction:
    """The outcome of an analysis.

    Attributes
    ----------
    classes : tuple of str
        Class names, in the order of all per-class values.
    call : Call
        The fused call from every modality present that the model looks at.
    subsets : mapping of str to Call
        Every non-empty subset of these, by `cases.subset_key`; in results of older
        versions of all that is present, looked at or not.
    shapley : mapping of str to tuple of float
        Exact Shapley share of each of these in each logit; the shares of a
        class sum to its logit less its ``bias``.
    bias : tuple of float
        Logits with every modality missing, which the shares are counted from.
    modalities : tuple of ModalityReport
        What became of each table given.
    patches : PatchCounts
        Every patch accounted for.
    warnings : tuple of str
        What the user should know about slide and patches.
    conformal : ConformalSet or None
        Classes that cannot be ruled out; None where the model has no prediction sets,
        and in results of versions that did not record them.
    guard : GuardReport or None
        Whether the patient resembles the training patients; None in results of versions
        that did not record it.
    answers : mapping of str to Answer
        What the other heads of the model say, by their name; empty where it has only
        classes.
    """

    classes: tuple[str, ...]
    call: Call
    subsets: Mapping[str, Call]
    shapley: Mapping[str, tuple[float, ...]]
    bias: tuple[float, ...]
    patches: PatchCounts
    modalities: tuple[ModalityReport, ...] = field(default=())
    warnings: tuple[str, ...] = field(default=())
    conformal: ConformalSet | None = None
    guard: GuardReport | None = None
    answers: Mapping[str, Answer] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """Name of the most probable class."""
        values = self.call.probabilities
        return self.classes[values.index(max(values))]

    def to_dict(self) -> dict[str, Any]:
        """Turn the record into plain JSON types.

        Returns
        -------
        dict
            Nested dictionaries, lists and scalars; `from_dict` reverses it.
        """
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Prediction:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : mapping
            As written by `to_dict`, possibly after a round trip through JSON.

        Returns
        -------
        Prediction
            Equal to the record that was written.

        Raises
        ------
        ConfigurationError, ValueError
            If a field is missing, a value is of another type or out of range, or the
            lengths and names do not go together.
        """
        known = {f.name for f in fields(cls)} - {"answers"}
        plain = {name: value for name, value in data.items() if name in known}
        answers = data.get("answers", {})
        read = replace(
            read_record(cls, plain, "the prediction"),
            answers={name: read_answer(entry) for name, entry in answers.items()},
        )
        read._check()
        return read

    def _check(self) -> None:
        """Refuse what does not go together, its types being right."""
        known = [str(modality) for modality in Modality]
        reported = [report.modality for report in self.modalities]
        judged = [f.modality for f in self.guard.findings] if self.guard else []
        alien = {*self.shapley, *reported, *judged}.difference(known)
        if alien:
            msg = f"{sorted(alien)[0]!r} is no kind of data, expected one of {known}"
            raise ValueError(msg)
        for key, call in self.subsets.items():
            if key != "+".join(call.modalities):
                msg = f"the call from {key!r} names {list(call.modalities)}"
                raise ValueError(msg)
            _check_odds(key, call.probabilities)
        key = "+".join(self.call.modalities)
        if self.subsets.get(key) != self.call:
            msg = f"the call is not that from {key!r}"
            raise ValueError(msg)
        rows = [self.bias, *self.shapley.values()]
        for call in self.subsets.values():
            rows += [call.logits, call.probabilities]
        lengths = {len(row) for row in rows}
        if lengths != {len(self.classes)}:
            msg = (
                f"lists of {sorted(lengths)} values were found, expected "
                f"{len(self.classes)}: one per class"
            )
            raise ValueError(msg)
        if self.conformal is not None:
            self.conformal.check(self.classes)
        if self.guard is not None:
            self.guard.check()
        for name, answer in self.answers.items():
            check_answer(name, answer, self.subsets)


def _check_odds(key: str, values: tuple[float, ...]) -> None:
    """Refuse probabilities that are none."""
    if not all(0 <= v <= 1 for v in values) or abs(sum(values) - 1) > _ROUNDING:
        msg = f"the probabilities from {key!r} are {list(values)}, which sum not to 1"
        raise ValueError(msg)


def format_probability(value: float) -> str:
    """Write a probability as a percentage that never claims certainty.

    Parameters
    ----------
    value : float
        0 to 1.

    Returns
    -------
    str
        One decimal, for example ``"93.8%"``; ``">99.9%"`` and ``"<0.1%"`` at the ends.
    """
    if value > 0.999:
        return ">99.9%"
    if value < 0.001:
        return "<0.1%"
    return f"{value:.1%}"
