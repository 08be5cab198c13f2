"""How much of a model a table covers: a bar, the least share, and words."""

from __future__ import annotations

from qtpy.QtCore import QRectF
from qtpy.QtGui import QColor, QPainter
from qtpy.QtWidgets import QLabel, QSizePolicy, QVBoxLayout, QWidget

from napari_mmsubtype.widgets.charts import StackedBar
from napari_mmsubtype.widgets.omics_lookup import Coverage

ENOUGH = "#56b4e9"
TOO_LITTLE = "#e69f00"
_MARK = QColor(128, 128, 128)


class ThresholdBar(StackedBar):
    """A bar with a mark at the least share that is enough.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._least = 0.0

    def setThreshold(self, least: float) -> None:
        """Set the mark.

        Parameters
        ----------
        least : float
            Share of the width, 0 to 1; 0 has no mark.
        """
        self._least = least
        self.update()

    def threshold(self) -> float:
        """Give the mark.

        Returns
        -------
        float
            Share of the width.
        """
        return self._least

    def _paint_axis(self, painter: QPainter) -> None:
        if self._least > 0:
            x = self._least * self.width()
            # A light line in a dark one is seen on the bar, beside it and in any theme.
            painter.fillRect(QRectF(x - 2, 0, 4, self.height()), _MARK)
            painter.fillRect(QRectF(x - 1, 0, 2, self.height()), QColor(255, 255, 255))


class CoverageBar(QWidget):
    """Shows a `Coverage`; hovering lists the heaviest missing features.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.bar = ThresholdBar(self)
        self._text = QLabel(self)
        self._text.setWordWrap(True)
        self._text.setSizePolicy(
            QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Minimum
        )
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(2)
        layout.addWidget(self.bar)
        layout.addWidget(self._text)

    def text(self) -> str:
        """Give the words beneath the bar.

        Returns
        -------
        str
            Counts, shares and, where the table is refused, the reason.
        """
        return str(self._text.text())

    def setCoverage(self, coverage: Coverage) -> None:
        """Show how much is covered.

        Parameters
        ----------
        coverage : Coverage
            Of one table.
        """
        report = coverage.report
        self.bar.setVisible(report is not None)
        if report is None:
            self._text.setText(f"⚠ {coverage.problem}")
            self.setToolTip("")
            return
        share = report.coverage
        if report.weight_coverage is not None:
            share = report.weight_coverage
        self.bar.setParts([(share, ENOUGH if report.used else TOO_LITTLE)])
        self.bar.setThreshold(coverage.least)
        lacking = report.expected - report.matched
        words = (
            f"{share:.0%} of the model's weight (needs {coverage.least:.0%}): "
            f"{report.matched:,} of {report.expected:,} features matched, "
            f"{lacking:,} missing."
        )
        if not report.used:
            words += f"\n⚠ Counts as missing: {report.reason}."
        self._text.setText(words)
        self.bar.setAccessibleName(words)
        self.setToolTip(_missing_text(coverage, lacking))


def _missing_text(coverage: Coverage, lacking: int) -> str:
    """List what is missing, the heaviest first."""
    if not coverage.heaviest:
        return "No feature of the model is missing."
    lines = ["Missing, the heaviest first:"]
    for name, share in coverage.heaviest:
        lines.append(f"{name}: {share:.1%} of the weight" if share else name)
    if lacking > len(coverage.heaviest):
        lines.append(f"and {lacking - len(coverage.heaviest):,} more")
    return "\n".join(lines)
