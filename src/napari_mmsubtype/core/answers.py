"""What a model answers besides the class: levels, risk, survival, as plain records."""

from __future__ import annotations

from collections.abc import Mapping  # noqa: TC003 - annotations are read
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from napari_mmsubtype.core.record_reader import read_record

if TYPE_CHECKING:
    from collections.abc import Iterable


@dataclass(frozen=True, slots=True, kw_only=True)
class ChoiceAnswer:
    """One of several, such as a stage.

    Attributes
    ----------
    subsets : mapping of str to tuple of float
        Probability of each, from every non-empty subset of the modalities present, by
        `cases.subset_key`; that of all modalities first.
    labels : tuple of str
        Names; levels in rising order where `kind` is ``"ordinal"``.
    late : str or None
        The first level that counts as late.
    calibrated : bool
        Whether a temperature was fitted on cases that the model was not trained on.
    kind : str
        ``"classes"`` or ``"ordinal"``.
    """

    subsets: Mapping[str, tuple[float, ...]]
    labels: tuple[str, ...]
    late: str | None = None
    calibrated: bool = False
    kind: str = "ordinal"

    def best(self, key: str) -> int:
        """Choose the most probable one.

        Parameters
        ----------
        key : str
            Subset of modalities.

        Returns
        -------
        int
            Into `labels`.
        """
        values = self.subsets[key]
        return values.index(max(values))

    def late_probability(self, key: str) -> float | None:
        """Add up the levels that count as late.

        Parameters
        ----------
        key : str
            Subset of modalities.

        Returns
        -------
        float or None
            None where the order is not divided.
        """
        if self.late is None:
            return None
        return sum(self.subsets[key][self.labels.index(self.late) :])


@dataclass(frozen=True, slots=True, kw_only=True)
class RiskAnswer:
    """How large the risk is, compared with other patients.

    Attributes
    ----------
    subsets : mapping of str to tuple of float
        The log-risk, one number, by subset of the modalities as in `ChoiceAnswer`.
    event : str
        What happens to the patient.
    center : float or None
        Mean log-risk of the training patients from all they have; None where it is not
        known, and the log-risk only orders patients.
    kind : str
        ``"cox"``.
    """

    subsets: Mapping[str, tuple[float, ...]]
    event: str
    center: float | None = None
    kind: str = "cox"

    def log_ratio(self, key: str) -> float | None:
        """Compare the risk with that of a training patient of mean log-risk.

        Parameters
        ----------
        key : str
            Subset of modalities.

        Returns
        -------
        float or None
            Natural logarithm of the ratio of hazards; None where the mean is unknown.
        """
        return None if self.center is None else self.subsets[key][0] - self.center


@dataclass(frozen=True, slots=True, kw_only=True)
class SurvivalAnswer:
    """The chance of no event until several times.

    Attributes
    ----------
    subsets : mapping of str to tuple of float
        Chance of no event until each of `times`, never rising, by subset of the
        modalities as in `ChoiceAnswer`.
    times : tuple of float
        Ends of the intervals, in `unit`; the last interval is open and has none.
    unit : str
        Of time.
    event : str
        What happens to the patient.
    calibrated : bool
        Whether a temperature was fitted on cases that the model was not trained on.
    kind : str
        ``"hazard"``.
    """

    subsets: Mapping[str, tuple[float, ...]]
    times: tuple[float, ...]
    unit: str
    event: str
    calibrated: bool = False
    kind: str = "hazard"


Answer: TypeAlias = ChoiceAnswer | RiskAnswer | SurvivalAnswer

_KINDS: dict[str, type[Answer]] = {
    "classes": ChoiceAnswer,
    "ordinal": ChoiceAnswer,
    "cox": RiskAnswer,
    "hazard": SurvivalAnswer,
}


def read_answer(data: Mapping[str, Any]) -> Answer:
    """Read an answer from plain JSON types.

    Parameters
    ----------
    data : mapping
        As `dataclasses.asdict` gives it, possibly after a round trip through JSON.

    Returns
    -------
    Answer
        Equal to the one that was written.

    Raises
    ------
    ValueError
        If its kind is not known.
    ConfigurationError
        If a value is missing or of another type.
    """
    kind = _KINDS.get(data["kind"])
    if kind is None:
        msg = (
            f"an answer of kind {data['kind']!r} was found; known are "
            f"{', '.join(_KINDS)}: update napari-mmsubtype"
        )
        raise ValueError(msg)
    known = {f.name for f in fields(kind)}
    values = {name: value for name, value in data.items() if name in known}
    return read_record(kind, values, "an answer")


def check_answer(name: str, answer: Answer, keys: Iterable[str]) -> None:
    """Refuse an answer that cannot be, its types being right.

    Parameters
    ----------
    name : str
        Of the head.
    answer : Answer
        As read.
    keys : iterable of str
        Subsets of modalities that it must be from.

    Raises
    ------
    ValueError
        If subsets are missing, their values too many or too few, or no level is the
        first late one.
    """
    if isinstance(answer, ChoiceAnswer):
        expected = len(answer.labels)
        if answer.late is not None and answer.late not in answer.labels:
            msg = f"the answer {name!r} calls {answer.late!r} late, which is no level"
            raise ValueError(msg)
    else:
        expected = 1 if isinstance(answer, RiskAnswer) else len(answer.times)
    if set(answer.subsets) != set(keys):
        msg = f"the answer {name!r} is from {sorted(answer.subsets)} of {sorted(keys)}"
        raise ValueError(msg)
    for key, row in answer.subsets.items():
        if len(row) != expected:
            msg = (
                f"the answer {name!r} from {key!r} has {len(row)} of {expected} values"
            )
            raise ValueError(msg)
