"""Choose where the networks run, without importing PyTorch to find out."""

from __future__ import annotations

import platform
import sys
from pathlib import Path

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QComboBox, QHBoxLayout, QSizePolicy, QWidget

_TEXTS = {
    "auto": "auto (the graphics card where there is one)",
    "cpu": "cpu",
    "cuda": "cuda (NVIDIA graphics card)",
    "mps": "mps (Apple graphics)",
}


def likely_devices() -> list[str]:
    """Guess which devices this machine has, within microseconds.

    Returns
    -------
    list of str
        ``auto`` and ``cpu``, and whatever else has a driver. Importing PyTorch to ask
        would stop the window for seconds; a wrong guess ends in a clear error at the
        start of the run.
    """
    devices = ["auto", "cpu"]
    drivers = (Path("/dev/nvidiactl"), Path("C:/Windows/System32/nvcuda.dll"))
    if any(driver.exists() for driver in drivers):
        devices.append("cuda")
    if sys.platform == "darwin" and platform.machine() == "arm64":
        devices.append("mps")
    return devices


class DeviceField(QWidget):
    """Edits the name of a device.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo = QComboBox(self)
        self._combo.setAccessibleName("Device")
        self._combo.setSizeAdjustPolicy(
            QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon
        )
        self._combo.setMinimumContentsLength(12)
        for device in likely_devices():
            self._combo.addItem(_TEXTS[device], device)
        layout = QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        layout.addWidget(self._combo)
        self._combo.currentIndexChanged.connect(lambda _: self.valueChanged.emit())
        # As wide as the form: what is chosen is read whole.
        self.setSizePolicy(QSizePolicy.Policy.Expanding, QSizePolicy.Policy.Fixed)
        self.setFocusProxy(self._combo)

    def value(self) -> str:
        """Give the device.

        Returns
        -------
        str
            ``auto``, ``cpu``, ``cuda``, ``cuda:<n>`` or ``mps``.
        """
        return str(self._combo.currentData())

    def setValue(self, value: str) -> None:
        """Set the device.

        Parameters
        ----------
        value : str
            Also one that this machine does not seem to have.
        """
        index = self._combo.findData(value)
        if index < 0:
            self._combo.addItem(_TEXTS.get(value, value), value)
            index = self._combo.count() - 1
        self._combo.setCurrentIndex(index)
