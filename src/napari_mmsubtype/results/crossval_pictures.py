"""Charts of a cross-validation: folds, confusion, survival, map, losses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import MaxNLocator

from napari_mmsubtype.evaluation.survival import kaplan_meier
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

    import pandas as pd
    from matplotlib.figure import Figure

    from napari_mmsubtype.results.crossval_record import CrossvalRecord

_MOST_SITES = 8
_MOST_FUSIONS = 3


def draw_folds(record: CrossvalRecord) -> Figure | None:
    """Draw balanced accuracy and area of every fold of every model.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.

    Returns
    -------
    Figure or None
        One box per model with its folds as dots; None without folds.
    """
    names = [name for name in record.scored() if record.models[name]["folds"]]
    if not names:
        return None
    titles = shortened(names)
    height = 0.9 + 0.3 * len(names)
    with styled():
        figure, axes = new_chart(2, panel=(4.7, height))
        for axis, metric, title in (
            (axes[0], "balanced_accuracy", "Balanced accuracy, fold by fold"),
            (axes[1], "roc_auc", "ROC-AUC, fold by fold"),
        ):
            values = [
                [f[metric] for f in record.models[n]["folds"] if f[metric] is not None]
                for n in names
            ]
            axis.boxplot(
                values,
                orientation="horizontal",
                widths=0.55,
                showfliers=False,
                medianprops={"color": LINE_COLORS[0], "linewidth": 2},
                boxprops={"color": GREY},
                whiskerprops={"color": GREY},
                capprops={"color": GREY},
            )
            for place, own in enumerate(values, start=1):
                offsets = np.linspace(-0.14, 0.14, len(own)) if len(own) != 1 else [0]
                axis.scatter(
                    own,
                    place + np.asarray(offsets),
                    s=12,
                    color=LINE_COLORS[0],
                    alpha=0.7,
                    zorder=3,
                )
            chance = 1 / len(record.classes) if metric == "balanced_accuracy" else 0.5
            axis.axvline(chance, color=GREY, linewidth=1, linestyle=":")
            axis.set_title(title)
            axis.set_xlim(right=1.01)
            axis.invert_yaxis()
        axes[0].set_yticks(range(1, len(names) + 1), titles)
        axes[1].set_yticks(range(1, len(names) + 1), [""] * len(names))
    return figure


def draw_confusion(record: CrossvalRecord, models: Sequence[str]) -> Figure | None:
    """Draw how classes are taken for each other.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.
    models : sequence of str
        To draw, three at most.

    Returns
    -------
    Figure or None
        Shares of each true class, and counts; None without a table.
    """
    names = [n for n in models if record.models[n]["confusion"]][:_MOST_FUSIONS]
    if not names:
        return None
    classes = shortened(record.classes, most=18)
    size = 2.2 + 0.45 * len(classes)
    with styled():
        figure, axes = new_chart(len(names), panel=(size + 0.6, size))
        for axis, name in zip(axes, names, strict=True):
            table = np.asarray(record.models[name]["confusion"], dtype=np.float64)
            shares = table / np.maximum(table.sum(axis=1, keepdims=True), 1)
            axis.imshow(shares, cmap="Blues", vmin=0, vmax=1)
            for (row, column), share in np.ndenumerate(shares):
                axis.text(
                    column,
                    row,
                    f"{share:.0%}\n{table[row, column]:.0f}",
                    ha="center",
                    va="center",
                    color="white" if share > 0.55 else "#1c1f23",
                )
            axis.set_xticks(range(len(classes)), classes, rotation=20)
            axis.set_yticks(range(len(classes)), classes)
            axis.set_xlabel("called")
            axis.set_title(shortened([name], 30)[0])
            axis.spines[:].set_visible(False)
            axis.tick_params(length=0)
        axes[0].set_ylabel("true")
    return figure


def draw_survival(record: CrossvalRecord, model: str, head: str) -> Figure | None:
    """Draw survival of both risk groups.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.
    model : str
        Whose risks to take.
    head : str
        Its question about survival.

    Returns
    -------
    Figure or None
        Kaplan-Meier curves with bands, patients out of fold, parted at the median risk
        of each fold's training patients; None without both groups.
    """
    rows = record.answers(model, head)
    if rows.empty:
        return None
    rows = rows[rows["repeat"] == rows["repeat"].min()]
    rows = rows.dropna(subset=["time", "event", "high_risk"])
    groups = {
        "high risk": rows[rows["high_risk"] == 1],
        "low risk": rows[rows["high_risk"] == 0],
    }
    if any(group.empty for group in groups.values()):
        return None
    with styled():
        figure, (axis,) = new_chart(1, panel=(6.2, 3.6))
        for (name, group), color in zip(
            groups.items(), (LINE_COLORS[1], LINE_COLORS[0]), strict=True
        ):
            _survival_line(axis, group, name, color)
        axis.set_ylim(0, 1.02)
        axis.set_xlim(left=0)
        axis.set_xlabel("time, as in the manifest")
        axis.set_ylabel("share without the event")
        axis.set_title("Risk groups, out of fold")
        axis.legend(loc="upper right")
    return figure


def draw_maps(record: CrossvalRecord) -> Figure | None:
    """Draw each map of patients twice: by class and by site.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.

    Returns
    -------
    Figure or None
        None where no map was made.
    """
    maps = {name: m for name, m in record.content.get("maps", {}).items() if m["x"]}
    if not maps or record.predictions.empty:
        return None
    known = record.predictions[record.predictions["head"] == "class"]
    known = known.drop_duplicates("patient_id").set_index("patient_id")
    with styled():
        figure, axes = new_chart(2, rows=len(maps), panel=(4.6, 3.5))
        for place, (name, spots) in enumerate(maps.items()):
            own = known.reindex(spots["patients"])
            classes = [
                record.classes[int(y)] if np.isfinite(y) and y >= 0 else "not known"
                for y in own["y"].to_numpy(dtype=np.float64)
            ]
            colors = dict(zip(record.classes, record.colors, strict=True))
            _spots(axes[2 * place], spots, classes, colors, f"{name}, by class")
            sites = _frequent(own["site"].fillna("").tolist())
            kinds = [s for s in dict.fromkeys(sorted(sites)) if s not in _OTHERS]
            shades = {s: LINE_COLORS[i % len(LINE_COLORS)] for i, s in enumerate(kinds)}
            _spots(axes[2 * place + 1], spots, sites, shades, f"{name}, by site")
    return figure


def draw_losses(record: CrossvalRecord, model: str) -> Figure | None:
    """Draw the losses of every fold over the epochs.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.
    model : str
        Which model.

    Returns
    -------
    Figure or None
        None where no losses were kept.
    """
    curves = record.models[model]["curves"]
    if not curves.get("training"):
        return None
    with styled():
        figure, (axis,) = new_chart(1, panel=(6.2, 3.0))
        for part, color in (("training", GREY), ("validation", LINE_COLORS[0])):
            for place, losses in enumerate(curves.get(part, [])):
                epochs = np.arange(1, len(losses) + 1)
                axis.plot(
                    epochs,
                    np.asarray(losses, dtype=np.float64),
                    color=color,
                    alpha=0.7,
                    linewidth=1.1,
                    label=part if place == 0 else None,
                )
        axis.set_xlabel("epoch")
        axis.xaxis.set_major_locator(MaxNLocator(integer=True))
        axis.set_ylabel("loss")
        axis.set_title(shortened([model])[0])
        legend_below(figure, axis)
    return figure


_OTHERS = ("other sites", "not known")


def _survival_line(axis: Any, group: pd.DataFrame, name: str, color: str) -> None:
    curve = kaplan_meier(group["time"], group["event"])
    events = int(group["event"].sum())
    label = f"{name}: {len(group)} patients, {events} events"
    axis.step(curve.time, curve.share, where="post", color=color, label=label)
    axis.fill_between(
        curve.time, curve.low, curve.high, step="post", color=color, alpha=0.15
    )
    lost = np.isin(curve.time, group["time"][group["event"] == 0])
    axis.plot(
        curve.time[lost], curve.share[lost], "|", color=color, markersize=5, alpha=0.7
    )


def _spots(
    axis: Any,
    spots: dict[str, Any],
    names: Sequence[str],
    colors: dict[str, str],
    title: str,
) -> None:
    """Draw patients as dots, one color per name."""
    x, y = np.asarray(spots["x"], float), np.asarray(spots["y"], float)
    order = [*colors, *(name for name in _OTHERS if name in names)]
    for name in order:
        own = np.array([found == name for found in names])
        if own.any():
            axis.scatter(
                x[own],
                y[own],
                s=11,
                alpha=0.8,
                linewidths=0,
                color=colors.get(name, "#c3c8ce"),
                label=f"{shortened([name], 18)[0]} ({int(own.sum())})",
                rasterized=True,
            )
    axis.set_title(title)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.spines[:].set_visible(False)
    axis.legend(loc="upper left", bbox_to_anchor=(1.0, 1.0), markerscale=1.8)


def _frequent(sites: Sequence[str]) -> list[str]:
    """Keep the largest sites, and join the others."""
    counts: dict[str, int] = {}
    for site in sites:
        counts[site] = counts.get(site, 0) + 1
    counts.pop("", None)
    largest = sorted(counts, key=lambda s: (-counts[s], s))[:_MOST_SITES]
    return [
        s if s in largest else ("not known" if not s else "other sites") for s in sites
    ]
