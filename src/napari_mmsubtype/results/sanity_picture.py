"""Draw the sanity checks of a map: curves of deletion, insertion and randomization."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Mapping

CURVES = {
    "deletion": "Patches taken away, most evidence first",
    "insertion": "Patches added, most evidence first",
}
RANDOMIZATION = "randomization"

_BY_EVIDENCE, _AT_RANDOM = "#0072B2", "#7F7F7F"


def draw_sanity(record: Mapping[str, Any]) -> Figure:
    """Draw the checks that a record holds.

    Parameters
    ----------
    record : mapping
        As `workflows.sanity` makes it.

    Returns
    -------
    Figure
        One panel per check; nothing else holds it.
    """
    names = [name for name in (*CURVES, RANDOMIZATION) if name in record]
    figure = Figure(figsize=(5.2 * len(names), 4.4), dpi=110, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(1, len(names), squeeze=False)[0]
    for name, axis in zip(names, panels, strict=True):
        if name == RANDOMIZATION:
            _draw_randomization(axis, record[name])
        else:
            _draw_curve(axis, name, record)
    title = f"{record['slide']}: map by {record['method']} for {record['class']}"
    figure.suptitle(title.replace("$", r"\$"))
    return figure


def _draw_curve(axis: Any, name: str, record: Mapping[str, Any]) -> None:
    curve = record[name]
    share = np.asarray(curve["share"])
    random = np.asarray(curve["at_random"])
    low, high = random.min(axis=0), random.max(axis=0)
    axis.fill_between(share, low, high, color=_AT_RANDOM, alpha=0.25, linewidth=0)
    axis.plot(
        share,
        random.mean(axis=0),
        color=_AT_RANDOM,
        label=f"{len(random)} random orders, area {np.mean(curve['random_areas']):.2f}",
    )
    axis.plot(
        share,
        curve["by_evidence"],
        color=_BY_EVIDENCE,
        linewidth=2,
        label=f"by evidence, area {curve['area']:.2f}",
    )
    axis.set_title(CURVES[name], fontsize=11)
    axis.set_xlabel("part of the patches")
    axis.set_ylabel("logit less the mean of the others")
    axis.legend(loc="best", fontsize=9, frameon=False)


def _draw_randomization(axis: Any, parts: Any) -> None:
    places = np.arange(len(parts))
    for place, part in zip(places, parts, strict=True):
        each = part["correlations"]
        axis.plot([place] * len(each), each, ".", color=_AT_RANDOM, markersize=4)
    means = [part["correlation"] for part in parts]
    axis.plot(places, means, "o-", color=_BY_EVIDENCE, label="mean of the draws")
    axis.legend(loc="lower left", fontsize=9, frameon=False)
    axis.axhline(0, color="black", linewidth=0.8)
    axis.set_ylim(-1.05, 1.05)
    axis.set_title("Weights drawn anew, from the output down", fontsize=11)
    axis.set_ylabel("rank correlation with the trained map")
    names = [part["layer"] for part in parts]
    axis.set_xticks(places, names, rotation=60, ha="right", fontsize=7)
