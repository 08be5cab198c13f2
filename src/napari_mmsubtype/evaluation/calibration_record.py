"""What a bundle knows about the honesty of its probabilities: ``calibration.json``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.record_reader import read_number
from napari_mmsubtype.core.trust import SOURCES, ConformalSet
from napari_mmsubtype.core.trust_words import SOURCE_WORDS
from napari_mmsubtype.evaluation.conformal import ConformalRule
from napari_mmsubtype.evaluation.scaling import Scaling

if TYPE_CHECKING:
    from collections.abc import Sequence

    import numpy as np
    from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Calibration:
    """Scalings and prediction sets of a model.

    Attributes
    ----------
    temperature : float
        Of the call from every modality, and of subsets without one of their own.
    temperatures : mapping of str to float
        Of single subsets of the modalities, by `cases.subset_key`; may be empty.
    conformal : mapping of str to ConformalRule
        Prediction sets by subset; may be empty.
    offset : tuple of float
        Of the classes, for the call from every modality and subsets without their own;
        empty for none.
    offsets : mapping of str to tuple of float
        Of the classes, for single subsets; may be empty.
    conformal_source : str
        What else the patients of the prediction sets served for, of `trust.SOURCES`.
    """

    temperature: float = 1.0
    temperatures: Mapping[str, float] = field(default_factory=dict)
    conformal: Mapping[str, ConformalRule] = field(default_factory=dict)
    offset: tuple[float, ...] = ()
    offsets: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    conformal_source: str = ""

    @classmethod
    def of(cls, scalings: Mapping[str, Scaling], whole: str) -> Calibration:
        """Make the record of fitted scalings, without prediction sets.

        Parameters
        ----------
        scalings : mapping of str to Scaling
            By subset, as `scaling.fit_scalings`.
        whole : str
            Key of all modalities together.

        Returns
        -------
        Calibration
            Which gives every subset its own scaling.
        """
        parts = {key: value for key, value in scalings.items() if key != whole}
        return cls(
            temperature=scalings[whole].temperature,
            temperatures={key: value.temperature for key, value in parts.items()},
            offset=scalings[whole].offset,
            offsets={key: value.offset for key, value in parts.items()},
        )

    def scaling_of(self, subset: str) -> Scaling:
        """Say how the logits from a subset of the modalities become probabilities.

        Parameters
        ----------
        subset : str
            As `cases.subset_key`.

        Returns
        -------
        Scaling
            Its own, or that of the call from every modality.
        """
        return Scaling(
            self.temperatures.get(subset, self.temperature),
            self.offsets.get(subset, self.offset),
        )

    def probabilities(self, subset: str, logits: ArrayLike) -> NDArray[np.float64]:
        """Turn the logits from a subset of the modalities into probabilities.

        Parameters
        ----------
        subset : str
            As `cases.subset_key`.
        logits : array_like of float, shape (..., c)
            Of the classes.

        Returns
        -------
        ndarray of float64, shape (..., c)
            Summing to 1 along the last axis.
        """
        return self.scaling_of(subset).probabilities(logits)

    def conformal_set(
        self,
        subset: str,
        probabilities: Sequence[float],
        classes: Sequence[str],
        coverage: float,
    ) -> ConformalSet | None:
        """Give the classes that cannot be ruled out for one patient.

        Parameters
        ----------
        subset : str
            What the call was made from, as `cases.subset_key`.
        probabilities : sequence of float
            Calibrated, one per class.
        classes : sequence of str
            Their names.
        coverage : float
            Share of patients whose true class the set shall hold.

        Returns
        -------
        ConformalSet or None
            With the reason where no set can be given; None where the model was never
            calibrated for sets.
        """
        if not self.conformal:
            return None
        rule = self.conformal.get(subset)
        if rule is None:
            return ConformalSet(
                coverage,
                problem="the model was not calibrated for "
                + subset.replace("+", " and "),
            )
        about: dict[str, Any] = {
            "method": rule.method,
            "by_class": rule.by_class,
            "n": sum(rule.counts),
            "source": self.conformal_source,
        }
        if problem := rule.problem(coverage, classes):
            return ConformalSet(coverage, problem=problem, **about)
        inside = rule.sets([list(probabilities)], coverage)[0]
        named = (name for name, held in zip(classes, inside, strict=True) if held)
        return ConformalSet(coverage, tuple(named), **about)

    def words(self) -> list[str]:
        """Describe the record for people.

        Returns
        -------
        list of str
            One line about scalings, and one about prediction sets where there are any.
        """
        lines = [f"temperature {self.temperature:.4g}"]
        if self.offset:
            shifts = ", ".join(f"{value:+.2g}" for value in self.offset)
            lines[0] += f", classes shifted by {shifts}"
        if own := {*self.temperatures, *self.offsets}:
            lines[0] += f"; {len(own)} subsets of the data have their own"
        if self.conformal:
            rule = next(iter(self.conformal.values()))
            coverages = ", ".join(f"{100 * value:g} %" for value in rule.quantiles)
            per_class = " of each class" if rule.by_class else ""
            source = self.conformal_source
            about = "about " if source else ""
            why = f" ({SOURCE_WORDS[source]})" if source in SOURCE_WORDS else ""
            lines.append(
                f"prediction sets by {rule.method}, coverage{per_class} {about}"
                f"{coverages}{why}, from {sum(rule.counts)} calibration patients; "
                f"subsets of the data: {len(self.conformal)}"
            )
        return lines

    def problems(self, classes: int) -> list[str]:
        """Look for what cannot be.

        Parameters
        ----------
        classes : int
            How many the model tells apart.

        Returns
        -------
        list of str
            Empty if all is well.
        """
        found = []
        given = {"": self.temperature, **self.temperatures}
        for subset, value in given.items():
            if not (math.isfinite(value) and value > 0):
                of = f" of {subset}" if subset else ""
                found.append(f"the temperature{of} is {value} but must be positive")
        for subset, offset in {"": self.offset, **self.offsets}.items():
            finite = all(map(math.isfinite, offset))
            if offset and not (finite and len(offset) == classes):
                of = f" of {subset}" if subset else ""
                found.append(
                    f"the offsets{of} are {list(offset)} but must be {classes} finite "
                    "numbers, one per class"
                )
        if self.conformal_source not in SOURCES:
            found.append(_unknown_source(self.conformal_source))
        for subset, rule in self.conformal.items():
            if len(rule.counts) != classes:
                found.append(
                    f"the prediction sets of {subset} are for {len(rule.counts)} "
                    f"classes, not {classes}"
                )
        return found

    def to_dict(self) -> dict[str, Any]:
        """Turn the record into plain JSON types.

        Returns
        -------
        dict
            ``temperature``, and ``temperatures``, ``offset``, ``offsets``,
            ``conformal`` and ``conformal_source`` where there are any; `from_dict`
            reverses it.
        """
        entry: dict[str, Any] = {"temperature": float(self.temperature)}
        if self.temperatures:
            entry["temperatures"] = {k: float(v) for k, v in self.temperatures.items()}
        if self.offset:
            entry["offset"] = [float(value) for value in self.offset]
        if self.offsets:
            entry["offsets"] = {
                k: [float(x) for x in v] for k, v in self.offsets.items()
            }
        if self.conformal:
            entry["conformal"] = {
                subset: rule.to_dict() for subset, rule in self.conformal.items()
            }
        if self.conformal_source:
            entry["conformal_source"] = self.conformal_source
        return entry

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Calibration:
        """Read what `to_dict` wrote, or a file of an older bundle.

        Parameters
        ----------
        data : mapping
            With ``temperature`` at least.

        Returns
        -------
        Calibration
            Equal to the record that was written.

        Raises
        ------
        ValueError
            If a value is missing or cannot be.
        """
        temperatures = data.get("temperatures", {})
        offsets = data.get("offsets", {})
        conformal = data.get("conformal", {})
        if not all(isinstance(x, Mapping) for x in (temperatures, offsets, conformal)):
            msg = (
                "temperatures, offsets and conformal are tables by subset of the "
                "modalities"
            )
            raise ValueError(msg)
        source = data.get("conformal_source", "")
        if source not in SOURCES:
            raise ValueError(_unknown_source(source))
        try:
            return cls(
                temperature=read_number(data["temperature"], "temperature"),
                temperatures={
                    str(k): read_number(v, f"temperatures.{k}")
                    for k, v in temperatures.items()
                },
                conformal={
                    str(k): ConformalRule.from_dict(v) for k, v in conformal.items()
                },
                offset=_numbers(data.get("offset", ()), "offset"),
                offsets={
                    str(k): _numbers(v, f"offsets.{k}") for k, v in offsets.items()
                },
                conformal_source=source,
            )
        except (KeyError, TypeError) as err:
            msg = f"the calibration is not understood ({err!r})"
            raise ValueError(msg) from err


def _unknown_source(source: object) -> str:
    known = " or ".join(map(repr, filter(None, SOURCES)))
    return f"conformal_source is {source!r} but must be {known}, or left out"


def _numbers(values: Any, where: str) -> tuple[float, ...]:
    return tuple(read_number(value, where) for value in values)
