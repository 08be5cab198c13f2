"""How far a call may be trusted: its prediction set, and how familiar the data are."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

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

    def check(self, known: Sequence[str]) -> None:
        """Refuse a set that cannot be, its types being right.

        Parameters
        ----------
        known : sequence of str
            Classes of the model.

        Raises
        ------
        ValueError
            If it promises nothing, or names another class.
        """
        if not 0 < self.coverage < 1:
            msg = f"conformal.coverage is {self.coverage}, expected between 0 and 1"
            raise ValueError(msg)
        alien = [name for name in self.classes if name not in known]
        if alien:
            msg = f"the prediction set names {alien[0]!r}, expected of {list(known)}"
            raise ValueError(msg)


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

    def check(self) -> None:
        """Refuse findings that cannot be, their types being right.

        Raises
        ------
        ValueError
            If a verdict is not known, or more patients are less odd than there are.
        """
        for found in self.findings:
            if found.verdict not in VERDICTS:
                msg = f"the guard says {found.verdict!r}, expected of {VERDICTS}"
                raise ValueError(msg)
            if not 0 <= found.below <= found.n or not found.n:
                msg = f"the guard says {found.below} of {found.n} patients"
                raise ValueError(msg)
