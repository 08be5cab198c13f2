"""Show one result: call, calls from less data, shares, tables, patches."""

from __future__ import annotations

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QFrame, QGridLayout, QLabel, QVBoxLayout, QWidget

from napari_mmsubtype.core.records import Prediction
from napari_mmsubtype.widgets.charts import SignedBar, StackedBar
from napari_mmsubtype.widgets.result_summary import (
    DEMO_CAUTION,
    NAMES,
    RESEARCH_ONLY,
    ResultSummary,
    patches_text,
    report_text,
    share_rows,
    subset_rows,
)

_AGAINST = "#808080"


class ResultView(QWidget):
    """Shows a `ResultSummary`; built anew for each one.

    Parameters
    ----------
    summary : ResultSummary
        What to show.
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, summary: ResultSummary, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._summary = summary
        self._layout = QVBoxLayout(self)
        self._layout.setContentsMargins(0, 0, 0, 0)
        self._layout.setSpacing(6)
        self._add_header()
        if summary.prediction is not None:
            self._add_probabilities(summary.prediction)
            self._add_subsets(summary.prediction)
            self._add_shares(summary.prediction)
            self._add_inputs(summary.prediction)
        self._layout.addWidget(_text(RESEARCH_ONLY))
        self._layout.addStretch(1)

    def _add_header(self) -> None:
        summary, prediction = self._summary, self._summary.prediction
        if prediction is None:
            call = "Interrupted: run the same request again to resume it."
        else:
            call = f"{prediction.label}  {max(prediction.call.probabilities):.1%}"
        title = _text(call)
        font = title.font()
        font.setPointSizeF(font.pointSizeF() * 1.4)
        font.setBold(True)
        title.setFont(font)
        self._layout.addWidget(title)
        words = [summary.slide_name, summary.patient, f"model {summary.bundle_name}"]
        self._layout.addWidget(_text(", ".join(word for word in words if word)))
        if summary.is_demo:
            self._layout.addWidget(_text(f"⚠ {DEMO_CAUTION}"))

    def _section(self, title: str) -> QGridLayout:
        line = QFrame(self)
        line.setFrameShape(QFrame.Shape.HLine)
        line.setFrameShadow(QFrame.Shadow.Plain)
        self._layout.addWidget(line)
        heading = _text(title)
        font = heading.font()
        font.setBold(True)
        heading.setFont(font)
        self._layout.addWidget(heading)
        grid = QGridLayout()
        grid.setHorizontalSpacing(8)
        grid.setVerticalSpacing(4)
        grid.setColumnStretch(1, 1)
        self._layout.addLayout(grid)
        return grid

    def _add_probabilities(self, prediction: Prediction) -> None:
        grid = self._section("Probability of each class")
        values = zip(self._summary.classes, prediction.call.probabilities, strict=True)
        for row, (subtype, value) in enumerate(values):
            bar = StackedBar(self)
            bar.setParts([(value, subtype.color)])
            bar.setAccessibleName(f"{subtype.name} {value:.1%}")
            grid.addWidget(_label(subtype.name), row, 0)
            grid.addWidget(bar, row, 1)
            grid.addWidget(_number(f"{value:.1%}"), row, 2)

    def _add_subsets(self, prediction: Prediction) -> None:
        rows = subset_rows(prediction)
        if len(rows) < 2:
            return
        grid = self._section("The same call from less data")
        colors = [subtype.color for subtype in self._summary.classes]
        for row, entry in enumerate(rows):
            bar = StackedBar(self)
            bar.setParts(list(zip(entry.probabilities, colors, strict=True)))
            exact = "\n".join(
                f"{name}: {value:.4f}"
                for name, value in zip(
                    prediction.classes, entry.probabilities, strict=True
                )
            )
            bar.setToolTip(exact)
            bar.setAccessibleName(f"{entry.text}: {exact}")
            called = _number(f"{entry.label} {max(entry.probabilities):.1%}")
            if entry.label != prediction.label:
                font = called.font()
                font.setBold(True)
                called.setFont(font)
                called.setToolTip("The call changes.")
            grid.addWidget(_label(entry.text), row, 0)
            grid.addWidget(bar, row, 1)
            grid.addWidget(called, row, 2)

    def _add_shares(self, prediction: Prediction) -> None:
        rows = share_rows(prediction)
        if len(rows) < 2:
            return
        grid = self._section(f"What speaks for {prediction.label} (logits)")
        index = prediction.classes.index(prediction.label)
        color = self._summary.classes[index].color
        limit = max(abs(value) for _, value in rows)
        for row, (name, value) in enumerate(rows):
            bar = SignedBar(self)
            bar.setValue(value, limit, color if value >= 0 else _AGAINST)
            bar.setToolTip(
                "Exact Shapley share in the logit, the class called against the "
                "mean of the others"
            )
            bar.setAccessibleName(f"{name} {value:+.2f}")
            grid.addWidget(_label(name), row, 0)
            grid.addWidget(bar, row, 1)
            grid.addWidget(_number(f"{value:+.2f}"), row, 2)

    def _add_inputs(self, prediction: Prediction) -> None:
        grid = self._section("Data used")
        rows = [("image", patches_text(prediction))]
        rows += [
            (NAMES.get(report.modality, report.modality), report_text(report))
            for report in prediction.modalities
        ]
        for row, (name, text) in enumerate(rows):
            name_label = _label(name)
            grid.addWidget(name_label, row, 0, Qt.AlignmentFlag.AlignTop)
            grid.addWidget(_text(text), row, 1)


def _text(text: str) -> QLabel:
    """Make a label that wraps and that can be copied from."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _label(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _number(text: str) -> QLabel:
    label = _label(text)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label
