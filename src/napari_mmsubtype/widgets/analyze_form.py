"""Edit one request: slide, model, tables, patient and device."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import QFormLayout, QLineEdit, QSpinBox, QWidget
from superqt import QCollapsible

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.widgets.bundle_field import BundleField
from napari_mmsubtype.widgets.device_field import DeviceField
from napari_mmsubtype.widgets.field_note import NotedField
from napari_mmsubtype.widgets.file_field import FileField
from napari_mmsubtype.widgets.precision_field import PrecisionField
from napari_mmsubtype.widgets.quality_field import QualityField
from napari_mmsubtype.widgets.region_field import RegionField
from napari_mmsubtype.widgets.set_coverage_field import SetCoverageField
from napari_mmsubtype.widgets.slide_field import SlideField
from napari_mmsubtype.widgets.table_field import TableField
from napari_mmsubtype.widgets.tissue_field import TissueField

_TABLE_TEXTS = {
    Modality.RNA: ("RNA", "Choose a table of gene expression"),
    Modality.METHYLATION: ("Methylation", "Choose a table of methylation"),
    Modality.CLINICAL: ("Clinical", "Choose a clinical table"),
}
_BARCODE = re.compile(r"TCGA-[A-Z0-9]{2}-[A-Z0-9]{4}", re.IGNORECASE)
_SYNTHETIC = "synthetic:"


def suggest_patient(slide: str) -> str:
    """Read a patient's identifier out of the name of a slide.

    Parameters
    ----------
    slide : str
        Name or path of a slide.

    Returns
    -------
    str
        The first three parts of a TCGA barcode, or empty.
    """
    found = _BARCODE.search(Path(slide).name)
    return found.group().upper() if found else ""


def results_folder(slide: str) -> Path:
    """Say where the result of a slide goes unless the user names another folder.

    Parameters
    ----------
    slide : str
        Path of the slide, or a ``synthetic:`` address.

    Returns
    -------
    Path
        The folder of the slide; for a synthetic one, a folder in the user's home.
    """
    if slide.startswith(_SYNTHETIC):
        return Path.home() / "napari-mmsubtype"
    return Path(slide).expanduser().absolute().parent


class AnalyzeForm(QWidget):
    """Edits an `AnalyzeRecipe`; knows neither viewer nor model.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.slide = SlideField(self)
        self.bundle = BundleField(self)
        self.tables = {
            modality: TableField(
                title, folders=modality is not Modality.CLINICAL, parent=self
            )
            for modality, (_, title) in _TABLE_TEXTS.items()
        }
        self.patient = QLineEdit(self)
        self.patient.setPlaceholderText("as in the tables, e.g. TCGA-E2-A14V")
        self.patient.setClearButtonEnabled(True)
        self.device = DeviceField(self)
        self.out = FileField("Choose a folder for the result", folder=True, parent=self)
        self.quality = QualityField(self)
        self.set_coverage = SetCoverageField(self)
        self.precision = PrecisionField(self)
        self.tissue = TissueField(self)
        self.regions = RegionField(self)
        self.stride = self._spin("as the model")
        self.stride.setSuffix(" px")
        self.stride.setToolTip("Step between patches, in pixels that the model sees")
        self.batch = self._spin("automatic")
        self.batch.setToolTip("Patches per step; smaller needs less memory")
        self._slide = ""
        self._patients: dict[str, str] = {}
        self._noted: dict[str, NotedField] = {}
        self._lay_out()
        self._connect()
        self._suggest()

    def value(self) -> AnalyzeRecipe:
        """Build the request.

        Returns
        -------
        AnalyzeRecipe
            What the form shows.

        Raises
        ------
        ConfigurationError
            If the form does not describe a request; the message says what is missing.
        """
        choice = self.slide.choice()
        if choice is None:
            raise ConfigurationError(self.slide.problem())
        tables: dict[str, Any] = {str(m): f.value() for m, f in self.tables.items()}
        for modality, field in self.tables.items():
            reading = field.reading() if field.value() else {}
            tables |= {f"{modality}_{name}": value for name, value in reading.items()}
        return AnalyzeRecipe(
            slide=choice.path,
            bundle=self.bundle.value(),
            patient=self.patient.text().strip() or None,
            mpp=self.slide.userMpp(),
            stride_px=self.stride.value() or None,
            regions=self.regions.value(),
            tissue=self.tissue.value(),
            set_coverage=self.set_coverage.value(),
            device=self.device.value(),
            precision=self.precision.value(),
            batch_size=self.batch.value() or None,
            out=self.out.value() or str(results_folder(choice.path)),
            **self.quality.value(),
            **tables,
        )

    def setValue(self, recipe: AnalyzeRecipe) -> None:
        """Show a request.

        Parameters
        ----------
        recipe : AnalyzeRecipe
            What `value` gives back afterwards.
        """
        self.slide.setValue(recipe.slide, recipe.mpp)
        self.bundle.setValue(recipe.bundle)
        self.patient.setText(recipe.patient or "")
        for modality, field in self.tables.items():
            path = recipe.tables.get(modality)
            field.setTable(
                None if path is None else str(path), recipe.reading(modality)
            )
        self.device.setValue(recipe.device)
        self.precision.setValue(recipe.precision)
        self.stride.setValue(recipe.stride_px or 0)
        self.regions.setValue(recipe.regions)
        self.quality.setValue(recipe)
        self.set_coverage.setValue(recipe.set_coverage)
        self.tissue.setMask(recipe.slide, recipe.tissue)
        self.batch.setValue(recipe.batch_size or 0)
        self.out.setValue(recipe.out)

    def problems(self) -> dict[str, str]:
        """Look for whatever would make the request fail, as far as can be seen here.

        Returns
        -------
        dict of str to str
            One plain sentence per field that needs attention; empty if all is well.
        """
        found = {
            "slide": self.slide.problem(),
            "bundle": self.bundle.problem(),
            "tissue": self.tissue.problem(),
            "regions": self.regions.problem(),
            "out": self.out.problem(),
            **{str(m): field.problem() for m, field in self.tables.items()},
        }
        given = any(field.value() for field in self.tables.values())
        if given and not self.patient.text().strip():
            found["patient"] = "Name the patient to look up in the tables."
        return {name: text for name, text in found.items() if text}

    def validate(self) -> bool:
        """Show every problem beside its field.

        Returns
        -------
        bool
            Whether the request can be run.
        """
        problems = self.problems()
        for name, noted in self._noted.items():
            noted.setNote(problems.get(name, ""))
        if "out" in problems:
            self._more.expand(animate=False)
        return not problems

    def notes(self) -> dict[str, str]:
        """Give the notes that are shown.

        Returns
        -------
        dict of str to str
            By name of the field.
        """
        return {name: noted.note() for name, noted in self._noted.items()}

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        more = QWidget(self)
        more_form = QFormLayout(more)
        for layout in (form, more_form):
            layout.setFieldGrowthPolicy(
                QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow
            )
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setVerticalSpacing(6)
            layout.setHorizontalSpacing(8)
        self._add(form, "slide", "Slide", self.slide)
        self._add(form, "tissue", "Tissue", self.tissue)
        self._add(form, "regions", "Regions", self.regions)
        self._add(form, "bundle", "Model", self.bundle)
        for modality, field in self.tables.items():
            self._add(form, str(modality), _TABLE_TEXTS[modality][0], field)
        self._add(form, "patient", "Patient", self.patient)
        self._add(form, "device", "Device", self.device)
        self._add(more_form, "out", "Results folder", self.out)
        self._add(more_form, "exclude", "Leave out", self.quality)
        self._add(more_form, "set_coverage", "Set coverage", self.set_coverage)
        self._add(more_form, "stride_px", "Stride", self.stride)
        self._add(more_form, "precision", "Precision", self.precision)
        self._add(more_form, "batch_size", "Batch size", self.batch)
        self._more = QCollapsible("More", self)
        self._more.setContentsMargins(0, 0, 0, 0)
        self._more.addWidget(more)
        form.addRow(self._more)

    def _add(self, form: QFormLayout, name: str, text: str, field: QWidget) -> None:
        noted = NotedField(field, self)
        self._noted[name] = noted
        form.addRow(text, noted)

    def _connect(self) -> None:
        self.slide.valueChanged.connect(self._suggest)
        checked: dict[str, Any] = {
            "slide": self.slide,
            "bundle": self.bundle,
            "tissue": self.tissue,
            "regions": self.regions,
            "out": self.out,
            **{str(m): field for m, field in self.tables.items()},
        }
        for name, field in checked.items():
            field.valueChanged.connect(lambda name=name: self._on_edit(name))
        self.patient.textChanged.connect(lambda: self._on_edit("patient"))
        self.device.valueChanged.connect(self.valueChanged)
        self.precision.valueChanged.connect(self.valueChanged)
        self.quality.valueChanged.connect(self.valueChanged)
        self.set_coverage.valueChanged.connect(self.valueChanged)
        self.stride.valueChanged.connect(lambda _: self.valueChanged.emit())
        self.batch.valueChanged.connect(lambda _: self.valueChanged.emit())

    def _on_edit(self, name: str) -> None:
        """Check a field again while the user mends it; do not nag before that."""
        problems = self.problems()
        for shown, noted in self._noted.items():
            typed_path = shown == name and shown not in ("slide", "patient")
            if noted.note() or typed_path:
                noted.setNote(problems.get(shown, ""))
        self.valueChanged.emit()

    def _suggest(self) -> None:
        """Propose patient and folder from the slide, unless the user gave others."""
        choice = self.slide.choice()
        path = "" if choice is None else choice.path
        self.tissue.setSlide(path or None)
        if path != self._slide:
            self._show_patient(path)
        where = "the slide's folder"
        if choice is not None:
            where = str(results_folder(choice.path))
        self.out.setPlaceholderText(where)

    def _show_patient(self, path: str) -> None:
        """Show the patient of another slide: what the user wrote for it, or its name.

        What was written before any slide was open is meant for the first one.
        """
        written = self.patient.text()
        if self._slide or written:
            self._patients[self._slide or path] = written
        self._slide = path
        self.patient.setText(self._patients.get(path, suggest_patient(path)))

    def _spin(self, special: str) -> QSpinBox:
        spin = QSpinBox(self)
        spin.setRange(0, 65536)
        spin.setSpecialValueText(special)
        return spin
