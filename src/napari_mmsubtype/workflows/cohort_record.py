"""Who is in a cohort, for ``results.json``."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from napari_mmsubtype.workflows.cohort_setup import OpenedCohort


def cohort_record(opened: OpenedCohort) -> dict[str, Any]:
    """Count patients by class, site and what they have.

    Parameters
    ----------
    opened : OpenedCohort
        With its embeddings.

    Returns
    -------
    dict
        Plain JSON types.
    """
    cohort = opened.cohort
    image = np.array([len(bag) > 0 for bag in opened.inputs[0].bags])
    has = cohort.has(image)
    classes = {n: int((cohort.labels == c).sum()) for c, n in enumerate(cohort.classes)}
    sites: dict[str, dict[str, int]] = {}
    for site in np.unique(cohort.sites):
        own = cohort.labels[cohort.sites == site]
        sites[str(site)] = {
            n: int((own == c).sum()) for c, n in enumerate(cohort.classes)
        }
    patterns = Counter(cohort.pattern(row) for row in has)
    failures = {s: why for entry in opened.inputs for s, why in entry.failures.items()}
    return {
        "patients": len(cohort),
        "unlabelled": opened.unlabelled,
        "slides": len(cohort.manifest.slides),
        "failed_slides": failures,
        "classes": classes,
        "modalities": {
            str(m): int(has[:, column].sum())
            for column, m in enumerate(cohort.modalities)
        },
        "sites": sites,
        "patterns": dict(patterns.most_common()),
    }
