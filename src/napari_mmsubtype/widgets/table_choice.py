"""Which table of a modality is used, where the panel Omics has several."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.widgets.omics_lookup import Lookup
from napari_mmsubtype.widgets.omics_table import MODALITY_NAMES, OmicsTable


@dataclass(frozen=True, slots=True)
class Choice:
    """Whether a table is used.

    Attributes
    ----------
    used : bool
        At most one table of a modality is.
    sentence : str
        Why, and what else the user may choose; empty where there is nothing to choose.
    """

    used: bool
    sentence: str = ""


class TableChoice:
    """Chooses a table per modality, and keeps what the user chose.

    A table that the user ticked is used, whatever it holds. Otherwise it is the first
    that the model can take the patient's row from; else the first that holds the
    patient; else the first. While a patient is looked for, nothing changes.
    """

    def __init__(self) -> None:
        self._said: dict[Modality, int | None] = {}
        self._last: dict[Modality, int] = {}

    def say(self, modality: Modality, key: int | None) -> None:
        """Keep what the user ticked.

        Parameters
        ----------
        modality : Modality
            Of the tables.
        key : int or None
            The table to use; None for none of them.
        """
        self._said[modality] = key

    def decide(
        self,
        tables: Mapping[int, OmicsTable],
        lookups: Mapping[int, Lookup | None],
        patient: str,
    ) -> dict[int, Choice]:
        """Choose.

        Parameters
        ----------
        tables : mapping of int to OmicsTable
            Those that were read, in the order in which they were added.
        lookups : mapping of int to Lookup or None
            What each holds of the patient; None while that is looked for.
        patient : str
            The patient; empty while none is chosen.

        Returns
        -------
        dict of int to Choice
            By the keys of `tables`.
        """
        choices: dict[int, Choice] = {}
        for modality in dict.fromkeys(table.modality for table in tables.values()):
            group = {k: t for k, t in tables.items() if t.modality is modality}
            found = {key: lookups.get(key) for key in group}
            choices |= self._of_one(modality, group, found, patient)
        return choices

    def _of_one(
        self,
        modality: Modality,
        group: Mapping[int, OmicsTable],
        lookups: Mapping[int, Lookup | None],
        patient: str,
    ) -> dict[int, Choice]:
        """Choose among the tables of one modality."""
        holding = [key for key, found in lookups.items() if found and found.sample]
        serving = [key for key in holding if _serves(lookups[key])]
        is_settled = all(lookup is not None for lookup in lookups.values())
        best = (serving or holding or list(group))[0]
        if not is_settled:
            best = self._last.get(modality, best)
            best = best if best in group else next(iter(group))
        self._last[modality] = best
        is_said = self._said.get(modality, -1) in (None, *group)
        used = self._said[modality] if is_said else best
        if len(group) == 1 and used is not None:
            return {used: Choice(True)}
        name = "" if used is None else group[used].request.name
        choices = {}
        for key in group:
            if key != used:
                holds = patient if is_settled and key in holding else ""
                choices[key] = Choice(False, _unused(name, holds))
            elif not is_settled or not patient:
                choices[key] = Choice(True)
            else:
                words = _Used(MODALITY_NAMES[modality], patient, key, is_said)
                sentence = words.sentence(holding, serving, group)
                choices[key] = Choice(True, sentence)
        return choices


@dataclass(frozen=True, slots=True)
class _Used:
    """Words for the table that is used, beside others."""

    kind: str
    patient: str
    key: int
    is_said: bool

    def sentence(
        self, holding: list[int], serving: list[int], group: Mapping[int, OmicsTable]
    ) -> str:
        """Say why it is this one."""
        others = [group[key].request.name for key in holding if key != self.key]
        if self.key not in holding:
            if not others:
                return f"No {self.kind} table holds {self.patient}."
            return f"⚠ {others[0]} holds {self.patient}, this table does not."
        if not others:
            return f"Used: the only {self.kind} table that holds {self.patient}."
        listed = ", ".join(others)
        if self.is_said:
            return f"Used as you ticked it; {listed} holds {self.patient} too."
        if serving == [self.key]:
            return (
                f"Used: {listed} holds {self.patient} too, but the model cannot take "
                "that row."
            )
        return (
            f"Used as the first of {len(others) + 1} {self.kind} tables that hold "
            f"{self.patient}; tick {listed} to use that one."
        )


def _serves(lookup: Lookup | None) -> bool:
    """Tell whether the model would take the patient's row."""
    if lookup is None or lookup.obstacle:
        return False
    report = lookup.coverage.report if lookup.coverage else None
    return report is None or report.used


def _unused(name: str, patient: str) -> str:
    """Say that a table is not used, and how it would be."""
    holds = f", though it holds {patient}" if patient else ""
    place = f" in place of {name}" if name else ""
    return f"Not used{holds}. Tick the box to use it{place}."
