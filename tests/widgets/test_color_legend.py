from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from napari.layers import Image
from qtpy.QtGui import QImage

from napari_mmsubtype.core.subtypes import BASAL_HER2
from napari_mmsubtype.results.colors import evidence_colors
from napari_mmsubtype.widgets.color_legend import ColorLegend


@pytest.fixture
def legend(qtbot: Any) -> ColorLegend:
    legend = ColorLegend()
    qtbot.addWidget(legend)
    return legend


def evidence(**options: Any) -> Image:
    colors = {"colors": evidence_colors(BASAL_HER2), "name": "evidence"}
    limits = {"contrast_limits": (-0.0004, 0.0004)}
    return Image(np.zeros((4, 4)), colormap=colors, **limits, **options)


def test_signed_colors_run_from_against_over_nothing_to_for(legend) -> None:
    legend.setLayer(evidence(), "Basal/HER2")
    assert legend.words() == ("-0.0004 against", "0", "for Basal/HER2 +0.0004")
    strip = legend.strip().astype(int)
    # As seen on glass: dark, white, and six tenths of the color of the class.
    ends = evidence_colors(BASAL_HER2)[[0, -1]]
    seen = 255 * (ends[:, 3:] * ends[:, :3] + 1 - ends[:, 3:])
    np.testing.assert_allclose(strip[[0, -1]], seen, atol=2)
    assert (strip[len(strip) // 2] >= 250).all()


def test_an_unsigned_map_begins_with_nothing(legend) -> None:
    layer = Image(np.zeros((4, 4)), contrast_limits=(0, 3), colormap="gray")
    legend.setLayer(layer, "")
    assert legend.words() == ("0", "3")
    assert legend.strip()[[0, -1]].tolist() == [[0] * 3, [255] * 3]


def test_a_paler_layer_has_a_paler_legend(legend) -> None:
    legend.setLayer(evidence(), "Basal/HER2")
    whole = legend.strip().astype(int)
    legend.setLayer(evidence(opacity=0.5), "Basal/HER2")
    np.testing.assert_allclose(legend.strip(), (whole + 255) / 2, atol=1)


def test_the_strip_is_painted_from_left_to_right(legend) -> None:
    legend.resize(256, legend.sizeHint().height())
    legend.setLayer(evidence(), "Basal/HER2")
    picture = legend.grab().toImage().convertToFormat(QImage.Format.Format_RGB888)
    for column in (2, 128, 253):
        color = picture.pixelColor(column, 4)
        found = np.array([color.red(), color.green(), color.blue()])
        np.testing.assert_allclose(found, legend.strip()[column], atol=6)


def test_without_a_map_there_is_no_legend(legend) -> None:
    legend.setLayer(evidence(), "Basal/HER2")
    assert not legend.isHidden()
    legend.setLayer(None, "")
    assert legend.isHidden()
    assert legend.words() == ()


def test_the_middle_is_left_out_where_it_would_touch_the_ends(legend) -> None:
    legend.setLayer(evidence(), "Basal/HER2")
    legend.resize(900, legend.sizeHint().height())
    assert legend._has_room(*legend.words())
    legend.resize(200, legend.sizeHint().height())
    assert not legend._has_room(*legend.words())
