"""Edit one training or cross-validation: cohort, presets, tables and folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from qtpy.QtCore import Signal
from qtpy.QtWidgets import (
    QButtonGroup,
    QDoubleSpinBox,
    QFormLayout,
    QHBoxLayout,
    QLabel,
    QLineEdit,
    QRadioButton,
    QWidget,
)

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.widgets.cohort_command import CohortTask
from napari_mmsubtype.widgets.device_field import DeviceField
from napari_mmsubtype.widgets.field_note import NotedField
from napari_mmsubtype.widgets.file_field import FileField
from napari_mmsubtype.widgets.folded_part import FoldedPart
from napari_mmsubtype.widgets.precision_field import PrecisionField
from napari_mmsubtype.widgets.preset_field import PresetField
from napari_mmsubtype.widgets.table_field import TableField
from napari_mmsubtype.workflows.cohort_request import READING, CohortRequest

_TABLES = {
    Modality.RNA: ("RNA", "Choose the table of gene expression of the cohort"),
    Modality.METHYLATION: ("Methylation", "Choose the cohort's table of methylation"),
    Modality.CLINICAL: ("Clinical", "Choose the clinical table of the cohort"),
}
_TASKS = {
    CohortTask.CROSSVAL: (
        "Cross-validate",
        "How good are the presets, beside single modalities and simple models, on "
        "patients that they were not trained on?",
    ),
    CohortTask.TRAIN: ("Train a model", "One bundle from all patients of the cohort"),
}
_READING = {
    f"{modality}_{name}": (modality, name)
    for modality in (Modality.RNA, Modality.METHYLATION)
    for name in READING
}


class CohortForm(QWidget):
    """Edits a `CohortRequest` and what to do with it; reads none of its files.

    Parameters
    ----------
    parent : QWidget, optional
        Owner.
    """

    valueChanged = Signal()  # noqa: N815 - as Qt names signals
    manifestChanged = Signal()  # noqa: N815 - as Qt names signals

    def __init__(self, parent: QWidget | None = None) -> None:
        super().__init__(parent)
        self.tasks = {task: QRadioButton(text) for task, (text, _) in _TASKS.items()}
        self.manifest = FileField(
            "Choose the manifest of the cohort",
            "Manifests (*.csv *.tsv);;All files (*)",
            placeholder="CSV: patient_id, slide, label, site, …",
            parent=self,
        )
        self.cohort = QLabel(self)
        self.cohort.setWordWrap(True)
        self.presets = PresetField(self)
        self.tables = {
            modality: TableField(
                title, folders=modality is not Modality.CLINICAL, parent=self
            )
            for modality, (_, title) in _TABLES.items()
        }
        self.out = FileField(
            "Choose a folder for the results", folder=True, parent=self
        )
        self.embeddings = FileField(
            "Choose the folder of embedded slides",
            folder=True,
            placeholder="in the results folder",
            parent=self,
        )
        self.ensemble = FileField(
            "Choose the folder of a cross-validation",
            folder=True,
            placeholder="none: train a model on all patients",
            parent=self,
        )
        self.reading = QLineEdit(self)
        self.reading.setPlaceholderText("as recognized; e.g. rna_unit=tpm")
        self.reading.setToolTip(
            "Where tables are recognized wrongly: "
            f"{', '.join(_READING)}, with semicolons between them"
        )
        self.settings = QLineEdit(self)
        self.settings.setPlaceholderText(
            "e.g. validation.group=site; validation.folds=5"
        )
        self.settings.setToolTip(
            "Settings to change in every preset, with semicolons between them; "
            "'napari-mmsubtype preset show NAME' lists them all"
        )
        self.mpp = QDoubleSpinBox(self)
        self.mpp.setRange(0.0, 20.0)
        self.mpp.setDecimals(4)
        self.mpp.setSingleStep(0.25)
        self.mpp.setSuffix(" um/px")
        self.mpp.setSpecialValueText("as the slides say")
        self.mpp.setToolTip(
            "Microns per pixel of slides that do not tell, where the manifest has no "
            "column mpp: 0.25 at 40x, 0.5 at 20x"
        )
        self.device = DeviceField(self)
        self.precision = PrecisionField(self, cohort=True)
        self.curves = FileField(
            "Choose a folder for TensorBoard",
            folder=True,
            placeholder="none: no curves of the trainings are kept",
            parent=self,
        )
        self._proposed = ""
        self._noted: dict[str, NotedField] = {}
        self._lay_out()
        self._connect()

    def value(self) -> CohortRequest:
        """Build the request.

        Returns
        -------
        CohortRequest
            What the form shows; `task` says what to do with it.

        Raises
        ------
        ConfigurationError
            If the form does not describe a request; the message says what is missing.
        """
        problems = self.problems()
        if problems:
            raise ConfigurationError(" ".join(problems.values()))
        embeddings, ensemble = self.embeddings.value(), self.ensemble.value()
        curves = self.curves.value()
        trains = self.task() is CohortTask.TRAIN
        return CohortRequest(
            manifest=str(self.manifest.value()),
            presets=self.presets.value(),
            out=Path(str(self.out.value())).absolute(),
            tables={m: path for m, f in self.tables.items() if (path := f.value())},
            reading=self._readings(),
            overrides=self._overrides(),
            embeddings=None if embeddings is None else Path(embeddings),
            mpp=self.mpp.value() or None,
            device=self.device.value(),
            precision=self.precision.value(),
            tensorboard=None if curves is None else Path(curves).absolute(),
            ensemble_of=Path(ensemble) if ensemble and trains else None,
        )

    def setValue(self, request: CohortRequest) -> None:
        """Show a request.

        Parameters
        ----------
        request : CohortRequest
            What `value` gives back afterwards.
        """
        self.manifest.setValue(str(request.manifest))
        self.presets.setValue(request.presets)
        for modality, field in self.tables.items():
            path = request.tables.get(modality)
            field.setValue(None if path is None else str(path))
        self.reading.setText(
            "; ".join(
                f"{modality}_{name}={value}"
                for modality, options in request.reading.items()
                for name, value in options.items()
            )
        )
        self.out.setValue(str(request.out))
        embeddings = request.embeddings
        self.embeddings.setValue(None if embeddings is None else str(embeddings))
        ensemble = request.ensemble_of
        self.ensemble.setValue(None if ensemble is None else str(ensemble))
        self.settings.setText("; ".join(request.overrides))
        self.mpp.setValue(request.mpp or 0.0)
        self.device.setValue(request.device)
        self.precision.setValue(request.precision)
        curves = request.tensorboard
        self.curves.setValue(None if curves is None else str(curves))

    def setTask(self, task: CohortTask) -> None:
        """Choose what is to be done.

        Parameters
        ----------
        task : CohortTask
            What `task` gives back afterwards.
        """
        self.tasks[task].setChecked(True)

    def task(self) -> CohortTask:
        """Tell what is to be done.

        Returns
        -------
        CohortTask
            Cross-validation unless the user chose otherwise.
        """
        return next(task for task, button in self.tasks.items() if button.isChecked())

    def problems(self) -> dict[str, str]:
        """Look for whatever would make the request fail, as far as can be seen here.

        Returns
        -------
        dict of str to str
            One plain sentence per field that needs attention; empty if all is well.
        """
        presets = self.presets.value()
        found = {
            "manifest": self.manifest.problem(),
            "presets": "",
            "out": self.out.problem(),
            "embeddings": self.embeddings.problem(),
            "ensemble": self._ensemble_problem(),
            "curves": self.curves.problem(),
            **{str(m): field.problem() for m, field in self.tables.items()},
        }
        if self.manifest.value() is None:
            found["manifest"] = "Choose the manifest: one row per slide."
        if not presets:
            found["presets"] = "Tick a preset."
        elif self.task() is CohortTask.TRAIN and len(presets) > 1:
            found["presets"] = f"A model has one preset; {len(presets)} are ticked."
        if self.out.value() is None:
            found["out"] = "Choose a folder for the results."
        wrong = [text for text in self._overrides() if "=" not in text]
        if wrong:
            found["settings"] = f"{wrong[0]!r} is no setting; write name=value."
        unread = [text for text in _parts(self.reading) if not _is_reading(text)]
        if unread:
            found["reading"] = (
                f"{unread[0]!r} says nothing about a table; write one of "
                f"{', '.join(f'{name}=…' for name in _READING)}."
            )
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
        if {"settings", "embeddings", "ensemble", "reading", "curves"} & set(problems):
            self.more.setOpen(True)
        return not problems

    def notes(self) -> dict[str, str]:
        """Give the notes that are shown.

        Returns
        -------
        dict of str to str
            By name of the field.
        """
        return {name: noted.note() for name, noted in self._noted.items()}

    def _ensemble_problem(self) -> str:
        folder = self.ensemble.value() if self.ensemble.isEnabled() else None
        if folder is None or (Path(folder) / "results.json").is_file():
            return ""
        return f"{Path(folder).name} has no results.json of a cross-validation."

    def _overrides(self) -> tuple[str, ...]:
        return _parts(self.settings)

    def _readings(self) -> dict[Modality, dict[str, str]]:
        """Give what overrules detection, of tables that are chosen."""
        found: dict[Modality, dict[str, str]] = {}
        for text in _parts(self.reading):
            option, _, value = text.partition("=")
            modality, name = _READING[option.strip()]
            if self.tables[modality].value():
                found.setdefault(modality, {})[name] = value.strip()
        return found

    def _lay_out(self) -> None:
        form = QFormLayout(self)
        inner = QWidget(self)
        more = QFormLayout(inner)
        for layout in (form, more):
            layout.setFieldGrowthPolicy(
                QFormLayout.FieldGrowthPolicy.ExpandingFieldsGrow
            )
            layout.setContentsMargins(0, 0, 0, 0)
            layout.setVerticalSpacing(6)
            layout.setHorizontalSpacing(8)
        form.addRow("Task", self._task_row())
        self._add(form, "manifest", "Cohort", self.manifest)
        form.addRow("", self.cohort)
        self._add(form, "presets", "Presets", self.presets)
        for modality, field in self.tables.items():
            self._add(form, str(modality), _TABLES[modality][0], field)
        self._add(form, "out", "Results folder", self.out)
        self._add(more, "settings", "Settings", self.settings)
        self._add(more, "reading", "Tables are", self.reading)
        self._add(more, "embeddings", "Embeddings", self.embeddings)
        self._add(more, "ensemble", "Join folds of", self.ensemble)
        self._add(more, "curves", "TensorBoard", self.curves)
        more.addRow("Pixel size", self.mpp)
        more.addRow("Device", self.device)
        more.addRow("Precision", self.precision)
        self.more = FoldedPart("More", inner, self)
        form.addRow(self.more)
        self.cohort.hide()

    def _task_row(self) -> QWidget:
        row = QWidget(self)
        layout = QHBoxLayout(row)
        layout.setContentsMargins(0, 0, 0, 0)
        group = QButtonGroup(row)
        for task, button in self.tasks.items():
            button.setToolTip(_TASKS[task][1])
            group.addButton(button)
            layout.addWidget(button)
        layout.addStretch(1)
        self.tasks[CohortTask.CROSSVAL].setChecked(True)
        self.ensemble.setEnabled(False)
        return row

    def _add(self, form: QFormLayout, name: str, text: str, field: QWidget) -> None:
        noted = NotedField(field, self)
        self._noted[name] = noted
        form.addRow(text, noted)

    def _connect(self) -> None:
        fields: dict[str, Any] = {
            "manifest": self.manifest,
            "presets": self.presets,
            "out": self.out,
            "embeddings": self.embeddings,
            "ensemble": self.ensemble,
            "curves": self.curves,
            **{str(m): field for m, field in self.tables.items()},
        }
        for name, field in fields.items():
            field.valueChanged.connect(lambda name=name: self._on_edit(name))
        self.settings.textChanged.connect(lambda _: self._on_edit("settings"))
        self.reading.textChanged.connect(lambda _: self._on_edit("reading"))
        self.tasks[CohortTask.TRAIN].toggled.connect(self.ensemble.setEnabled)
        for button in self.tasks.values():
            button.toggled.connect(lambda _: self._on_edit("presets"))
        self.manifest.valueChanged.connect(self._suggest)
        self.manifest.valueChanged.connect(self.manifestChanged)
        self.mpp.valueChanged.connect(lambda _: self.valueChanged.emit())
        self.device.valueChanged.connect(self.valueChanged)
        self.precision.valueChanged.connect(self.valueChanged)

    def _on_edit(self, name: str) -> None:
        """Check a field again while the user mends it; do not nag before that."""
        noted = self._noted[name]
        if noted.note():
            noted.setNote(self.problems().get(name, ""))
        self.valueChanged.emit()

    def _suggest(self) -> None:
        """Propose a folder beside the manifest, unless the user named another."""
        path, folder = Path(self.manifest.value() or ""), self.out.value()
        if path.is_file() and folder in (None, self._proposed):
            self._proposed = str(path.with_name(f"{path.stem}-crossval"))
            self.out.setValue(self._proposed)


def _parts(line: QLineEdit) -> tuple[str, ...]:
    """Divide a line at its semicolons."""
    parts = (part.strip() for part in line.text().split(";"))
    return tuple(part for part in parts if part)


def _is_reading(text: str) -> bool:
    option, _, value = text.partition("=")
    return option.strip() in _READING and bool(value.strip())
