"""The results of a cross-validation at a glance: models, intervals and alarms."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from qtpy.QtCore import Qt
from qtpy.QtWidgets import (
    QAbstractItemView,
    QHeaderView,
    QLabel,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
    QWidget,
)

_METRICS = {"balanced_accuracy": "balanced accuracy", "roc_auc": "ROC-AUC"}
_HIDDEN = {"probe", "control"}
"""Kinds of models that are judged among the alarms, not beside the others."""


@dataclass(frozen=True, slots=True)
class ModelRow:
    """A model of a cross-validation.

    Attributes
    ----------
    name : str
        As in ``results.json``.
    patients : int
        That it was scored on.
    values : tuple of str
        Balanced accuracy and ROC-AUC with their intervals, or a dash.
    note : str
        What it is, or why it was not trained.
    """

    name: str
    patients: int
    values: tuple[str, ...]
    note: str = ""


@dataclass(frozen=True, slots=True)
class CrossvalSummary:
    """What a panel shows of ``results.json``.

    Attributes
    ----------
    rows : tuple of ModelRow
        Presets, baselines and ablations.
    alarms : tuple of str
        Sentences of the alarms that were raised.
    quiet : int
        Alarms that were checked and not raised.
    is_complete : bool
        Whether every fold is done.
    """

    rows: tuple[ModelRow, ...]
    alarms: tuple[str, ...]
    quiet: int
    is_complete: bool


def read_summary(path: Path) -> CrossvalSummary:
    """Read what a panel shows.

    Parameters
    ----------
    path : Path
        A ``results.json``.

    Returns
    -------
    CrossvalSummary
        Models in the order of the file; controls and probes speak through the alarms.
    """
    record = json.loads(path.read_text(encoding="utf-8"))
    models = {
        name: model
        for name, model in record["models"].items()
        if model["kind"] not in _HIDDEN
    }
    alarms = record["alarms"]
    return CrossvalSummary(
        rows=tuple(_row(name, model) for name, model in models.items()),
        alarms=tuple(alarm["message"] for alarm in alarms if alarm["raised"]),
        quiet=sum(not alarm["raised"] for alarm in alarms),
        is_complete=bool(record["complete"]),
    )


class CohortSummary(QWidget):
    """Shows models in a table, and beneath it what is to be mistrusted.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.alarms = QLabel(self)
        self.alarms.setWordWrap(True)
        self.alarms.setTextFormat(Qt.TextFormat.PlainText)
        self.table = QTableWidget(0, 1 + len(_METRICS), self)
        self.table.setHorizontalHeaderLabels(["model", *_METRICS.values()])
        self.table.setEditTriggers(QAbstractItemView.EditTrigger.NoEditTriggers)
        self.table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        header, rows = self.table.horizontalHeader(), self.table.verticalHeader()
        if header is not None and rows is not None:
            header.setSectionResizeMode(QHeaderView.ResizeMode.ResizeToContents)
            rows.hide()
            rows.setDefaultSectionSize(self.fontMetrics().height() + 6)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self.alarms)
        layout.addWidget(self.table)
        self.hide()

    def setSummary(self, summary: CrossvalSummary) -> None:
        """Show a summary.

        Parameters
        ----------
        summary : CrossvalSummary
            As `read_summary` gives it.
        """
        self.alarms.setText(_alarm_text(summary))
        self.table.setRowCount(len(summary.rows))
        for place, row in enumerate(summary.rows):
            for column, text in enumerate((row.name, *row.values)):
                item = QTableWidgetItem(text)
                item.setToolTip(f"{row.patients} patients; {row.note}")
                self.table.setItem(place, column, item)
        height = self.table.rowHeight(0) if summary.rows else 24
        self.table.setMinimumHeight(height * min(len(summary.rows) + 3, 16))
        self.show()


def _row(name: str, model: dict[str, Any]) -> ModelRow:
    if model["skipped"]:
        return ModelRow(
            name, 0, ("–",) * len(_METRICS), f"not trained: {model['skipped']}"
        )
    values = tuple(_interval(model["metrics"].get(metric)) for metric in _METRICS)
    return ModelRow(name, int(model["patients"]), values, model["title"])


def _interval(metric: dict[str, float | None] | None) -> str:
    if metric is None:
        return "–"
    value = f"{metric['value']:.3f}"
    if metric["low"] is None or metric["high"] is None:
        return value
    return f"{value} [{metric['low']:.3f}, {metric['high']:.3f}]"


def _alarm_text(summary: CrossvalSummary) -> str:
    """Put alarms first; they decide what the table is worth."""
    lines = [f"⚠ {text}" for text in summary.alarms]
    if not lines:
        lines.append(f"No alarm was raised ({summary.quiet} checked).")
    if not summary.is_complete:
        lines.append("Not all folds are done: run again to go on.")
    return "\n".join(lines)
