"""What an analysis says about one patient, as plain records."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from napari_mmsubtype.core.answers import read_answer
from napari_mmsubtype.core.trust import ConformalSet, GuardReport

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from napari_mmsubtype.core.answers import Answer

_Record = TypeVar("_Record")


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
        """

        def _call(entry: Mapping[str, Any]) -> Call:
            return Call(
                tuple(entry["modalities"]),
                tuple(entry["logits"]),
                tuple(entry["probabilities"]),
            )

        reports = tuple(
            ModalityReport(
                **{
                    **entry,
                    "missing": tuple(entry["missing"]),
                    "notes": tuple(entry["notes"]),
                }
            )
            for entry in data["modalities"]
        )
        return cls(
            classes=tuple(data["classes"]),
            call=_call(data["call"]),
            subsets={key: _call(entry) for key, entry in data["subsets"].items()},
            shapley={key: tuple(value) for key, value in data["shapley"].items()},
            bias=tuple(data["bias"]),
            patches=PatchCounts(**data["patches"]),
            modalities=reports,
            warnings=tuple(data.get("warnings", ())),
            conformal=_read(ConformalSet.from_dict, data.get("conformal")),
            guard=_read(GuardReport.from_dict, data.get("guard")),
            answers={
                name: read_answer(entry)
                for name, entry in data.get("answers", {}).items()
            },
        )


def _read(
    reader: Callable[[Mapping[str, Any]], _Record], entry: Mapping[str, Any] | None
) -> _Record | None:
    """Read a record that older results lack."""
    return None if entry is None else reader(entry)


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
