"""How a classifier fares at each site, with intervals that suit few patients."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation.metric_table import checked
from napari_mmsubtype.evaluation.proportions import mean_share

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray


def site_table(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[str],
    sites: Sequence[str],
) -> list[dict[str, Any]]:
    """Describe how each site fares.

    Parameters
    ----------
    labels : array_like of int, shape (n,)
        True classes.
    probabilities : array_like of float, shape (n, c)
        One row per case.
    patients, sites : sequence of str, length n
        Of each row.

    Returns
    -------
    list of dict
        ``site``, ``patients``, ``balanced_accuracy`` (None where only one class
        occurs) and ``accuracy``, both `Estimate`; the largest site first. Resampled
        patients would give a site without an error an interval without width: these
        are intervals of proportions, see `mean_share`.
    """
    truth, scores = checked(labels, probabilities)
    hits = (scores.argmax(axis=1) == truth).astype(np.float64)
    named, places = np.asarray(patients, dtype=str), np.asarray(sites, dtype=str)
    rows = []
    for site in np.unique(places):
        own = places == site
        parts = [own & (truth == value) for value in np.unique(truth[own])]
        shares = [_share(hits, named, part) for part in parts]
        rows.append(
            {
                "site": str(site),
                "patients": len(np.unique(named[own])),
                "balanced_accuracy": mean_share(shares) if len(shares) > 1 else None,
                "accuracy": mean_share([_share(hits, named, own)]),
            }
        )
    return sorted(rows, key=lambda row: (-row["patients"], row["site"]))


def _share(
    hits: NDArray[np.float64], patients: NDArray[np.str_], rows: NDArray[np.bool_]
) -> tuple[float, int]:
    """Count a patient once, however many rows there are of them."""
    return float(hits[rows].mean()), len(np.unique(patients[rows]))
