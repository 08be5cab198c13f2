"""Everything that decides what a model says on a fold: another request, another fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.evaluation.splits import Split
    from napari_mmsubtype.training.preset import Preset
    from napari_mmsubtype.workflows.cohort import Cohort
    from napari_mmsubtype.workflows.cohort_request import CohortRequest
    from napari_mmsubtype.workflows.model_list import FusionVariant

_VERSION = 1


def fold_request(
    request: CohortRequest,
    cohort: Cohort,
    split: Split,
    preset: Preset,
    *,
    seed: int,
    embeddings: str,
) -> dict[str, Any]:
    """Gather everything that decides what a model of some patients says of others.

    Parameters
    ----------
    request : CohortRequest
        How tables are read.
    cohort : Cohort
        The patients.
    split : Split
        Who trains, stops and is scored.
    preset : Preset
        The model.
    seed : int
        Of the training.
    embeddings : str
        Digest of the embeddings.

    Returns
    -------
    dict
        Plain JSON types.
    """
    names = np.asarray(cohort.patients)
    return {
        "version": _VERSION,
        "preset": preset.to_dict(),
        "seed": seed,
        "manifest": cohort.manifest.digest,
        "tables": {str(m): table.digest for m, table in cohort.tables.items()},
        "reading": {str(m): dict(o) for m, o in request.reading.items()},
        "embeddings": embeddings,
        "parts": {part: names[rows].tolist() for part, rows in split.parts().items()},
    }


def variant_request(asked: Mapping[str, Any], variant: FusionVariant) -> dict[str, Any]:
    """Add the model to what decides what it says.

    Parameters
    ----------
    asked : mapping
        As `fold_request`.
    variant : FusionVariant
        The model.

    Returns
    -------
    dict
        Plain JSON types.
    """
    return {**asked, "variant": [variant.kind, *variant.modalities, variant.fusion]}
