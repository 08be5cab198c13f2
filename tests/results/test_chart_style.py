from __future__ import annotations

import base64

import matplotlib as mpl

from napari_mmsubtype.results.chart_style import (
    chart_data,
    legend_below,
    new_chart,
    shortened,
    styled,
)


def drawn(title="a < b & $c$"):
    with styled():
        figure, axes = new_chart(2, rows=2)
        axes[3].plot([0, 1], label="one")
        axes[0].set_title(title)
        legend_below(figure, axes[3])
    return figure, axes


def test_chart_is_an_image_that_repeats_and_runs_nothing():
    kind, _, data = chart_data(drawn()[0]).partition(",")
    assert kind == "data:image/svg+xml;base64"
    text = base64.b64decode(data).decode()
    assert "<svg" in text
    assert "<script" not in text
    assert chart_data(drawn()[0]) == f"{kind},{data}"


def test_panels_are_flat_and_settings_stay_inside():
    before = dict(mpl.rcParams)
    _, axes = drawn()
    assert axes.shape == (4,)
    assert dict(mpl.rcParams) == before


def test_names_are_cut_only_where_long():
    assert shortened(["short", "x" * 40], most=10) == ["short", "x" * 9 + "…"]
