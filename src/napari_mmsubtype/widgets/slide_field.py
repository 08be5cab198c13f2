"""Choose a slide among those that are open, and say how large its pixels are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from qtpy.QtCore import Qt, Signal
from qtpy.QtWidgets import (
    QComboBox,
    QDoubleSpinBox,
    QHBoxLayout,
    QLabel,
    QMenu,
    QPushButton,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from napari_mmsubtype.core.units import PLAUSIBLE_MPP
from napari_mmsubtype.slides.identifiers import is_label

_SOURCES = {
    "vendor": "from the file",
    "resolution-tag": "from the file's resolution tag",
    "objective": "estimated from the objective",
}


@dataclass(frozen=True, slots=True)
class SlideChoice:
    """A slide that may be analysed.

    Attributes
    ----------
    name : str
        As shown.
    path : str
        Path of the slide, or a ``synthetic:`` address.
    mpp : float or None
        Microns per pixel as the slide itself says.
    mpp_source : str
        Who said so.
    user_mpp : float or None
        Microns per pixel as the user said when the slide was opened.
    associated : tuple of str
        Names of the images that the file carries along.
    """

    name: str
    path: str
    mpp: float | None = None
    mpp_source: str = "none"
    user_mpp: float | None = None
    associated: tuple[str, ...] = ()


class SlideField(QWidget):
    """Edits which slide is meant and, where the slide does not say, its pixel size.

    ``pixelSizeChanged`` gives the slide's path and the microns per pixel that the user
    says, 0 where the slide's own hold again.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals
    associatedRequested = Signal(str)  # noqa: N815 - as Qt names signals
    openRequested = Signal()  # noqa: N815 - as Qt names signals
    pixelSizeChanged = Signal(str, float)  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._choices: dict[str, SlideChoice] = {}
        self._user_mpp: dict[str, float] = {}
        self._selected = ""
        self._combo = QComboBox(self)
        self._combo.setAccessibleName("Slide")
        self._combo.setPlaceholderText("Open a slide first")
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(12)
        self.openButton = QPushButton("Open…", self)
        self.openButton.setToolTip("Open a slide without stopping the window")
        self.openButton.clicked.connect(self.openRequested)
        self._more = QToolButton(self)
        self._more.setText("⋯")
        self._more.setToolTip("Macro and thumbnail, as the file carries them along")
        self._more.setPopupMode(QToolButton.ToolButtonPopupMode.InstantPopup)
        self._more.setStyleSheet("QToolButton::menu-indicator { image: none; }")
        self._images = QMenu(self._more)
        self._more.setMenu(self._images)
        self._size_text = QLabel(self)
        self._change = QToolButton(self)
        self._change.setText("Change")
        self._change.setToolTip("Overrule the pixel size that the slide gives")
        self._change.clicked.connect(self._overrule)
        self._spin = QDoubleSpinBox(self)
        self._spin.setAccessibleName("Pixel size")
        self._spin.setDecimals(4)
        self._spin.setSingleStep(0.05)
        self._spin.setRange(0.0, PLAUSIBLE_MPP[1])
        self._spin.setSuffix(" µm/px")
        self._spin.setSpecialValueText("not known")
        self._spin.setToolTip("Microns per pixel: about 0.25 at 40x and 0.5 at 20x")
        self._spin.setKeyboardTracking(False)
        self._other = QLabel(self)
        self._other.setWordWrap(True)
        # A long name without a blank must not widen the panel.
        self._other.setSizePolicy(
            QSizePolicy.Policy.Ignored, QSizePolicy.Policy.Preferred
        )
        self._other.setTextFormat(Qt.TextFormat.PlainText)
        self._take_other = QToolButton(self)
        self._take_other.setText("Choose it")
        self._take_other.setToolTip("Go on with the slide of the selected layer")
        self._take_other.clicked.connect(lambda: self._choose(self._selected))
        top = QHBoxLayout()
        top.setSpacing(4)
        top.addWidget(self._combo, 1)
        top.addWidget(self.openButton)
        top.addWidget(self._more)
        middle = QHBoxLayout()
        middle.setSpacing(4)
        middle.addWidget(self._other, 1)
        middle.addWidget(self._take_other)
        bottom = QHBoxLayout()
        bottom.setSpacing(4)
        bottom.addWidget(self._size_text, 1)
        bottom.addWidget(self._change)
        bottom.addWidget(self._spin)
        layout = QVBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.setSpacing(4)
        layout.addLayout(top)
        layout.addLayout(middle)
        layout.addLayout(bottom)
        self._combo.currentIndexChanged.connect(self._on_slide)
        self._spin.valueChanged.connect(self._on_size)
        self._show_size()
        self._show_other()
        self._list_images(())
        self.setFocusProxy(self._combo)

    def choice(self) -> SlideChoice | None:
        """Give the slide that is chosen.

        Returns
        -------
        SlideChoice or None
            None while no slide is open.
        """
        return self._choices.get(self._combo.currentData() or "")

    def userMpp(self) -> float | None:
        """Give the pixel size that the user set for the chosen slide.

        Returns
        -------
        float or None
            Microns per pixel; None where the slide's own holds, or none is known.
        """
        choice = self.choice()
        return None if choice is None else self._user_mpp.get(choice.path)

    def setChoices(
        self, choices: Sequence[SlideChoice], opened: str | None = None
    ) -> None:
        """Offer these slides; the one that was chosen stays chosen if it can.

        Parameters
        ----------
        choices : sequence of SlideChoice
            The last one is chosen where the former choice is gone.
        opened : str, optional
            Path of the one that was opened just now: it is chosen instead.
        """
        before = self.choice()
        self._choices = {choice.path: choice for choice in choices}
        for choice in choices:
            if choice.user_mpp is not None:
                self._user_mpp[choice.path] = choice.user_mpp
        self._combo.blockSignals(True)
        self._combo.clear()
        for choice in self._choices.values():
            self._combo.addItem(choice.name, choice.path)
        wanted = opened or (before.path if before else "")
        kept = self._combo.findData(wanted)
        last = self._combo.count() - 1
        self._combo.setCurrentIndex(kept if kept >= 0 else last)
        self._combo.blockSignals(False)
        self._on_slide()

    def setValue(self, path: str, mpp: float | None) -> None:
        """Choose a slide and its pixel size.

        Parameters
        ----------
        path : str
            Offered as a further choice if no open slide has this path.
        mpp : float or None
            Microns per pixel set by the user; None leaves the slide's own.
        """
        if path not in self._choices:
            name = path if path.startswith("synthetic:") else Path(path).name
            self._choices[path] = SlideChoice(name=name, path=path)
            self._combo.addItem(name, path)
        if mpp is None:
            self._user_mpp.pop(path, None)
        else:
            self._user_mpp[path] = mpp
        self._choose(path)
        self._on_slide()

    def setSelected(self, path: str) -> None:
        """Tell which slide the selected layer shows, or lies on.

        Where another one is chosen here, the field says so and offers to choose it.

        Parameters
        ----------
        path : str
            Path of the slide; empty where the layer has to do with none.
        """
        self._selected = path
        self._show_other()

    def problem(self) -> str:
        """Say what keeps the slide from being analysed.

        Returns
        -------
        str
            One sentence, or empty.
        """
        choice = self.choice()
        if choice is None:
            return "Open a slide first, or drop one on the viewer."
        mpp = self.userMpp() or choice.mpp
        if mpp is None:
            return "Set the pixel size: about 0.25 µm/px at 40x, 0.5 at 20x."
        if not PLAUSIBLE_MPP[0] <= mpp <= PLAUSIBLE_MPP[1]:
            return f"A pixel of {mpp:g} µm is not believable for a slide."
        return ""

    def _on_slide(self) -> None:
        self._show_size()
        self._show_other()
        choice = self.choice()
        self._list_images(() if choice is None else choice.associated)
        self._combo.setToolTip("" if choice is None else choice.path)
        self.valueChanged.emit()

    def _choose(self, path: str) -> None:
        self._combo.setCurrentIndex(self._combo.findData(path))

    def _show_other(self) -> None:
        """Name the slide of the selected layer where it is not the chosen one."""
        choice, other = self.choice(), self._choices.get(self._selected)
        for widget in (self._other, self._take_other):
            widget.setVisible(other is not None and other != choice)
        if other is not None:
            self._other.setText(f"⚠ The selected layer is of {other.name}.")

    def _list_images(self, names: tuple[str, ...]) -> None:
        """Offer the images that come with the slide; the label last, and with care."""
        self._images.clear()
        for name in sorted(names, key=lambda name: (is_label(name), name)):
            text = f"Show {name}" + ("…" if is_label(name) else "")
            self._images.addAction(
                text, lambda name=name: self.associatedRequested.emit(name)
            )
        self._more.setEnabled(bool(names))

    def _show_size(self) -> None:
        choice = self.choice()
        user = self.userMpp()
        ask = choice is not None and (choice.mpp is None or user is not None)
        self._spin.setVisible(ask)
        self._change.setVisible(choice is not None and not ask)
        self._size_text.setVisible(choice is not None)
        self._spin.blockSignals(True)
        self._spin.setValue(user or 0.0)
        self._spin.blockSignals(False)
        if choice is None:
            return
        if ask:
            self._size_text.setText("Set pixel size")
        else:
            source = _SOURCES.get(choice.mpp_source, choice.mpp_source)
            self._size_text.setText(f"{choice.mpp:.4g} µm/px, {source}")

    def _overrule(self) -> None:
        choice = self.choice()
        if choice is not None and choice.mpp is not None:
            self._user_mpp[choice.path] = round(choice.mpp, 4)
            self._show_size()
            self.valueChanged.emit()

    def _on_size(self, value: float) -> None:
        choice = self.choice()
        if choice is None:
            return
        if value > 0:
            self._user_mpp[choice.path] = value
        else:
            self._user_mpp.pop(choice.path, None)
            self._show_size()
        self.pixelSizeChanged.emit(choice.path, self.userMpp() or 0.0)
        self.valueChanged.emit()
