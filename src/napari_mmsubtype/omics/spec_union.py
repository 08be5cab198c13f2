"""Features of several models of one modality, as one table that serves them all."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.clinical_encoding import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Hashable, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.omics.modality_spec import ModalitySpec

_SCALED = ("numeric", "ordinal")
_Row: TypeAlias = "tuple[dict[Hashable, Any], float]"
"""A row of a feature table, and the limit of the model that it is of."""


@dataclass(frozen=True, slots=True, eq=False)
class SpecView:
    """How one model's features are read from those of `unite_specs`.

    Attributes
    ----------
    index : ndarray of int64, shape (g,)
        Column of each feature of the model.
    scale, shift : ndarray of float64, shape (g,)
        From the common scale to the model's own.
    clip : float
        The model's own, ±.
    variable : ndarray of int64, shape (g,)
        Number of the categorical variable that a column belongs to; -1 for others.
    fill : ndarray of float64, shape (g,)
        What the columns of a categorical variable hold where the patient's level is
        none of the model's; 0 for others.
    """

    index: NDArray[np.int64]
    scale: NDArray[np.float64]
    shift: NDArray[np.float64]
    clip: float
    variable: NDArray[np.int64]
    fill: NDArray[np.float64]


def unite_specs(specs: Sequence[ModalitySpec]) -> ModalitySpec:
    """Make the table of features that several models take together.

    Every model finds its own numbers in it again, see `view_of`: values, limits and
    categories exactly; a missing number is filled by the mean of the models' fills.

    Parameters
    ----------
    specs : sequence of ModalitySpec
        Of one modality and unit, as fitted on different patients.

    Returns
    -------
    ModalitySpec
        Each feature once, those of the first model first. Means are the means of the
        models', spreads wide enough for every model's limits; weights are averaged, a
        feature weighing nothing where a model does not have it.

    Raises
    ------
    ConfigurationError
        If the models read their tables in different ways, or look at the features of
        a patient together (ranks, neighbors), which no common table can serve.
    """
    first = specs[0]
    for number, spec in enumerate(specs):
        _check_alike(first, spec, number)
    clip = max(spec.clip for spec in specs)
    held: dict[str, list[_Row]] = {}
    for spec in specs:
        for row in spec.features.to_dict(orient="records"):
            held.setdefault(str(row["feature"]), []).append(({**row}, spec.clip))
    features = pd.DataFrame([_united(rows, len(specs), clip) for rows in held.values()])
    if first.modality is Modality.CLINICAL:
        features = _with_unknown(features)
    probes = None
    if first.probes is not None:
        given = [spec.probes for spec in specs if spec.probes is not None]
        probes = pd.concat(given, ignore_index=True).drop_duplicates(ignore_index=True)
    return replace(
        first,
        clip=clip,
        min_coverage=float(np.mean([spec.min_coverage for spec in specs])),
        features=features,
        probes=probes,
        groups=None,
        steps=(f"features of {len(specs)} models, {len(features)} in all",),
    )


def view_of(united: ModalitySpec, own: ModalitySpec) -> SpecView:
    """Say how a model finds its features in a common table.

    Parameters
    ----------
    united : ModalitySpec
        As `unite_specs`.
    own : ModalitySpec
        One of those that it was made of.

    Returns
    -------
    SpecView
        In the order of the model's features.
    """
    place = {name: position for position, name in enumerate(united.names)}
    index = np.array([place[name] for name in own.names], np.int64)
    mean, std = (own.features[c].to_numpy(np.float64) for c in ("mean", "std"))
    common = united.features.iloc[index]
    wide, center = (common[c].to_numpy(np.float64) for c in ("std", "mean"))
    variable = np.full(len(own), -1, np.int64)
    fill = np.zeros(len(own))
    if own.modality is Modality.CLINICAL:
        category = (own.features["kind"] == "category").to_numpy()
        numbers, _ = pd.factorize(own.features["variable"])
        variable[category] = numbers[category]
        fill[category] = own.features["fill"].to_numpy(np.float64)[category]
    return SpecView(
        index, wide / std, (center - mean) / std, float(own.clip), variable, fill
    )


def _check_alike(first: ModalitySpec, spec: ModalitySpec, number: int) -> None:
    """Refuse what cannot be read from one table."""
    what = f"{first.modality} features of model {number + 1}"
    if (spec.modality, spec.unit) != (first.modality, first.unit):
        msg = (
            f"{what} are {spec.modality} in {spec.unit}, those of model 1 "
            f"{first.modality} in {first.unit}; join models of one preset"
        )
        raise ConfigurationError(msg)
    if spec.rank_normal or spec.neighbors:
        how = "ranked within the patient" if spec.rank_normal else "filled by neighbors"
        msg = (
            f"{what} are {how}, which depends on all features of that model at once; "
            "models with features of their own cannot share a table then: train one "
            "model on all patients instead"
        )
        raise ConfigurationError(msg)
    if (spec.probes is None) != (first.probes is None):
        msg = f"{what} and those of model 1 differ in whether probes are averaged"
        raise ConfigurationError(msg)
    if spec.probes is not None and first.probes is not None:
        lists = [
            {g: tuple(p) for g, p in table.groupby("feature", sort=False)["probe"]}
            for table in (first.probes, spec.probes)
        ]
        gene = next(
            (g for g in lists[1] if lists[0].get(g, lists[1][g]) != lists[1][g]), ""
        )
        if gene:
            msg = f"{what} average other probes for {gene!r} than those of model 1"
            raise ConfigurationError(msg)
    if first.modality is Modality.CLINICAL:
        _check_variables(first, spec, what)


def _check_variables(first: ModalitySpec, spec: ModalitySpec, what: str) -> None:
    """Refuse variables that two models read in different ways."""
    known = _ways(first)
    for name, way in _ways(spec).items():
        if known.setdefault(name, way) != way:
            msg = (
                f"{what} read {name!r} in another way than those of model 1 "
                f"({way[0]}, {known[name][0]}); declare it in "
                "modalities.clinical.schema"
            )
            raise ConfigurationError(msg)


def _ways(spec: ModalitySpec) -> dict[str, tuple[str, str]]:
    """Give kind and schema of each clinical variable, by name."""
    found: dict[str, tuple[str, str]] = {}
    for row in spec.features.to_dict(orient="records"):
        if row["kind"] != "missing":
            found[row["variable"]] = (row["kind"], str(row.get("schema", "")))
    return found


def _united(held: Sequence[_Row], models: int, clip: float) -> dict[Hashable, Any]:
    """Make the row of one feature from those of the models that have it."""
    united: dict[Hashable, Any] = {}
    for row, _ in held:
        united |= {k: v for k, v in row.items() if united.get(k, "") == ""}
    means = [float(row["mean"]) for row, _ in held]
    center = float(np.mean(means))
    if united.get("kind", "numeric") in _SCALED:
        # What no model clips must not be clipped before the models see it.
        reach = [float(row["std"]) * own + abs(m - center)
                 for m, (row, own) in zip(means, held, strict=True)]  # fmt: skip
        united |= {"mean": center, "std": max(reach) / clip}
    united["fill"] = float(np.mean([float(row["fill"]) for row, _ in held]))
    if "weight" in united:
        united["weight"] = sum(float(row["weight"]) for row, _ in held) / models
    return united


def _with_unknown(features: pd.DataFrame) -> pd.DataFrame:
    """Give each categorical variable a column for a level that no model knows."""
    parts = []
    for name, group in features.groupby("variable", sort=False):
        if "category" not in set(group["kind"]):
            parts.append(group)
            continue
        if UNKNOWN not in set(group["category"]):
            extra = {"feature": f"{name}={UNKNOWN}", "category": UNKNOWN}
            more = group.iloc[[0]].assign(**extra)
            group = pd.concat([group, more])
        parts.append(group.assign(fill=(group["category"] == UNKNOWN).astype(float)))
    return pd.concat(parts, ignore_index=True)
