"""How far a call may be trusted: its prediction set, and how familiar the data are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

COVERAGES = (0.8, 0.9, 0.95, 0.99)
"""Promises that prediction sets are fitted for."""

DEFAULT_COVERAGE = 0.9

VALIDATION = "validation"
FOLDS = "folds"
SOURCES = ("", VALIDATION, FOLDS)
"""Calibration patients of prediction sets: those that served for nothing else (or that
nothing is recorded of), those that also chose the epoch, and those that each fold of an
ensemble did not know. Only the first keep the whole promise."""

TYPICAL = "typical"
UNUSUAL = "unusual"
UNLIKE = "unlike"
VERDICTS = (TYPICAL, UNUSUAL, UNLIKE)
"""From the harmless to the one that speaks against a call."""


@dataclass(frozen=True, slots=True)
class ConformalSet:
    """The classes that cannot be ruled out for a patient.

    Attributes
    ----------
    coverage : float
        Share of patients like those of the calibration whose set holds the true class.
    classes : tuple of str
        In the order of the model; empty where no set can be given.
    problem : str
        Why no set can be given, or empty.
    method : str
        How oddness was measured, of `evaluation.conformal.METHODS`.
    by_class : bool
        Whether the promise holds for the patients of each class.
    n : int
        Calibration patients.
    source : str
        What else they served for, of `SOURCES`.
    """

    coverage: float
    classes: tuple[str, ...] = ()
    problem: str = ""
    method: str = ""
    by_class: bool = False
    n: int = 0
    source: str = ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> ConformalSet:
        """Read what `dataclasses.asdict` made of a set.

        Parameters
        ----------
        data : mapping
            Possibly after a round trip through JSON.

        Returns
        -------
        ConformalSet
            Equal to the one that was written.
        """
        return cls(**{**data, "classes": tuple(data["classes"])})


@dataclass(frozen=True, slots=True)
class GuardFinding:
    """How one kind of data of a patient compares with the training patients'.

    Attributes
    ----------
    modality : str
        ``image``, ``rna``, ``methylation`` or ``clinical``.
    verdict : str
        Of `VERDICTS`.
    below : int
        Training patients that are less odd than this one, each judged without itself.
    n : int
        Training patients.
    reasons : tuple of str
        What sticks out, most important first.
    patches : tuple of int
        Of an image: the oddest patches, as rows of the store; empty where none is.
    """

    modality: str
    verdict: str
    below: int
    n: int
    reasons: tuple[str, ...] = ()
    patches: tuple[int, ...] = ()

    @property
    def percentile(self) -> float:
        """Share of the training patients that are less odd, in percent."""
        return 100.0 * self.below / self.n


@dataclass(frozen=True, slots=True)
class GuardReport:
    """Whether a patient resembles those that the model was trained on.

    Attributes
    ----------
    findings : tuple of GuardFinding
        One per modality that was judged.
    problem : str
        Why nothing was judged, or empty.
    """

    findings: tuple[GuardFinding, ...] = ()
    problem: str = ""

    @property
    def verdict(self) -> str:
        """The gravest verdict; empty where nothing was judged."""
        verdicts = [finding.verdict for finding in self.findings]
        return max(verdicts, key=VERDICTS.index) if verdicts else ""

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> GuardReport:
        """Read what `dataclasses.asdict` made of a report.

        Parameters
        ----------
        data : mapping
            Possibly after a round trip through JSON.

        Returns
        -------
        GuardReport
            Equal to the one that was written.
        """
        findings = (
            GuardFinding(
                **{
                    **entry,
                    "reasons": tuple(entry["reasons"]),
                    "patches": tuple(entry["patches"]),
                }
            )
            for entry in data["findings"]
        )
        return cls(findings=tuple(findings), problem=data["problem"])
