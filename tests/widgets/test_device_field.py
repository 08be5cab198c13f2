from __future__ import annotations

import subprocess
import sys

import pytest

from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.widgets.device_field import DeviceField, likely_devices


def test_automatic_comes_first_and_cpu_is_always_there() -> None:
    devices = likely_devices()
    assert devices[:2] == ["auto", "cpu"]
    for device in devices:
        AnalyzeRecipe(slide="a.svs", device=device)


@pytest.mark.parametrize("device", ["auto", "cpu", "cuda", "cuda:1", "mps"])
def test_round_trip_also_of_absent_devices(qtbot, device: str) -> None:
    field = DeviceField()
    qtbot.addWidget(field)
    field.setValue(device)
    assert field.value() == device


def test_change_is_told(qtbot) -> None:
    field = DeviceField()
    qtbot.addWidget(field)
    with qtbot.waitSignal(field.valueChanged, timeout=1000):
        field.setValue("cpu")


def test_the_panel_does_not_import_torch() -> None:
    code = (
        "import sys, napari_mmsubtype.widgets.analyze_panel\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
