"""Write a cross-validation as one HTML file: no network, no scripts."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.results.chart_style import chart_data
from napari_mmsubtype.results.crossval_curves import (
    draw_ranking,
    draw_trust,
    shown_models,
)
from napari_mmsubtype.results.crossval_facts import (
    MAIN_METRICS,
    METRIC_NAMES,
    comparison_rows,
    headline,
    interval,
    known_metrics,
    methods_text,
    metric_rows,
    number,
    subset_rows,
)
from napari_mmsubtype.results.crossval_pictures import (
    draw_confusion,
    draw_folds,
    draw_losses,
    draw_maps,
    draw_survival,
)
from napari_mmsubtype.results.crossval_record import open_crossval
from napari_mmsubtype.results.html_report import render_page, report_target, write_page

if TYPE_CHECKING:
    import os
    from pathlib import Path

    from matplotlib.figure import Figure

    from napari_mmsubtype.results.crossval_record import CrossvalRecord

REPORT_NAME = "report.html"
"""Name of the report in the folder of a cross-validation."""

_SURVIVAL = ("cox", "hazard")
_COMPARED = ("balanced_accuracy", "roc_auc")
_SHOWN_SITES = 15
_COLUMNS = 5
"""Metrics side by side that a page has room for."""


def write_crossval_report(
    folder: str | os.PathLike[str],
    path: str | os.PathLike[str] | None = None,
) -> Path:
    """Write the report of a cross-validation as one HTML file.

    Parameters
    ----------
    folder : path-like
        What ``napari-mmsubtype crossval`` wrote, complete or under way.
    path : path-like or None, default: None
        The file, ending in ``.html``, or a folder for it; None writes ``report.html``
        beside the results. An older report is replaced once the new one is whole.

    Returns
    -------
    Path
        The file.

    Raises
    ------
    StoreError
        If there are no results, they are damaged, or the file cannot be written.
    ConfigurationError
        If the path has another ending or its folder is missing.

    Examples
    --------
    >>> write_crossval_report("crossval")  # doctest: +SKIP
    PosixPath('crossval/report.html')
    """
    record = open_crossval(folder)
    target = report_target(record.path if path is None else path, REPORT_NAME)
    return write_page(crossval_html(record), target)


def crossval_html(record: CrossvalRecord) -> str:
    """Lay out a cross-validation as HTML.

    Parameters
    ----------
    record : CrossvalRecord
        Complete or under way.

    Returns
    -------
    str
        A whole page.
    """
    content = record.content
    presets = record.scored("fusion")
    alarms = content.get("alarms", [])
    metrics = known_metrics(record)
    shown = [key for key in MAIN_METRICS if key in metrics]
    rest = [key for key in metrics if key not in shown]
    return render_page(
        "crossval.html.j2",
        is_demo=False,
        title=", ".join(content["request"].get("presets", {})) or "no preset",
        headline=headline(record),
        is_complete=bool(content.get("complete", True)),
        design=_design(record),
        raised=[alarm for alarm in alarms if alarm["raised"]],
        silent=[alarm for alarm in alarms if not alarm["raised"]],
        metric_names=METRIC_NAMES,
        shown=shown,
        rows=metric_rows(record, shown) if shown else [],
        rest=_other_tables(record, rest, shown[0] if shown else None),
        presets=[_preset(record, name) for name in presets],
        charts=_charts(record),
        splits=content.get("splits", []),
        patterns=content["cohort"].get("patterns", {}),
        class_names=record.classes,
        methods=methods_text(record),
        notes=content["validation"].get("notes", []),
        command=content["request"].get("command", ""),
        settings=json.dumps(content["request"].get("presets", {}), indent=2),
        number=number,
        interval=interval,
        shown_sites=_SHOWN_SITES,
    )


def _other_tables(
    record: CrossvalRecord, names: list[str], rank_by: str | None
) -> list[tuple[list[str], list[dict[str, Any]]]]:
    """Lay out the metrics beside the main ones, as many as a page has room for."""
    parts = [names[i : i + _COLUMNS] for i in range(0, len(names), _COLUMNS)]
    return [
        (part, [r for r in metric_rows(record, part, rank_by) if not r["skipped"]])
        for part in parts
    ]


def _design(record: CrossvalRecord) -> str:
    """Say cohort and folds in a line."""
    plan, cohort = record.content["validation"], record.content["cohort"]
    kinds = {
        "patient": "folds of patients",
        "site": "folds of whole sites",
        "image": "folds of images",
        "given": "folds as given",
        "test": "a fixed test set",
    }
    what = kinds.get(plan["scheme"], "folds")
    folds = what if plan["scheme"] == "test" else f"{plan['folds']} {what}"
    repeats = len(plan["seeds"])
    again = f", {repeats} repeats" if repeats > 1 else ""
    if plan["scheme"] == "image":
        return f"{cohort['patients']} images; {folds}{again}"
    return f"{cohort['patients']} patients, {cohort['slides']} slides; {folds}{again}"


def _preset(record: CrossvalRecord, name: str) -> dict[str, Any]:
    """Gather what is told of one preset."""
    model = record.models[name]
    return {
        "name": name,
        "comparisons": [
            (METRIC_NAMES[metric], rows)
            for metric in _COMPARED
            if (rows := comparison_rows(record, name, metric))
        ],
        "modalities": model["modalities"],
        "subsets": subset_rows(record, name),
        "per_class": model["per_class"],
        "per_site": model["per_site"],
        "folds": model["folds"],
        "heads": {
            head: [
                (METRIC_NAMES.get(key, key), _cell(value))
                for key, value in metrics.items()
            ]
            for head, metrics in model.get("heads", {}).items()
        },
    }


def _cell(value: Any) -> str:
    return interval(value) if isinstance(value, dict) else number(value, 4)


def _charts(record: CrossvalRecord) -> list[dict[str, str]]:
    """Draw every chart that there is something to draw for."""
    models = shown_models(record)
    presets = record.scored("fusion")
    heads = record.content.get("heads", {})
    survival = [name for name, head in heads.items() if head["kind"] in _SURVIVAL]
    drawn: list[tuple[str, str, Figure | None]] = [
        (
            "Folds",
            "Each dot is a fold, each box the middle half of them; the dotted line is "
            "chance. Folds share training patients: boxes that do not overlap are no "
            "test.",
            draw_folds(record),
        ),
        (
            "Ranking",
            "ROC and precision-recall curves of out-of-fold answers; the band is the "
            "95 % range of resampled patients, of the first model.",
            draw_ranking(record, models),
        ),
        (
            "Trust",
            "Left: do probabilities come true (two models, bins of equal mass, Wilson "
            "intervals)? Then: the error if only the surest calls are kept; and, where "
            "there are two classes, the net benefit of acting on the model: grey of "
            "acting on everyone, dotted on no one.",
            draw_trust(record, models),
        ),
        (
            "Confusion",
            "Share of each true class, and number of patients times repeats.",
            draw_confusion(record, presets or models),
        ),
    ]
    drawn += [
        (
            f"Risk groups: {head}",
            "Patients out of fold, parted at the median risk of the patients that each "
            "fold was trained on.",
            draw_survival(record, presets[0], head),
        )
        for head in (survival if presets else [])
    ]
    drawn.append(
        (
            "Map of patients",
            "UMAP that saw no label. Classes should part; if sites part as well, the "
            "data betray the hospital.",
            draw_maps(record),
        )
    )
    drawn += [
        (
            f"Losses: {name}",
            "One line per fold.",
            draw_losses(record, name),
        )
        for name in presets
    ]
    return [
        {"title": title, "text": text, "image": chart_data(figure)}
        for title, text, figure in drawn
        if figure is not None
    ]
