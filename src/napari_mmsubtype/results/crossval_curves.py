"""Curves of a cross-validation: ranking, calibration, benefit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.evaluation.curves import (
    decision_curve,
    precision_band,
    reliability,
    risk_coverage,
    roc_band,
)
from napari_mmsubtype.results.chart_style import (
    GREY,
    LINE_COLORS,
    legend_below,
    new_chart,
    shortened,
    styled,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from napari_mmsubtype.results.crossval_record import CrossvalRecord

_MOST_LINES = 6
_MOST_CLASSES = 4
# More of them cross each other until none can be followed.
_MOST_RELIABILITIES = 2


def shown_models(record: CrossvalRecord) -> list[str]:
    """Choose the models that charts draw.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.

    Returns
    -------
    list of str
        Presets first, then what ranks patients best beside them; six at most.
    """
    rivals = record.scored("logistic", "baseline", "ablation")
    best = sorted(rivals, key=lambda name: -_area(record, name))
    named = [*record.scored("fusion"), *best]
    return [name for name in named if len(record.answers(name))][:_MOST_LINES]


def _area(record: CrossvalRecord, name: str) -> float:
    metric = record.models[name]["metrics"].get("roc_auc")
    return 0.0 if metric is None else float(metric["value"])


def draw_ranking(record: CrossvalRecord, models: Sequence[str]) -> Figure | None:
    """Draw ROC curves beside curves of precision and recall, class by class.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.
    models : sequence of str
        To draw; the bands are those of the first.

    Returns
    -------
    Figure or None
        None where no class can be ranked.
    """
    values = _drawn_classes(record, models)
    if not values:
        return None
    with styled():
        single = len(values) == 1
        figure, axes = (
            new_chart(2, panel=(4.4, 3.9))
            if single
            else new_chart(len(values), rows=2, panel=(3.3, 3.1))
        )
        for place, value in enumerate(values):
            pair = (axes[place], axes[place + len(values)])
            _rank_class(pair, record, models, value)
        legend_below(figure, axes[0])
    return figure


def draw_trust(record: CrossvalRecord, models: Sequence[str]) -> Figure | None:
    """Draw how far probabilities are to be trusted.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.
    models : sequence of str
        To draw; the intervals are those of the first.

    Returns
    -------
    Figure or None
        Reliability, error by share of patients kept, and, where there are two classes,
        net benefit. None without answers.
    """
    if not models:
        return None
    two = len(record.classes) == 2
    with styled():
        figure, axes = new_chart(3 if two else 2, panel=(3.1, 3.2))
        for place, name in enumerate(models):
            rows = record.answers(name)
            truth = rows["y"].to_numpy(dtype=np.int64)
            scores = record.probabilities(rows)
            style = _style(record, name, place)
            if place < _MOST_RELIABILITIES:
                _reliability_line(axes[0], truth, scores, style, is_first=place == 0)
            kept = risk_coverage(truth, scores)
            axes[1].plot(kept.coverage, kept.risk, **style)
            if two and len(np.unique(truth)) == 2:
                curve = decision_curve(truth == 1, scores[:, 1])
                axes[2].plot(curve.threshold, curve.model, **style)
                if place == 0:
                    _benefit_frame(axes[2], curve, record.classes[1])
        _frame(axes[0], "Reliability", "probability said", "share right")
        axes[0].plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
        _frame(axes[1], "Error by share kept", "share of patients kept", "share wrong")
        # The surest few patients swing between right and wrong: not to set the scale.
        worst = max(float(line.get_ydata()[-1]) for line in axes[1].lines)
        axes[1].set_ylim(0, min(1.01, max(1.6 * worst, 0.1)))
        legend_below(figure, axes[1])
    return figure


def _drawn_classes(record: CrossvalRecord, models: Sequence[str]) -> list[int]:
    """Choose the classes that have a curve: the second of two, else each."""
    if not models:
        return []
    count = len(record.classes)
    found = np.unique(record.answers(models[0])["y"])
    if len(found) < 2:
        return []
    return [1] if count == 2 else [int(value) for value in found[:_MOST_CLASSES]]


def _rank_class(
    axes: tuple[Any, Any],
    record: CrossvalRecord,
    models: Sequence[str],
    value: int,
) -> None:
    """Draw both curves of one class against the rest."""
    share = 0.0
    for place, name in enumerate(models):
        rows = record.answers(name)
        positive = (rows["y"] == value).to_numpy()
        if positive.all() or not positive.any():
            continue
        scores = record.probabilities(rows)[:, value]
        patients = rows["patient_id"].tolist()
        share = share if place else float(positive.mean())
        style = _style(record, name, place)
        # Bands of all models would hide each other.
        draws = 500 if place == 0 else 1
        for axis, make in zip(axes, (roc_band, precision_band), strict=True):
            band = make(positive, scores, patients, draws=draws)
            axis.plot(band.x, band.y, **style)
            if place == 0:
                axis.fill_between(
                    band.x, band.low, band.high, color=style["color"], alpha=0.16
                )
    name = record.classes[value]
    _frame(axes[0], f"ROC: {name}", "1 − specificity", "sensitivity")
    axes[0].plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle=":")
    _frame(axes[1], f"Precision: {name}", "recall", "precision")
    axes[1].axhline(share, color=GREY, linewidth=1, linestyle=":")


def _reliability_line(
    axis: Any,
    truth: NDArray[np.int64],
    scores: NDArray[np.float64],
    style: dict[str, Any],
    *,
    is_first: bool,
) -> None:
    """Draw what was said of the called class against what was right."""
    found = reliability(scores.argmax(axis=1) == truth, scores.max(axis=1))
    axis.plot(found.said, found.found, marker="o", markersize=3, **style)
    if is_first:
        below, above = found.found - found.low, found.high - found.found
        axis.errorbar(
            found.said,
            found.found,
            np.maximum([below, above], 0),
            color=style["color"],
            linewidth=0,
            elinewidth=1.2,
            alpha=0.6,
        )


def _benefit_frame(axis: Any, curve: Any, name: str) -> None:
    """Frame net benefit by acting on all and on none."""
    axis.plot(curve.threshold, curve.everyone, color=GREY, linewidth=1)
    axis.axhline(0, color=GREY, linewidth=1, linestyle=":")
    top = max(float(curve.model.max()), float(curve.everyone.max()), 0.05)
    title = f"Net benefit: {name}"
    _frame(axis, title, "probability from which one acts", "net benefit")
    axis.set_ylim(-0.25 * top, 1.15 * top)


def _style(record: CrossvalRecord, name: str, place: int) -> dict[str, Any]:
    model = record.models[name]
    return {
        "color": LINE_COLORS[place % len(LINE_COLORS)],
        "linewidth": 2.0 if model["kind"] == "fusion" else 1.3,
        "label": shortened([name])[0],
    }


def _frame(axis: Any, title: str, x: str, y: str) -> None:
    axis.set_title(title)
    axis.set_xlabel(x)
    axis.set_ylabel(y)
    axis.set_xlim(0, 1)
    axis.set_ylim(0, 1.01)
