"""How charts of a report look, and how they get into a page."""

from __future__ import annotations

import base64
import io
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

LINE_COLORS = (
    "#1b4f8f",
    "#d1662a",
    "#3a8a53",
    "#8c5aa8",
    "#8a6d3b",
    "#c94f7c",
    "#5b6770",
    "#2b9eb3",
)
"""Colors of lines that stand for models; told apart by most color-blind readers."""

GREY = "#8a929b"

_SETTINGS: Any = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": "#5c646e",
    "axes.labelcolor": "#30363d",
    "xtick.color": "#5c646e",
    "ytick.color": "#5c646e",
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    # Names of classes and sites are text, whatever signs they hold.
    "text.parse_math": False,
    # Text as outlines: the page looks the same wherever it is read.
    "svg.fonttype": "path",
    "svg.hashsalt": "napari-mmsubtype",
}


def new_chart(
    columns: int, *, rows: int = 1, panel: tuple[float, float] = (3.3, 3.1)
) -> tuple[Figure, NDArray[Any]]:
    """Begin a figure of panels side by side.

    Parameters
    ----------
    columns : int
        Panels in a row.
    rows : int, default: 1
        Rows of panels.
    panel : tuple of float, default: (3.3, 3.1)
        Width and height of one in inches.

    Returns
    -------
    tuple of Figure and ndarray
        The figure, which nothing else holds, and its axes, flat. Draw inside `styled`.
    """
    figure = Figure(figsize=(panel[0] * columns, panel[1] * rows), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False)
    return figure, axes.ravel()


def styled() -> Any:
    """Give the settings that charts are drawn under.

    Returns
    -------
    context manager
        Settings of matplotlib are as before after it.
    """
    return mpl.rc_context(_SETTINGS)


def legend_below(figure: Figure, axis: Any, columns: int = 3) -> None:
    """Name the lines of a chart under its panels.

    Parameters
    ----------
    figure : Figure
        The chart.
    axis : Axes
        Holds the lines to name.
    columns : int, default: 3
        Names side by side.
    """
    handles, labels = axis.get_legend_handles_labels()
    if handles:
        figure.legend(
            handles,
            labels,
            loc="outside lower left",
            ncols=min(columns, len(handles)),
        )


def chart_data(figure: Figure) -> str:
    """Turn a figure into the address of an image inside a page.

    Parameters
    ----------
    figure : Figure
        Drawn with `new_chart`.

    Returns
    -------
    str
        ``data:image/svg+xml;base64,...``; an image, so nothing in it is ever run.
    """
    buffer = io.BytesIO()
    with styled():
        figure.savefig(buffer, format="svg", dpi=150, metadata={"Date": None})
    return "data:image/svg+xml;base64," + base64.b64encode(buffer.getvalue()).decode()


def shortened(names: Sequence[str], most: int = 34) -> list[str]:
    """Cut long names so that a chart stays readable.

    Parameters
    ----------
    names : sequence of str
        Names.
    most : int, default: 34
        Letters to keep.

    Returns
    -------
    list of str
        In the same order.
    """
    return [n if len(n) <= most else n[: most - 1] + "…" for n in names]
