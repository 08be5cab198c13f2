"""Show one result: call, calls from less data, shares, tables, patches."""

from __future__ import annotations

from dataclasses import replace
from html import escape

from qtpy.QtCore import Qt
from qtpy.QtWidgets import QGridLayout, QLabel, QWidget

from napari_mmsubtype.core.answer_words import answer_caution, answer_rows
from napari_mmsubtype.core.attributions import NamedShare, gap_words
from napari_mmsubtype.core.records import Prediction, format_probability
from napari_mmsubtype.core.result_words import (
    DEMO_CAUTION,
    INTERRUPTED,
    NAMES,
    RESEARCH_ONLY,
    RUNNING,
    elsewhere_words,
    share_rows,
    subset_rows,
)
from napari_mmsubtype.core.trust import TYPICAL, UNLIKE, GuardReport
from napari_mmsubtype.core.trust_words import (
    conformal_words,
    familiar_words,
    finding_headline,
    promise_words,
)
from napari_mmsubtype.widgets.charts import SignedBar, StackedBar
from napari_mmsubtype.widgets.result_summary import (
    ResultSummary,
    feature_rows,
    patches_text,
    report_text,
    share_name,
)

_AGAINST = "#808080"
_GAP_PX = 6
# Names of gene sets are long, and bars are what this is about.
_NAME_LENGTH = 20


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
        # One grid for all sections, so that their bars begin and end on one line.
        self._grid = QGridLayout(self)
        self._grid.setContentsMargins(0, 0, 4, 0)
        self._grid.setHorizontalSpacing(8)
        self._grid.setVerticalSpacing(4)
        self._grid.setColumnStretch(1, 1)
        self._add_header()
        if summary.prediction is not None:
            self._add_probabilities(summary.prediction)
            self._add_trust(summary.prediction)
            self._add_answers(summary.prediction)
            self._add_subsets(summary.prediction)
            self._add_shares(summary.prediction)
            self._add_features(summary.prediction)
            self._add_inputs(summary.prediction)
        self._add_gap()
        self._add_wide(_text(RESEARCH_ONLY))
        self._grid.setRowStretch(self._grid.rowCount(), 1)

    def _add_header(self) -> None:
        summary, prediction = self._summary, self._summary.prediction
        if prediction is None:
            call = RUNNING if summary.is_running else INTERRUPTED
        else:
            share = format_probability(max(prediction.call.probabilities))
            call = f"{prediction.label}  {share}"
        self._add_wide(_bold(_text(call), 1.4))
        if summary.runs_at:
            self._add_wide(_text(elsewhere_words(summary.runs_at, summary.store)))
        words = [summary.slide_name, summary.patient, f"model {summary.bundle_name}"]
        self._add_wide(_text(", ".join(word for word in words if word)))
        self._add_wide(_text(f"pixel size {summary.pixel_size}"))
        if summary.colors:
            self._add_wide(_text(f"colors: {summary.colors}"))
        if summary.is_demo:
            self._add_wide(_text(f"⚠ {DEMO_CAUTION}"))

    def _add_wide(self, widget: QWidget) -> None:
        self._grid.addWidget(widget, self._grid.rowCount(), 0, 1, 3)

    def _add_gap(self) -> None:
        self._grid.setRowMinimumHeight(self._grid.rowCount(), _GAP_PX)

    def _add_heading(self, title: str) -> None:
        self._add_gap()
        self._add_wide(_bold(_text(title)))

    def _add_bar(
        self, name: str, bar: QWidget, value: QWidget, color: str | None = None
    ) -> None:
        row = self._grid.rowCount()
        label = _label(name) if color is None else _legend(name, color)
        self._grid.addWidget(label, row, 0)
        self._grid.addWidget(bar, row, 1)
        self._grid.addWidget(value, row, 2)

    def _add_probabilities(self, prediction: Prediction) -> None:
        self._add_heading("Probability of each class")
        values = zip(self._summary.classes, prediction.call.probabilities, strict=True)
        for subtype, value in values:
            bar = StackedBar(self)
            bar.setParts([(value, subtype.color)])
            bar.setAccessibleName(f"{subtype.name} {format_probability(value)}")
            number = _number(format_probability(value))
            self._add_bar(subtype.name, bar, number, subtype.color)

    def _add_trust(self, prediction: Prediction) -> None:
        found, report = prediction.conformal, prediction.guard
        if found is None and report is None:
            return
        self._add_heading("How far to trust it")
        if found is not None:
            line = conformal_words(found, report)
            if not found.problem:
                line = f"Classes left {line}"
            words = _named(_text(line), "conformal")
            if not found.problem:
                words.setToolTip(promise_words(found))
            self._add_wide(words)
        if report is not None:
            self._add_guard(report)

    def _add_guard(self, report: GuardReport) -> None:
        """Show verdicts at a glance, and under each the reasons in plain type."""
        for found in report.findings:
            if found.verdict == TYPICAL:
                continue
            grave = found.verdict == UNLIKE
            line = ("⚠ " if grave else "") + finding_headline(found)
            words = _named(_text(line), "guard")
            self._add_wide(_bold(words) if grave else words)
            if found.reasons:
                reasons = "\n".join(f"· {reason}" for reason in found.reasons)
                self._add_wide(_named(_text(reasons), "reasons"))
        for line in filter(None, [report.problem, *familiar_words(report)]):
            self._add_wide(_named(_text(line), "guard"))

    def _add_answers(self, prediction: Prediction) -> None:
        rows = answer_rows(prediction)
        if not rows:
            return
        self._add_heading("What else the model answers")
        for entry in rows:
            words = self._add_words(entry.name, entry.text)
            words.setToolTip(entry.less and f"From less data:\n{entry.less}")
        caution = answer_caution(prediction.answers)
        if caution:
            self._add_wide(_text(caution))

    def _add_words(self, name: str, text: str) -> QLabel:
        row = self._grid.rowCount()
        self._grid.addWidget(_label(name), row, 0, Qt.AlignmentFlag.AlignTop)
        words = _text(text)
        words.setAlignment(Qt.AlignmentFlag.AlignTop)
        words.setAccessibleName(f"{name}: {text}")
        self._grid.addWidget(words, row, 1, 1, 2)
        return words

    def _add_subsets(self, prediction: Prediction) -> None:
        rows = subset_rows(prediction)
        if len(rows) < 2:
            return
        self._add_heading("The same call from less data")
        colors = [subtype.color for subtype in self._summary.classes]
        for entry in rows:
            values = list(zip(prediction.classes, entry.probabilities, strict=True))
            exact = "\n".join(f"{name}: {value:.4f}" for name, value in values)
            bar = StackedBar(self)
            bar.setParts(list(zip(entry.probabilities, colors, strict=True)))
            bar.setToolTip(exact)
            bar.setAccessibleName(f"{entry.text}: {exact}")
            called = _number(
                f"{entry.label} {format_probability(max(entry.probabilities))}"
            )
            if entry.label != prediction.label:
                _bold(called).setToolTip("The call changes.")
            self._add_bar(entry.text, bar, called)

    def _add_shares(self, prediction: Prediction) -> None:
        rows = share_rows(prediction)
        if len(rows) < 2:
            return
        self._add_heading(f"What speaks for {prediction.label} (logits)")
        index = prediction.classes.index(prediction.label)
        color = self._summary.classes[index].color
        limit = max(abs(value) for _, value in rows)
        for name, value in rows:
            bar = SignedBar(self)
            bar.setValue(value, limit, color if value >= 0 else _AGAINST)
            bar.setToolTip(
                "Exact Shapley share in the logit, the class called against the "
                "mean of the others"
            )
            bar.setAccessibleName(f"{name} {value:+.2f}")
            self._add_bar(name, bar, _number(f"{value:+.2f}"))

    def _add_features(self, prediction: Prediction) -> None:
        features, groups = feature_rows(self._summary)
        name = prediction.label
        self._add_named(f"Gene groups that speak for {name} (logits)", groups, name)
        self._add_named(f"Features that speak for {name} (logits)", features, name)
        found = self._summary.attributions
        if found is not None and not found.complete:
            self._add_wide(_text(f"⚠ {gap_words(found)}"))

    def _add_named(self, title: str, shares: list[NamedShare], label: str) -> None:
        found = self._summary.attributions
        if not shares or found is None:
            return
        self._add_heading(title)
        index = [subtype.name for subtype in self._summary.classes].index(label)
        color = self._summary.classes[index].color
        limit = max(abs(share.value) for share in shares)
        for share in shares:
            bar = SignedBar(self)
            bar.setValue(share.value, limit, color if share.value >= 0 else _AGAINST)
            bar.setToolTip(
                f"{share_name(share)}: what it adds to the logit, the class called "
                f"against the mean of the others; {gap_words(found)}"
            )
            text = f"{share.value:+.2f}"
            bar.setAccessibleName(f"{share_name(share)} {text}")
            self._add_bar(_shortened(share), bar, _number(text))

    def _add_inputs(self, prediction: Prediction) -> None:
        self._add_heading("Data used")
        rows = [("image", patches_text(prediction))]
        rows += [
            (NAMES.get(report.modality, report.modality), report_text(report))
            for report in prediction.modalities
        ]
        for name, text in rows:
            self._add_words(name, text)


def _shortened(share: NamedShare) -> str:
    """Name a feature or group in a width that leaves room for its bar."""
    name = share.name
    if len(name) > _NAME_LENGTH:
        name = f"{name[: _NAME_LENGTH - 9]}…{name[-8:]}"
    return share_name(replace(share, name=name))


def _bold(label: QLabel, size: float = 1.0) -> QLabel:
    font = label.font()
    font.setPointSizeF(font.pointSizeF() * size)
    font.setBold(True)
    label.setFont(font)
    return label


def _named(label: QLabel, name: str) -> QLabel:
    label.setObjectName(name)
    return label


def _text(text: str) -> QLabel:
    """Make a label that wraps and that can be copied from."""
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    label.setWordWrap(True)
    label.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
    return label


def _legend(text: str, color: str) -> QLabel:
    """Make a label with a swatch of the colour that the layers use for a class."""
    label = QLabel(f'<span style="color:{color}">&#9632;</span> {escape(text)}')
    label.setTextFormat(Qt.TextFormat.RichText)
    return label


def _label(text: str) -> QLabel:
    label = QLabel(text)
    label.setTextFormat(Qt.TextFormat.PlainText)
    return label


def _number(text: str) -> QLabel:
    label = _label(text)
    label.setAlignment(Qt.AlignmentFlag.AlignRight | Qt.AlignmentFlag.AlignVCenter)
    return label
