"""A modality's specification as files: Parquet tables and JSON, nothing that runs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.record_reader import read_number
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.omics.feature_groups import FeatureGroups
from napari_mmsubtype.omics.modality_spec import ModalitySpec

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Mapping

    import pandas as pd

GROUP_COLUMN = "groups"
"""Further column of the feature file: numbers of each feature's groups, by ``|``."""

_FEATURES, _REFERENCE, _PROBES = "", ".reference", ".probes"
_FACTS = frozenset(
    {
        "unit", "clip", "min_coverage", "features", "rank_normal", "neighbors",
        "reference", "probes", "groups", "learned_groups", "steps",
    }
)  # fmt: skip


def describe_spec(spec: ModalitySpec) -> dict[str, Any]:
    """Put a specification, but for its tables, into plain JSON types.

    Parameters
    ----------
    spec : ModalitySpec
        What a model knows of a modality.

    Returns
    -------
    dict
        ``unit``, ``clip``, ``min_coverage``, ``features`` (how many) and, only where
        the specification has them, ``rank_normal``, ``neighbors``, ``reference`` and
        ``probes`` (how many rows), ``groups`` (names), ``learned_groups``, ``steps``.
    """
    facts: dict[str, Any] = {
        "unit": spec.unit,
        "clip": float(spec.clip),
        "min_coverage": float(spec.min_coverage),
        "features": len(spec),
    }
    if spec.rank_normal:
        facts["rank_normal"] = True
    if spec.reference is not None:
        facts["neighbors"] = int(spec.neighbors)
        facts["reference"] = len(spec.reference)
    if spec.probes is not None:
        facts["probes"] = len(spec.probes)
    if spec.groups is not None:
        facts["groups"] = list(spec.groups.names)
        if spec.groups.learned:
            facts["learned_groups"] = spec.groups.learned
    if spec.steps:
        facts["steps"] = list(spec.steps)
    return facts


def table_names(modality: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the tables that belong to a specification.

    Parameters
    ----------
    modality : str
        ``rna``, ``methylation`` or ``clinical``.
    facts : mapping
        As `describe_spec`.

    Returns
    -------
    tuple of str
        File names, the features first.
    """
    suffixes = [_FEATURES]
    suffixes += [_REFERENCE] if facts.get("reference") else []
    suffixes += [_PROBES] if facts.get("probes") else []
    return tuple(f"{modality}{suffix}.parquet" for suffix in suffixes)


def write_tables(folder: Path, spec: ModalitySpec) -> None:
    """Write the tables of a specification.

    Parameters
    ----------
    folder : Path
        An existing folder; the files are those of `table_names`.
    spec : ModalitySpec
        What a model knows of a modality.
    """
    name = spec.modality.value
    features = spec.features
    if spec.groups is not None:
        matrix = spec.groups.matrix(len(spec)).astype(bool)
        cells = ["|".join(map(str, np.flatnonzero(column))) for column in matrix.T]
        features = features.assign(**{GROUP_COLUMN: np.array(cells, dtype=object)})
    features.to_parquet(folder / f"{name}{_FEATURES}.parquet", index=False)
    if spec.reference is not None:
        spec.reference.to_parquet(folder / f"{name}{_REFERENCE}.parquet", index=False)
    if spec.probes is not None:
        spec.probes.to_parquet(folder / f"{name}{_PROBES}.parquet", index=False)


def build_spec(
    modality: Modality,
    facts: Mapping[str, Any],
    read_table: Callable[[str], pd.DataFrame],
) -> ModalitySpec:
    """Put a specification together from what was written of it.

    Parameters
    ----------
    modality : Modality
        RNA, methylation or clinical.
    facts : mapping
        As `describe_spec`.
    read_table : callable
        Gives the table of one name of `table_names`.

    Returns
    -------
    ModalitySpec
        Equal to the one written.

    Raises
    ------
    ConfigurationError
        If the facts hold something that this version does not know, or the tables do
        not belong to them.
    """
    strange = sorted(set(facts) - _FACTS)
    if strange:
        msg = (
            f"the preprocessing of {modality.value} has {strange[0]!r}, which this "
            "version does not know; update napari-mmsubtype"
        )
        raise ConfigurationError(msg)
    names = iter(table_names(modality.value, facts))
    features = read_table(next(names))
    reference = read_table(next(names)) if facts.get("reference") else None
    probes = read_table(next(names)) if facts.get("probes") else None
    return ModalitySpec(
        modality=modality,
        unit=str(facts["unit"]),
        clip=read_number(facts["clip"], f"{modality.value}.clip"),
        min_coverage=read_number(
            facts["min_coverage"], f"{modality.value}.min_coverage"
        ),
        features=features,
        rank_normal=bool(facts.get("rank_normal", False)),
        neighbors=int(facts.get("neighbors", 0)),
        reference=reference,
        probes=probes,
        groups=_groups(modality, facts, features),
        steps=tuple(facts.get("steps", ())),
    )


def save_spec(folder: str | os.PathLike[str], spec: ModalitySpec) -> Path:
    """Keep a specification without a model.

    Parameters
    ----------
    folder : str or path-like
        Made if absent; may hold those of other modalities.
    spec : ModalitySpec
        As fitted.

    Returns
    -------
    Path
        The JSON file, ``<modality>.json``; the Parquet files lie beside it.
    """
    target = Path(folder)
    target.mkdir(parents=True, exist_ok=True)
    write_tables(target, spec)
    path = target / f"{spec.modality.value}.json"
    text = json.dumps(describe_spec(spec), indent=2, ensure_ascii=False)
    path.write_text(text + "\n", encoding="utf-8", newline="\n")
    return path


def load_spec(folder: str | os.PathLike[str], modality: str | Modality) -> ModalitySpec:
    """Read what `save_spec` wrote.

    Parameters
    ----------
    folder : str or path-like
        Where it was written.
    modality : str or Modality
        ``rna``, ``methylation`` or ``clinical``.

    Returns
    -------
    ModalitySpec
        Equal to the one saved.

    Raises
    ------
    ConfigurationError
        If a file is missing or is not what `save_spec` writes.
    """
    import pandas as pd

    source, kind = Path(folder), Modality(str(modality))
    path = source / f"{kind.value}.json"
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        return build_spec(kind, facts, lambda name: pd.read_parquet(source / name))
    except (OSError, ValueError, KeyError, TypeError) as err:
        if isinstance(err, ConfigurationError):
            raise
        msg = (
            f"no preprocessing of {kind.value} can be read from {str(source)!r} "
            f"({err}); write it with save_spec"
        )
        raise ConfigurationError(msg) from err


def _groups(
    modality: Modality, facts: Mapping[str, Any], features: pd.DataFrame
) -> FeatureGroups | None:
    """Gather the members of each group from the feature table."""
    names = facts.get("groups")
    if not names:
        return None
    if GROUP_COLUMN not in features:
        msg = (
            f"the {modality.value} features name no groups, and {len(names)} are "
            "expected; write them again with the model"
        )
        raise ConfigurationError(msg)
    members: list[list[int]] = [[] for _ in names]
    for position, cell in enumerate(features[GROUP_COLUMN]):
        for number in filter(None, str(cell).split("|")):
            if int(number) >= len(members):
                msg = (
                    f"{modality.value} feature {position} is in unknown group {number}"
                )
                raise ConfigurationError(msg)
            members[int(number)].append(position)
    learned = int(facts.get("learned_groups", 0))
    return FeatureGroups(tuple(names), tuple(map(tuple, members)), learned)
