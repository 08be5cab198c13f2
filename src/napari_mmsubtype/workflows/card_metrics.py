"""What a cross-validation found, for the card of a model."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.workflows.crossval_results import FORMAT
from napari_mmsubtype.workflows.fold_bundle import metric_of

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from napari_mmsubtype.models.training_facts import Metric

_NAMES = {"roc_auc": "ROC-AUC", "balanced_accuracy": "balanced accuracy"}


def read_results(path: Path) -> dict[str, Any]:
    """Read the results of a cross-validation.

    Parameters
    ----------
    path : Path
        A ``results.json``.

    Returns
    -------
    dict
        Its content.

    Raises
    ------
    ConfigurationError
        If it cannot be read or is something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as err:
        msg = f"results {str(path)!r} cannot be read ({err}); give a results.json"
        raise ConfigurationError(msg) from err
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        msg = f"{str(path)!r} is no results.json of a cross-validation"
        raise ConfigurationError(msg)
    return content


def card_metrics(content: Mapping[str, Any], name: str) -> tuple[Metric, ...]:
    """Take what a cross-validation found of a preset, by subset of modalities.

    Parameters
    ----------
    content : mapping
        As `read_results`.
    name : str
        Of the preset.

    Returns
    -------
    tuple of Metric
        Those that could be computed.

    Raises
    ------
    ConfigurationError
        If the results are of other presets.
    """
    models = content["models"]
    if name not in models:
        known = ", ".join(n for n, m in models.items() if m["kind"] == "fusion")
        msg = f"the results are of {known}, not of preset {name!r}; give its own"
        raise ConfigurationError(msg)
    made = []
    for subset, scores in models[name]["subsets"].items():
        given = [Modality(part) for part in subset.split("+")]
        made += [metric_of(word, given, scores[key]) for key, word in _NAMES.items()]
    return tuple(metric for metric in made if metric is not None)
