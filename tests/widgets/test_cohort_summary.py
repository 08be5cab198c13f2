from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from napari_mmsubtype.widgets.cohort_summary import CohortSummary, read_summary

METRIC = {"value": 0.9512, "low": 0.93, "high": 0.97, "level": 0.95}


def model(kind: str, **changes: Any) -> dict[str, Any]:
    metrics = {"balanced_accuracy": METRIC, "roc_auc": None}
    known = {"kind": kind, "title": "a title", "skipped": None, "patients": 80}
    return {**known, "metrics": metrics, **changes}


def written(folder: Path, *, raised: bool, complete: bool = True) -> Path:
    record = {
        "complete": complete,
        "models": {
            "evidence": model("fusion"),
            "evidence/image_only": model(
                "baseline", skipped="no patient has a slide", metrics={}, patients=0
            ),
            "evidence/random_labels": model("control"),
            "probe/site": model("probe"),
        },
        "alarms": [
            {"name": "site", "raised": raised, "message": "Sites tell the label."},
            {"name": "overlap", "raised": False, "message": "No overlap."},
        ],
    }
    path = folder / "results.json"
    path.write_text(json.dumps(record))
    return path


def test_models_have_intervals_and_controls_are_left_to_the_alarms(
    tmp_path: Path,
) -> None:
    summary = read_summary(written(tmp_path, raised=True))
    first, second = summary.rows
    assert (first.name, first.patients) == ("evidence", 80)
    assert first.values == ("0.951 [0.930, 0.970]", "–")
    assert second.note == "not trained: no patient has a slide"
    assert summary.alarms == ("Sites tell the label.",)
    assert summary.quiet == 1


def test_the_table_and_the_alarms_are_shown(qtbot, tmp_path: Path) -> None:
    widget = CohortSummary()
    qtbot.addWidget(widget)
    widget.setSummary(read_summary(written(tmp_path, raised=True, complete=False)))
    assert widget.alarms.text() == (
        "⚠ Sites tell the label.\nNot all folds are done: run again to go on."
    )
    assert widget.table.rowCount() == 2
    assert widget.table.item(0, 1).text() == "0.951 [0.930, 0.970]"
    assert widget.table.item(1, 0).toolTip() == (
        "0 patients; not trained: no patient has a slide"
    )


def test_quiet_alarms_are_said_to_be_quiet(qtbot, tmp_path: Path) -> None:
    widget = CohortSummary()
    qtbot.addWidget(widget)
    widget.setSummary(read_summary(written(tmp_path, raised=False)))
    assert widget.alarms.text() == "No alarm was raised (2 checked)."
