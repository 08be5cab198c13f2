"""What a report says of a cross-validation, as words and rows of tables."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.evaluation.verdict import Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from napari_mmsubtype.results.crossval_record import CrossvalRecord

MISSING = "–"
"""What stands where there is no number."""

METRIC_NAMES = {
    "balanced_accuracy": "balanced accuracy",
    "balanced_accuracy_at_threshold": "balanced accuracy at the folds' thresholds",
    "roc_auc": "ROC-AUC",
    "roc_auc_micro": "ROC-AUC, micro",
    "average_precision": "average precision",
    "average_precision_micro": "average precision, micro",
    "accuracy": "accuracy",
    "f1": "F1, macro",
    "mcc": "MCC",
    "kappa": "Cohen's κ",
    "quadratic_kappa": "κ, quadratic",
    "log_loss": "log-loss",
    "brier": "Brier score",
    "ece": "ECE",
    "aurc": "area under risk by coverage",
    "mean_absolute_error": "mean absolute error",
    "conformal_coverage": "sets that hold the truth",
    "conformal_size": "classes in a set",
    "early_late_roc_auc": "ROC-AUC, early or late",
    "c_index": "C-index",
    "integrated_brier": "Brier score over time",
    "integrated_brier_reference": "the same of a Kaplan-Meier curve",
    "logrank_p": "log-rank p",
}
"""Metrics in words, in the order of the report."""

MAIN_METRICS = ("balanced_accuracy", "roc_auc", "average_precision", "mcc", "ece")
"""What the first table shows; the others are folded."""

KIND_NAMES = {
    "fusion": "preset",
    "baseline": "baseline",
    "ablation": "trained without",
    "logistic": "baseline",
    "control": "control",
    "probe": "probe",
}
"""Kinds of models in words."""

TEST_NAMES = {
    "delong": "DeLong",
    "mcnemar": "McNemar, exact",
    "corrected_t": "corrected t",
    "wilcoxon": "Wilcoxon, exact",
    "permutation": "permutation",
    "logrank": "log-rank",
}
"""Tests in words."""


_SPEAKS_OF = {"delong": "roc_auc", "mcnemar": "balanced_accuracy"}
"""Tests that know one metric only; they are told where that is compared."""


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A preset against one rival, by one metric.

    Attributes
    ----------
    rival : str
        Name of the other model.
    difference : str
        With its interval.
    effect : str
        Cohen's d_z.
    patients : int
        That both have judged.
    tests : tuple of tuple of str
        Name of each test and what it says.
    is_shown : bool
        Whether every test that could show a difference does.
    """

    rival: str
    difference: str
    effect: str
    patients: int
    tests: tuple[tuple[str, str], ...]
    is_shown: bool


def number(value: float | None, digits: int = 3) -> str:
    """Write a number, or that there is none.

    Parameters
    ----------
    value : float or None
        The number.
    digits : int, default: 3
        After the point.

    Returns
    -------
    str
        ``–`` for None.
    """
    return MISSING if value is None else f"{value:.{digits}f}"


def interval(metric: Mapping[str, Any] | None, *, signed: bool = False) -> str:
    """Write a metric with its interval.

    Parameters
    ----------
    metric : mapping or None
        ``value``, ``low`` and ``high``.
    signed : bool, default: False
        Whether to write plus signs, as differences need them.

    Returns
    -------
    str
        ``0.912 [0.880, 0.941]``; ``–`` for None.
    """
    if metric is None:
        return MISSING
    form = "{:+.3f} [{:+.3f}, {:+.3f}]" if signed else "{:.3f} [{:.3f}, {:.3f}]"
    return form.format(metric["value"], metric["low"], metric["high"])


def metric_rows(
    record: CrossvalRecord, names: Sequence[str], rank_by: str | None = None
) -> list[dict[str, Any]]:
    """Lay out models by metrics.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.
    names : sequence of str
        Metrics, by their keys.
    rank_by : str or None, default: None
        Metric that is better where it is higher; the first one if None.

    Returns
    -------
    list of dict
        ``name``, ``title``, ``kind``, ``patients``, ``skipped``, and ``cells``, one
        text per metric; ``best`` marks the model that ranks highest among those that
        may be compared.
    """
    rows = []
    for name, model in record.models.items():
        first = model["metrics"].get(rank_by or names[0])
        rows.append(
            {
                "name": name,
                "title": str(model["title"]),
                "kind": KIND_NAMES.get(model["kind"], str(model["kind"])),
                "modalities": " + ".join(model["modalities"]) or MISSING,
                "patients": model["patients"],
                "skipped": model["skipped"],
                "cells": [interval(model["metrics"].get(key)) for key in names],
                "rank": -1.0
                if first is None or model["kind"] in ("control", "probe")
                else float(first["value"]),
            }
        )
    top = max((row["rank"] for row in rows), default=-1.0)
    for row in rows:
        row["best"] = top >= 0 and row["rank"] == top
    return rows


def known_metrics(record: CrossvalRecord) -> list[str]:
    """Name the metrics that a model has, in the order of the report.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.

    Returns
    -------
    list of str
        Keys; those without a name of their own last.
    """
    found = {key for model in record.models.values() for key in model["metrics"]}
    known = [key for key in METRIC_NAMES if key in found]
    return known + sorted(found - set(known))


def comparison_rows(
    record: CrossvalRecord, model: str, metric: str
) -> list[ComparisonRow]:
    """Say how a preset compares with each rival.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.
    model : str
        The preset.
    metric : str
        By which they are compared.

    Returns
    -------
    list of ComparisonRow
        In the order of the results. No test claims a level that it cannot reach;
        DeLong is told of areas only, McNemar of calls only.
    """
    rows = []
    for entry in record.content.get("comparisons", []):
        if (entry["model"], entry["metric"]) != (model, metric):
            continue
        verdicts = [
            Verdict.from_record(test)
            for test in entry["tests"]
            if _SPEAKS_OF.get(test["name"], metric) == metric
        ]
        rows.append(
            ComparisonRow(
                rival=str(entry["baseline"]),
                difference=interval(entry["difference"], signed=True),
                effect=number(entry["effect_size"], 2),
                patients=int(entry["patients"]),
                tests=tuple(
                    (TEST_NAMES.get(v.name, v.name), v.words()) for v in verdicts
                ),
                is_shown=_all_show(verdicts),
            )
        )
    return rows


def _all_show(verdicts: Sequence[Verdict]) -> bool:
    """Believe a difference where all tests agree: one of several is easily found."""
    able = [verdict for verdict in verdicts if verdict.can_reach()]
    return bool(able) and all(verdict.shows_difference() for verdict in able)


def subset_rows(record: CrossvalRecord, model: str) -> list[dict[str, Any]]:
    """Lay out what a model knows from each set of modalities.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.
    model : str
        A preset.

    Returns
    -------
    list of dict
        ``has`` (one bool per modality of the model), ``patients``, ``cells`` (balanced
        accuracy and ROC-AUC) and ``share``, the balanced accuracy from 0 to 1; the
        fullest set first.
    """
    about = record.models[model]
    taken = about["modalities"]
    rows = []
    for key, found in about["subsets"].items():
        parts = key.split("+")
        metrics = [found.get(name) for name in ("balanced_accuracy", "roc_auc")]
        rows.append(
            {
                "has": [name in parts for name in taken],
                "patients": found["patients"],
                "cells": [interval(metric) for metric in metrics],
                "share": 0.0 if metrics[0] is None else float(metrics[0]["value"]),
            }
        )
    return sorted(rows, key=lambda row: (-sum(row["has"]), [not h for h in row["has"]]))


def methods_text(record: CrossvalRecord) -> list[str]:
    """Tell how it was done, as the methods of a paper would.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.

    Returns
    -------
    list of str
        Paragraphs.
    """
    plan, cohort = record.content["validation"], record.content["cohort"]
    made = record.content["provenance"]
    packages = ", ".join(f"{k} {v}" for k, v in made.get("packages", {}).items())
    seeds = ", ".join(map(str, plan["seeds"]))
    cases = "images" if plan["scheme"] == "image" else "patients"
    repeats = len(plan["seeds"])
    again = f", {repeats} times anew" if repeats > 1 else ""
    schemes = {
        "patient": "dealt out into {folds} folds, stratified by class{again}; all "
        "slides of a patient were in one fold",
        "site": "dealt out into {folds} folds of whole sites{again}, so that no site "
        "was both trained on and judged (criterion of Howard et al. 2021)",
        "image": "dealt out into {folds} folds by image{again}, so that the same "
        "patient was in training and test and the results look better than they are",
        "given": "judged in the {folds} folds that the manifest gives{again}",
        "test": "judged on the fixed test set that the manifest gives{again}",
    }
    dealt = schemes.get(plan["scheme"], "judged in {folds} folds{again}").format(
        folds=plan["folds"], again=again
    )
    classes = ", ".join(f"{name} {count}" for name, count in cohort["classes"].items())
    inner = float(plan.get("inner_share") or 0)
    held = (
        f"In each fold, {inner:.0%} of the training {cases} were held out for early "
        "stopping, temperature, threshold and prediction sets. "
        if inner
        else ""
    )
    many = f"{cohort['patients']} {cases}"
    if cases == "patients":
        many += f" with {cohort['slides']} slides"
    return [
        f"{many} ({classes}) were {dealt} (seeds {seeds}). {held}Everything fitted, "
        f"from the choice of features to temperatures, was fitted on training {cases} "
        f"only.{_encoder_text(record, cases)}",
        "Metrics are of out-of-fold answers, all folds together; intervals are 95 % "
        f"percentile intervals of {plan['bootstrap']} resamples of {cases}. Paired "
        "tests: DeLong, exact McNemar and permutation (1,999 swaps) on patients, the "
        "t-test of Nadeau and Bengio and exact Wilcoxon signed ranks on folds; "
        "p-values of one preset and metric were adjusted by Holm for their number. "
        f"Survival groups part at the median risk of each fold's training {cases}.",
        f"Made on {made.get('created', 'an unknown date')} with Python "
        f"{made.get('python', 'unknown')} on {made.get('platform', 'unknown')}: "
        f"{packages}. Research use only.",
    ]


def _encoder_text(record: CrossvalRecord, cases: str) -> str:
    """Say which presets trained an encoder in each fold, as a further sentence."""
    names = [
        name
        for name in record.scored("fusion")
        if any(fold.get("encoder") for fold in record.models[name]["folds"])
    ]
    if not names:
        return ""
    return (
        f" The patch encoder of {', '.join(names)} was trained anew in each fold, on "
        f"patches of its training {cases} that carry their class; held-out training "
        f"{cases} chose its epoch. Models of random labels had encoders of their own, "
        "and logistic regression on images saw the encoder before this training."
    )


def headline(record: CrossvalRecord) -> str:
    """Say the main finding in one line.

    Parameters
    ----------
    record : CrossvalRecord
        A cross-validation.

    Returns
    -------
    str
        Balanced accuracy and ROC-AUC of the first preset that was scored.
    """
    for name in record.scored("fusion") or record.scored():
        metrics = record.models[name]["metrics"]
        return (
            f"{name}: balanced accuracy "
            f"{interval(metrics.get('balanced_accuracy'))}, ROC-AUC "
            f"{interval(metrics.get('roc_auc'))}"
        )
    return "No model has been scored yet"
