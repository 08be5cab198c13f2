"""What the panels Omics and Analyze slide share: tables, patient and model."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.models.bundle_address import DEMO
from napari_mmsubtype.widgets.analyze_panel import AnalyzePanel
from napari_mmsubtype.widgets.omics_table import TableRequest

if TYPE_CHECKING:
    import napari

    from napari_mmsubtype.widgets.analyze_form import AnalyzeForm

ANALYZE_TITLE = "Analyze slide"


@dataclass(frozen=True, slots=True)
class SharedRequest:
    """The part of a request that both panels show.

    Attributes
    ----------
    tables : dict of Modality to TableRequest
        One per modality at most, each with its modality.
    patient : str
        Empty while none is chosen.
    bundle : str
        ``"demo"``, or the path of a folder or zip.
    """

    tables: dict[Modality, TableRequest] = field(default_factory=dict)
    patient: str = ""
    bundle: str = DEMO


def take_from(form: AnalyzeForm) -> SharedRequest:
    """Read the shared part off the form of Analyze slide.

    Parameters
    ----------
    form : AnalyzeForm
        Whatever it shows, complete or not.

    Returns
    -------
    SharedRequest
        What it has.
    """
    tables = {
        modality: TableRequest(path, modality, **entry.reading())
        for modality, entry in form.tables.items()
        if (path := entry.value()) is not None
    }
    return SharedRequest(tables, form.patient.text().strip(), form.bundle.value())


def hand_to(form: AnalyzeForm, request: SharedRequest) -> None:
    """Write the shared part into the form of Analyze slide.

    Parameters
    ----------
    form : AnalyzeForm
        Its other fields stay as they are.
    request : SharedRequest
        Modalities without a table are emptied.
    """
    for modality, entry in form.tables.items():
        table = request.tables.get(modality)
        if table is None:
            entry.setTable(None)
        else:
            entry.setTable(table.path, table.reading)
    form.patient.setText(request.patient)
    form.bundle.setValue(request.bundle)


def find_analyze(viewer: napari.Viewer) -> AnalyzePanel | None:
    """Find the panel Analyze slide in a window.

    Parameters
    ----------
    viewer : napari.Viewer
        A `ViewerModel` has no window.

    Returns
    -------
    AnalyzePanel or None
        None while it is not open.
    """
    window: Any = getattr(viewer, "window", None)
    if window is None:
        return None
    for widget in window.dock_widgets.values():
        inner = getattr(widget, "native", widget)
        if isinstance(inner, AnalyzePanel):
            return inner
    return None


def open_analyze(viewer: napari.Viewer) -> AnalyzePanel:
    """Find the panel Analyze slide, or open it in a tab beside the others.

    Parameters
    ----------
    viewer : napari.Viewer
        With a window.

    Returns
    -------
    AnalyzePanel
        The panel.
    """
    panel = find_analyze(viewer)
    if panel is None:
        panel = AnalyzePanel(viewer)
        viewer.window.add_dock_widget(
            panel, name=ANALYZE_TITLE, area="right", tabify=True
        )
    return panel
