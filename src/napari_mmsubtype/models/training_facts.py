"""What is known of a model's training: stated by who trained it, or not stated."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Any

from napari_mmsubtype.core.cases import Modality

_LEVEL = 0.95
_BETWEEN = ", "


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """One number that says how good a model is.

    Attributes
    ----------
    name : str
        Such as ``ROC-AUC``.
    modalities : tuple of str
        What the model was given; empty where that is no part of the metric.
    value : float
        On all cases.
    low, high : float or None
        Ends of its interval, where one was computed.
    level : float
        Coverage that the interval is meant to have, 0 to 1.
    cases : int or None
        How many it was computed on.
    """

    name: str
    modalities: tuple[str, ...] = ()
    value: float
    low: float | None = None
    high: float | None = None
    level: float = _LEVEL
    cases: int | None = None

    @property
    def key(self) -> str:
        """Name and modalities as one text, as `TrainingFacts.to_info` writes them."""
        return _BETWEEN.join(filter(None, (self.name, "+".join(self.modalities))))

    def to_json(self) -> float | dict[str, float]:
        """Turn the metric into plain JSON types.

        Returns
        -------
        float or dict
            The number alone where nothing else is known of it.
        """
        entry: dict[str, float] = {"value": self.value}
        if self.low is not None and self.high is not None:
            entry |= {"low": self.low, "high": self.high}
        if self.level != _LEVEL:
            entry["level"] = self.level
        if self.cases is not None:
            entry["cases"] = self.cases
        return entry if len(entry) > 1 else self.value


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingFacts:
    """Where a model comes from and what it is worth. None and empty mean: not stated.

    Attributes
    ----------
    description : str or None
        What the model is, in a few sentences.
    intended_use, limits : str or None
        What it may be used for, and where it must not be trusted.
    synthetic : bool
        Whether its patients are made up.
    data : str or None
        The cohorts it was trained on, and their terms.
    patients : mapping of str to mapping or str
        By split, how many patients of each class, or a sentence.
    sites : str or tuple of str
        Hospitals or centers.
    training : mapping of str to Any
        How it was trained.
    metrics : tuple of Metric
        What it is worth, on cases that it was not trained on.
    metric_notes : mapping of str to str
        How the metrics were computed.
    license : str or None
        Of its weights, by SPDX name where there is one.
    encoder_license, pretraining : str or None
        Of the encoder it started from, and what that was pretrained on.
    citation : str or None
        How to cite it.
    further : mapping of str to Any
        Anything else, such as ``icc`` and ``stain``.
    """

    description: str | None = None
    intended_use: str | None = None
    limits: str | None = None
    synthetic: bool = False
    data: str | None = None
    patients: Mapping[str, Mapping[str, int] | str] = field(default_factory=dict)
    sites: str | tuple[str, ...] = ()
    training: Mapping[str, Any] = field(default_factory=dict)
    metrics: tuple[Metric, ...] = ()
    metric_notes: Mapping[str, str] = field(default_factory=dict)
    license: str | None = None
    encoder_license: str | None = None
    pretraining: str | None = None
    citation: str | None = None
    further: Mapping[str, Any] = field(default_factory=dict)

    def to_info(self) -> dict[str, Any]:
        """Turn the facts into plain JSON types, as a bundle keeps them.

        Returns
        -------
        dict
            Only what is stated; `from_info` reverses it.
        """
        info = {
            f.name: getattr(self, f.name)
            for f in fields(self)
            if f.name not in ("metrics", "metric_notes", "further")
        }
        info["sites"] = _listed(self.sites)
        metrics = {metric.key: metric.to_json() for metric in self.metrics}
        info["metrics"] = {**metrics, **self.metric_notes}
        stated = {name: value for name, value in info.items() if value}
        return {**stated, **self.further}

    @classmethod
    def from_info(cls, info: Mapping[str, Any]) -> TrainingFacts:
        """Read what a bundle keeps.

        Parameters
        ----------
        info : mapping
            As `to_info`, or facts of the same names written by hand; what is not of
            the kind expected is kept in ``further``.

        Returns
        -------
        TrainingFacts
            Nothing in it that the bundle does not say.
        """
        rest = dict(info)
        known: dict[str, Any] = {}
        for name, is_right in _KINDS.items():
            if name in rest and is_right(rest[name]):
                known[name] = rest.pop(name)
        if isinstance(known.get("sites"), list):
            known["sites"] = tuple(map(str, known["sites"]))
        metrics, notes = _read_metrics(known.pop("metrics", {}))
        return cls(**known, metrics=metrics, metric_notes=notes, further=rest)


def _listed(value: str | Sequence[str]) -> str | list[str]:
    return value if isinstance(value, str) else list(value)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping)


def _are_sites(value: Any) -> bool:
    return _is_text(value) or isinstance(value, list)


def _are_patients(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(part, str)
        or (
            isinstance(part, Mapping)
            and all(type(count) is int for count in part.values())
        )
        for part in value.values()
    )


def _are_metrics(value: Any) -> bool:
    return isinstance(value, Mapping) and all(
        isinstance(entry, str) or _numbers(entry) for entry in value.values()
    )


def _numbers(entry: Any) -> dict[str, float] | None:
    """Give the numbers of a metric by name, or None where it has none."""
    found = dict(entry) if isinstance(entry, Mapping) else {"value": entry}
    names = {"value", "low", "high", "level", "cases"}
    plain = all(type(number) in (int, float) for number in found.values())
    paired = ("low" in found) == ("high" in found)
    fits = "value" in found and set(found) <= names and plain and paired
    return found if fits else None


_KINDS = {
    "description": _is_text,
    "intended_use": _is_text,
    "limits": _is_text,
    "synthetic": lambda value: isinstance(value, bool),
    "data": _is_text,
    "patients": _are_patients,
    "sites": _are_sites,
    "training": _is_mapping,
    "metrics": _are_metrics,
    "license": _is_text,
    "encoder_license": _is_text,
    "pretraining": _is_text,
    "citation": _is_text,
}


def _read_metrics(
    written: Mapping[str, Any],
) -> tuple[tuple[Metric, ...], dict[str, str]]:
    """Part metrics from the sentences that stand among them."""
    metrics, notes = [], {}
    for key, entry in written.items():
        numbers = _numbers(entry)
        if numbers is None:
            notes[key] = entry
            continue
        name, _, tail = key.rpartition(_BETWEEN)
        modalities = tuple(tail.split("+"))
        if not name or not set(modalities) <= set(Modality):
            name, modalities = key, ()
        cases = numbers.pop("cases", None)
        metrics.append(
            Metric(
                name=name,
                modalities=modalities,
                cases=None if cases is None else int(cases),
                **numbers,
            )
        )
    return tuple(metrics), notes
