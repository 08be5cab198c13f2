"""A synthetic cross-validation folder, written as docs/crossval.md says."""

from __future__ import annotations

import json
from dataclasses import asdict

import numpy as np
import pandas as pd

from napari_mmsubtype.evaluation.comparison import (
    adjusted,
    compare_models,
    comparison_record,
)
from napari_mmsubtype.evaluation.metric_table import (
    class_table,
    classification_estimates,
    confusion_table,
)
from napari_mmsubtype.evaluation.metrics import balanced_accuracy, roc_auc
from napari_mmsubtype.evaluation.patient_folds import repeated_folds
from napari_mmsubtype.evaluation.site_table import site_table

MODELS = {
    # name: kind, title, modalities, skill
    "evidence": ("fusion", "evidence", ("image", "rna"), 2.2),
    "evidence/image_only": ("baseline", "evidence, image alone", ("image",), 0.7),
    "evidence/rna_only": ("baseline", "evidence, RNA alone", ("rna",), 1.6),
    "evidence/without_rna": ("ablation", "evidence without RNA", ("image",), 0.7),
    "evidence/random_labels": ("control", "shuffled labels", ("image", "rna"), 0.0),
    "logistic/rna": ("logistic", "logistic regression, RNA", ("rna",), 1.8),
    "probe/site": ("probe", "site alone", (), 0.1),
}


def _metric(estimate):
    return None if estimate is None else asdict(estimate)


def _rows(name, subset, main, cohort, skill, rng):
    labels, patients, sites, folds = cohort
    count = int(labels.max()) + 1
    frames = []
    for repeat, place in enumerate(folds):
        logits = rng.normal(size=(len(labels), count)) + skill * np.eye(count)[labels]
        p = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
        size = (p >= 0.1).sum(axis=1)
        frame = pd.DataFrame(
            {
                "model": name,
                "head": "class",
                "subset": subset,
                "main": main,
                "present": subset,
                "repeat": repeat,
                "fold": place,
                "patient_id": patients,
                "site": sites,
                "y": labels,
                **{f"p{c}": p[:, c] for c in range(count)},
                "predicted": p.argmax(axis=1),
                "called": p.argmax(axis=1),
                "set_size": size.astype(float),
                "in_set": (p[np.arange(len(p)), labels] >= 0.1).astype(float),
                "risk": np.nan,
                "high_risk": np.nan,
                "time": np.nan,
                "event": np.nan,
                "brier": np.nan,
                "brier_reference": np.nan,
            }
        )
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def _survival_rows(cohort, rng):
    labels, _, _, folds = cohort
    risk = rng.normal(size=len(labels)) + labels
    dies, lost = rng.exponential(60 * np.exp(-risk)), rng.exponential(50, len(labels))
    frame = _rows("evidence", "image+rna", True, (*cohort[:3], folds[:1]), 0, rng)
    return frame.assign(
        head="survival",
        y=-1,
        p0=np.nan,
        p1=np.nan,
        predicted=-1,
        risk=risk,
        high_risk=(risk > np.median(risk)).astype(float),
        time=np.minimum(dies, lost),
        event=(dies <= lost).astype(float),
    )


def _model(name, frame, classes, skipped=None):
    kind, title, modalities, _ = MODELS[name]
    record = {
        "kind": kind,
        "title": title,
        "preset": None if kind in ("logistic", "probe") else "evidence",
        "modalities": list(modalities),
        "skipped": skipped,
        "skipped_folds": 0,
        "patients": 0,
        "seconds": 12.5,
        "metrics": {},
        "per_class": [],
        "confusion": [],
        "per_site": [],
        "folds": [],
        "curves": {"training": [], "validation": []},
        "subsets": {},
        "heads": {},
    }
    if skipped:
        return record
    rows = frame[(frame["model"] == name) & frame["main"] & (frame["head"] == "class")]
    y, patients = rows["y"].to_numpy(), rows["patient_id"].tolist()
    p = rows[[f"p{c}" for c in range(len(classes))]].to_numpy()
    found = classification_estimates(
        y,
        p,
        patients,
        folds=rows["fold"],
        averages={
            "conformal_coverage": rows["in_set"],
            "conformal_size": rows["set_size"],
        },
        repeats=50,
    )
    record |= {
        "patients": rows["patient_id"].nunique(),
        "metrics": {key: _metric(value) for key, value in found.items()},
        "per_class": class_table(y, p, classes),
        "confusion": confusion_table(y, p),
        "per_site": [
            {
                **row,
                "balanced_accuracy": _metric(row["balanced_accuracy"]),
                "accuracy": _metric(row["accuracy"]),
            }
            for row in site_table(y, p, patients, rows["site"].tolist())
        ],
    }
    for (repeat, fold), part in rows.groupby(["repeat", "fold"]):
        scores = part[[f"p{c}" for c in range(len(classes))]].to_numpy()
        record["folds"].append(
            {
                "repeat": int(repeat),
                "fold": int(fold),
                "patients": len(part),
                "roc_auc": roc_auc(part["y"], scores),
                "balanced_accuracy": balanced_accuracy(part["y"], scores),
                "best_epoch": 7,
                "epochs": 10,
                "temperature": 1.2,
            }
        )
        losses = np.exp(-np.arange(10) / 3) + 0.3
        record["curves"]["training"].append(losses.tolist())
        record["curves"]["validation"].append((losses + 0.1).tolist())
    if kind == "fusion":
        for subset, part in frame[frame["model"] == name].groupby("subset"):
            part = part[part["head"] == "class"]
            own = part[[f"p{c}" for c in range(len(classes))]].to_numpy()
            made = classification_estimates(
                part["y"], own, part["patient_id"].tolist(), repeats=50
            )
            record["subsets"][subset] = {
                "patients": part["patient_id"].nunique(),
                "roc_auc": _metric(made["roc_auc"]),
                "balanced_accuracy": _metric(made["balanced_accuracy"]),
            }
        if (frame["head"] == "survival").any():
            interval = {"value": 0.71, "low": 0.66, "high": 0.77, "level": 0.95}
            brier = {"value": 0.163, "low": 0.149, "high": 0.178, "level": 0.95}
            record["heads"] = {
                "survival": {
                    "c_index": interval,
                    "integrated_brier": brier,
                    "integrated_brier_reference": {**brier, "value": 0.171},
                    "logrank_p": 0.0004,
                }
            }
    return record


def _comparisons(frame, count):
    keys = [f"p{c}" for c in range(count)]

    def rows(name):
        own = (frame["model"] == name) & frame["main"] & (frame["head"] == "class")
        return frame[own]

    found, rivals = [], ("evidence/image_only", "evidence/rna_only", "logistic/rna")
    for metric in ("balanced_accuracy", "roc_auc"):
        made = [
            compare_models(
                rows("evidence")["y"],
                rows("evidence")[keys],
                rows(other)[keys],
                rows("evidence")["patient_id"].tolist(),
                rows("evidence")["fold"],
                repeats=rows("evidence")["repeat"],
                metric=metric,
                resamples=50,
            )
            for other in rivals
        ]
        found += [
            {"model": "evidence", "baseline": other, **comparison_record(comparison)}
            for other, comparison in zip(rivals, adjusted(made), strict=True)
        ]
    return found


def write_crossval(folder, *, patients=90, classes=2, repeats=1, seed=0):
    """Write a synthetic cross-validation with every part that a report shows."""
    rng = np.random.default_rng(seed)
    labels = np.arange(patients) % (classes + 1) % classes
    names = [f"SYN-{i:03d}" for i in range(patients)]
    sites = rng.choice(["North", "South", "East"], size=patients).tolist()
    folds = repeated_folds(labels, names, 5, repeats, seed=seed)
    cohort = (labels, names, sites, folds)
    titles = ["Luminal", "Basal/HER2", "Normal", "Other"][:classes]
    frames = [
        _rows(name, "+".join(m) or "site", True, cohort, skill, rng)
        for name, (_, _, m, skill) in MODELS.items()
        if name != "evidence/rna_only" or patients > 30
    ]
    for subset, skill in (("image", 0.8), ("rna", 1.7)):
        frames.append(_rows("evidence", subset, False, cohort, skill, rng))
    if classes == 2:
        frames.append(_survival_rows(cohort, rng))
    frame = pd.concat(frames, ignore_index=True)
    spots = rng.normal(size=(patients, 2)) + 3 * labels[:, None]
    colors = ["#4c72b0", "#c44e52", "#55a868", "#8172b3"]
    content = {
        "format": "mmsubtype-crossval",
        "version": 1,
        "complete": True,
        "request": {
            "manifest": "cohort.csv",
            "presets": {"evidence": {"fusion_training": {"epochs": 10}}},
            "overrides": ["fusion_training.epochs=10"],
            "tables": {"rna": "rna.csv.gz"},
            "command": "napari-mmsubtype crossval cohort.csv --preset evidence",
        },
        "provenance": {
            "created": "2026-01-02T03:04:05+00:00",
            "python": "3.12.1",
            "platform": "Linux x86_64",
            "packages": {"napari-mmsubtype": "0.1.0", "torch": "2.9.0"},
            "seconds": 321.0,
        },
        "classes": [
            {"name": n, "color": c} for n, c in zip(titles, colors, strict=False)
        ],
        "heads": {"class": {"kind": "classes", "names": titles}},
        "modalities": ["image", "rna"],
        "cohort": {
            "patients": patients,
            "slides": patients + 5,
            "classes": {n: int((labels == c).sum()) for c, n in enumerate(titles)},
            "modalities": {"image": patients, "rna": patients - 10},
            "sites": {},
            "patterns": {"image+rna": patients - 10, "image": 10},
        },
        "validation": {
            "scheme": "patient",
            "folds": 5,
            "seeds": list(range(seed, seed + repeats)),
            "stratify": True,
            "inner_share": 0.2,
            "bootstrap": 2000,
            "notes": [],
        },
        "splits": [
            {
                "repeat": r,
                "fold": f,
                "seed": seed + r,
                "train": int((place != f).sum() * 0.8),
                "inner": int((place != f).sum() * 0.2),
                "test": int((place == f).sum()),
                "classes": {
                    n: int(((place == f) & (labels == c)).sum())
                    for c, n in enumerate(titles)
                },
                "sites": 3,
            }
            for r, place in enumerate(folds)
            for f in range(5)
        ],
        "models": {
            name: _model(
                name,
                frame,
                titles,
                None if (frame["model"] == name).any() else "no patient has RNA",
            )
            for name in MODELS
        },
        "comparisons": _comparisons(frame, classes) if patients > 60 else [],
        "alarms": [
            {
                "name": "site",
                "raised": True,
                "value": {"value": 0.71, "low": 0.6, "high": 0.8, "level": 0.95},
                "limit": 0.6,
                "message": "The site alone tells the class: keep sites whole",
            },
            {
                "name": "duplicate_patients",
                "raised": False,
                "value": None,
                "limit": 1,
                "message": "No two patients have almost the same data",
            },
        ],
        "maps": {
            "image": {
                "patients": names,
                "x": spots[:, 0].tolist(),
                "y": spots[:, 1].tolist(),
            }
        },
    }
    if classes == 2:
        content["heads"]["survival"] = {"kind": "cox", "names": []}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(content), encoding="utf-8")
    frame.to_parquet(folder / "predictions.parquet")
    return folder


def change(folder, **values):
    """Overwrite entries of results.json; a value of None takes the entry out."""
    file = folder / "results.json"
    content = json.loads(file.read_text(encoding="utf-8"))
    for key, value in values.items():
        if value is None:
            del content[key]
        else:
            content[key] = value
    file.write_text(json.dumps(content), encoding="utf-8")
    return content
