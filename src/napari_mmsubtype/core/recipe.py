"""The request behind an analysis, as written to disk and replayed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

from napari_mmsubtype.core.cam_methods import checked_cam
from napari_mmsubtype.core.cases import Case, Modality
from napari_mmsubtype.core.option_words import name_option
from napari_mmsubtype.core.patch_grid import EDGES
from napari_mmsubtype.core.quality_spec import (
    DEFAULT_EXCLUDE,
    QualitySpec,
    checked_flags,
)
from napari_mmsubtype.core.slide_address import in_full
from napari_mmsubtype.core.units import PLAUSIBLE_MPP
from napari_mmsubtype.errors import ConfigurationError

DEVICES = ("auto", "cpu", "cuda", "mps")
PRECISIONS = ("auto", "float32", "bfloat16", "int8")
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "str": ((str,), "text, within quotes where it could be a number"),
    "int": ((int,), "a whole number"),
    "float": ((int, float), "a number"),
    "bool": ((bool,), "true or false"),
}
"""What a field of a file may hold, by how it is declared, and in words."""

COHORT_PRECISIONS = ("auto", "float32", "bfloat16")
"""Those that treat all slides of a cohort alike; auto is float32 on a CPU."""


def require_positive(name: str, value: int | None) -> None:
    """Refuse a count below 1.

    Parameters
    ----------
    name : str
        Of the option, for the message.
    value : int or None
        None leaves the choice to the program.

    Raises
    ------
    ConfigurationError
        If it is below 1.
    """
    if value is not None and value < 1:
        msg = (
            f"{name_option(name)} must be at least 1, found {value!r}; leave it out to "
            "have it chosen"
        )
        raise ConfigurationError(msg)


@dataclass(frozen=True, slots=True, kw_only=True)
class AnalyzeRecipe:
    """One analysis of one patient.

    Attributes
    ----------
    slide : str
        Path of the slide, or a ``synthetic:`` address.
    bundle : str
        ``"demo"``, the name of a bundle of the library, the path of a folder or zip,
        or an address (``hf://``, ``https://``).
    patient : str or None
        Identifier to look up in the tables.
    rna, methylation, clinical : str or None
        Paths of tables.
    rna_unit, methylation_unit : str or None
        Units of the tables' values, where what is detected is wrong.
    rna_samples_in, methylation_samples_in : {"rows", "columns"} or None
        Where the tables hold their samples, where what is detected is wrong.
    mpp : float or None
        Microns per pixel of level 0, given by the user; None takes the slide's own.
    stride_px : int or None
        Step between patches; None takes the bundle's own.
    min_tissue : float or None
        Share of a patch that must be tissue; None takes the bundle's own.
    edge : str
        What becomes of patches that reach beyond the slide: ``cover`` pads them with
        white, ``inside`` leaves them out.
    regions : str or None
        Path of a GeoJSON file with what to analyse and what to leave out.
    quality : dict of str to float, or None
        Thresholds of the quality flags that differ from those of `QualitySpec`.
    exclude : tuple of str, or None
        Flags whose patches stay out of the call, of `quality_spec.FLAGS`; empty leaves
        all in, None takes `quality_spec.DEFAULT_EXCLUDE`.
    tissue : str or None
        Path of a tissue mask, ``*.tissue.zarr`` or GeoJSON; None finds the tissue.
    set_coverage : float or None
        Share of patients whose true class the prediction set shall hold; None takes
        `trust.DEFAULT_COVERAGE`.
    cam_method : str or None
        How the map of a model is drawn whose evidence does not add up: one of
        `cam_methods.CAM_METHODS`; None takes ``grad-cam``. ``attention-rollout`` is
        drawn beside it.
    device : str
        ``auto``, ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``.
    fallback_cpu : bool
        Go on with the CPU where the device stops answering.
    precision : str
        Of the encoder: ``float32``, ``bfloat16``, ``int8`` (on a CPU), or ``auto``,
        which takes bfloat16 where the device is faster with it and the model holds it.
    batch_size : int or None
        Patches per forward pass; None lets the device decide.
    out : str or None
        Folder that receives the store; None is the current folder.
    """

    slide: str
    bundle: str = "demo"
    patient: str | None = None
    rna: str | None = None
    methylation: str | None = None
    clinical: str | None = None
    rna_unit: str | None = None
    methylation_unit: str | None = None
    rna_samples_in: str | None = None
    methylation_samples_in: str | None = None
    mpp: float | None = None
    stride_px: int | None = None
    min_tissue: float | None = None
    edge: str = "cover"
    regions: str | None = None
    quality: dict[str, float] | None = None
    exclude: tuple[str, ...] | None = None
    tissue: str | None = None
    set_coverage: float | None = None
    cam_method: str | None = None
    device: str = "auto"
    fallback_cpu: bool = False
    precision: str = "auto"
    batch_size: int | None = None
    out: str | None = None

    def __post_init__(self) -> None:
        low, high = PLAUSIBLE_MPP
        if self.mpp is not None and not low <= self.mpp <= high:
            msg = (
                f"a pixel size of {self.mpp!r} um/px is not believable for a slide; "
                f"give a value between {low:g} and {high:g} (0.25 at 40x, 0.5 at 20x)"
            )
            raise ConfigurationError(msg)
        self._check_device()
        for name in ("stride_px", "batch_size"):
            require_positive(name, getattr(self, name))
        if self.min_tissue is not None and not 0 <= self.min_tissue <= 1:
            msg = (
                f"{name_option('min_tissue')} is a share of a patch, 0 to 1; found "
                f"{self.min_tissue!r} (0.5 asks for half of it)"
            )
            raise ConfigurationError(msg)
        if self.set_coverage is not None and not 0 < self.set_coverage < 1:
            msg = (
                f"{name_option('set_coverage')} is a share of patients between 0 and "
                f"1; found {self.set_coverage!r} (0.9 asks for nine in ten)"
            )
            raise ConfigurationError(msg)
        if self.edge not in EDGES:
            msg = f"unknown edge {self.edge!r}; use one of {', '.join(EDGES)}"
            raise ConfigurationError(msg)
        self._check_quality()
        if self.cam_method is not None:
            object.__setattr__(self, "cam_method", checked_cam(self.cam_method))
        if self.tables and not self.patient:
            given = ", ".join(self.tables)
            msg = (
                f"a table is given ({given}) but no patient; name the patient to "
                "look up in it, for example TCGA-E2-A14V"
            )
            raise ConfigurationError(msg)
        self._check_reading()

    def _check_device(self) -> None:
        if self.device not in DEVICES and not self.device.startswith("cuda:"):
            msg = f"unknown device {self.device!r}; use one of {', '.join(DEVICES)}"
            raise ConfigurationError(msg)
        if self.precision not in PRECISIONS:
            choices = ", ".join(PRECISIONS)
            msg = f"unknown precision {self.precision!r}; use one of {choices}"
            raise ConfigurationError(msg)

    def _check_quality(self) -> None:
        """Check thresholds and flags, and keep copies that nobody else changes."""
        # Read from a file: nothing is certain about its shape.
        quality: Any = self.quality
        if quality is not None:
            if not isinstance(quality, Mapping):
                msg = (
                    f"quality is a table of thresholds, found {quality!r}; write for "
                    "example {blur_ratio: 0.05}"
                )
                raise ConfigurationError(msg)
            QualitySpec.from_dict(quality)
            object.__setattr__(self, "quality", dict(quality) or None)
        if self.exclude is not None:
            object.__setattr__(self, "exclude", checked_flags(self.exclude))

    @property
    def quality_spec(self) -> QualitySpec:
        """Every threshold of the quality flags."""
        return QualitySpec.from_dict(self.quality or {})

    @property
    def excluded_flags(self) -> tuple[str, ...]:
        """The flags whose patches stay out of the call."""
        return DEFAULT_EXCLUDE if self.exclude is None else self.exclude

    @property
    def tables(self) -> dict[Modality, Path]:
        """The tables given, by modality."""
        named = {
            Modality.RNA: self.rna,
            Modality.METHYLATION: self.methylation,
            Modality.CLINICAL: self.clinical,
        }
        return {m: Path(value) for m, value in named.items() if value}

    def reading(self, modality: Modality) -> dict[str, Any]:
        """How a table is to be read, where the user overrules what is detected.

        Parameters
        ----------
        modality : Modality
            Of the table.

        Returns
        -------
        dict
            ``unit`` and ``samples_in``, for `read_omics`; empty for detection.
        """
        options = {
            name: getattr(self, f"{modality}_{name}", None)
            for name in ("unit", "samples_in")
        }
        return {name: value for name, value in options.items() if value is not None}

    def _check_reading(self) -> None:
        """Refuse what is said of a table that is not given, or cannot be."""
        for modality in (Modality.RNA, Modality.METHYLATION):
            options = self.reading(modality)
            if options and modality not in self.tables:
                name = name_option(f"{modality}_{next(iter(options))}")
                msg = f"{name} is given but no {modality} table; give both or neither"
                raise ConfigurationError(msg)
            axis = options.get("samples_in", "rows")
            if axis not in {"rows", "columns"}:
                name = name_option(f"{modality}_samples_in")
                msg = f"{name} is {axis!r}; expected 'rows' or 'columns'"
                raise ConfigurationError(msg)

    @property
    def case(self) -> Case:
        """The patient's files."""
        return Case(slide=self.slide, patient=self.patient, tables=self.tables)

    def located(self) -> AnalyzeRecipe:
        """Make the paths independent of the current folder.

        Returns
        -------
        AnalyzeRecipe
            With absolute paths; addresses and the bundle, which may be a name, stay.
        """
        names = ("slide", "rna", "methylation", "clinical", "regions", "tissue", "out")
        given = {name: getattr(self, name) for name in names}
        paths: dict[str, Any] = {
            name: in_full(path) for name, path in given.items() if path is not None
        }
        return replace(self, **paths)

    def to_dict(self) -> dict[str, Any]:
        """Turn the recipe into plain JSON types.

        Returns
        -------
        dict
            ``{"analyze": {...}}`` without the fields left at None.
        """
        values = {f.name: getattr(self, f.name) for f in fields(self)}
        if self.exclude is not None:
            values["exclude"] = list(self.exclude)
        if not self.fallback_cpu:
            del values["fallback_cpu"]
        return {"analyze": {k: v for k, v in values.items() if v is not None}}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> AnalyzeRecipe:
        """Read what `to_dict` wrote.

        Parameters
        ----------
        data : mapping
            With the single key ``analyze``.

        Returns
        -------
        AnalyzeRecipe
            Equal to the recipe that was written.

        Raises
        ------
        ConfigurationError
            If a key is unknown or the slide is missing.
        """
        # Read from a file: nothing is certain about its shape.
        whole: Any = data
        body = whole.get("analyze") if isinstance(whole, Mapping) else None
        if not isinstance(body, Mapping):
            msg = "a recipe holds one key, 'analyze', with the fields of the request"
            raise ConfigurationError(msg)
        known = {f.name for f in fields(cls)}
        unknown = sorted(set(body) - known)
        if unknown or "slide" not in body:
            msg = (
                f"recipe: unknown fields {unknown}; expected 'slide' and any of "
                f"{sorted(known - {'slide'})}"
            )
            raise ConfigurationError(msg)
        for field in fields(cls):
            if field.name in body:
                _check_kind(field.name, str(field.type), body[field.name])
        return cls(**body)


def _check_kind(name: str, declared: str, value: Any) -> None:
    """Refuse a value of a file that is not of the kind that its field declares."""
    kind = declared.removesuffix(" | None")
    if kind not in _KINDS or (value is None and kind != declared):
        return
    types, expected = _KINDS[kind]
    if not isinstance(value, types) or (isinstance(value, bool) and kind != "bool"):
        msg = f"{name} holds the wrong kind of value: {value!r}; write {expected}"
        raise ConfigurationError(msg)


def digest(data: Mapping[str, Any]) -> str:
    """Fingerprint plain data, independent of the order of its keys.

    Parameters
    ----------
    data : mapping
        Plain JSON types.

    Returns
    -------
    str
        SHA-256 in hexadecimal.
    """
    text = json.dumps(data, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
