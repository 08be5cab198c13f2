"""What a training or a cross-validation starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack, cast

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.recipe import require_positive

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

READING = ("unit", "samples_in")
"""What may overrule detection in a table."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CohortRequest:
    """What a training or a cross-validation starts from.

    Attributes
    ----------
    manifest : str or Path
        CSV with one row per slide.
    presets : tuple of str
        Names or files of presets, ``name:variant`` too.
    out : Path
        Folder that receives everything.
    overrides : tuple of str
        Settings to change in every preset.
    tables : mapping of Modality to str or Path
        Tables of the whole cohort.
    reading : mapping of Modality to mapping
        ``unit`` and ``samples_in`` where what is detected is wrong.
    embeddings : Path or None
        Where stores of slides are or go; a folder in ``out`` if None.
    mpp : float or None
        Microns per pixel of slides of which the manifest does not tell.
    device : str
        As `analyze`.
    precision : str
        Of the embeddings, as `embed`.
    batch_size : int or None
        Patches per forward pass.
    tensorboard : Path or None
        Folder that receives the curves of every training.
    ensemble_of : Path or None
        Folder of a cross-validation whose folds `train` joins; it trains a model on
        all patients if None.
    """

    manifest: str | Path
    presets: tuple[str, ...]
    out: Path
    overrides: tuple[str, ...] = ()
    tables: Mapping[Modality, str | Path] = field(default_factory=dict)
    reading: Mapping[Modality, Mapping[str, Any]] = field(default_factory=dict)
    embeddings: Path | None = None
    mpp: float | None = None
    device: str = "auto"
    precision: str = "auto"
    batch_size: int | None = None
    tensorboard: Path | None = None
    ensemble_of: Path | None = None

    def __post_init__(self) -> None:
        require_positive("batch_size", self.batch_size)


class CohortOptions(TypedDict, total=False):
    """Options that `crossval` and `train` share; all of them may be left out.

    Attributes
    ----------
    overrides : iterable of str
        Settings to change in every preset, such as ``fusion_training.epochs=10``.
    rna, methylation, clinical : str or Path or None
        Tables of the whole cohort.
    rna_unit, methylation_unit : str or None
        Units of the tables, where what is detected is wrong.
    rna_samples_in, methylation_samples_in : {"rows", "columns"} or None
        Where the samples of the tables are, if what is detected is wrong.
    embeddings : str or Path or None
        Where `embed` left the slides; a folder in ``out`` if left out.
    mpp : float or None
        Microns per pixel of the slides of which the manifest does not tell.
    device : str
        As `analyze`; ``"auto"`` if left out.
    precision : {"auto", "float32", "bfloat16"}
        Of the embeddings, as `embed`; ``"auto"`` if left out.
    batch_size : int or None
        Patches per forward pass of the encoder.
    tensorboard : str or Path or None
        Folder that receives the curves of every training, for TensorBoard.
    """

    overrides: Iterable[str]
    rna: str | Path | None
    methylation: str | Path | None
    clinical: str | Path | None
    rna_unit: str | None
    methylation_unit: str | None
    rna_samples_in: str | None
    methylation_samples_in: str | None
    embeddings: str | Path | None
    mpp: float | None
    device: str
    precision: str
    batch_size: int | None
    tensorboard: str | Path | None


def make_request(
    manifest: str | Path,
    preset: str | Path | Iterable[str | Path],
    *,
    out: str | Path,
    ensemble_of: str | Path | None = None,
    **options: Unpack[CohortOptions],
) -> CohortRequest:
    """Put what a user gave into a request.

    Parameters
    ----------
    manifest : str or Path
        CSV with one row per slide.
    preset : str, Path or iterable of these
        One or several.
    out : str or Path
        Folder that receives everything.
    ensemble_of : str or Path or None, default: None
        Folder of a cross-validation whose folds are to be joined.
    **options
        Any of `CohortOptions`.

    Returns
    -------
    CohortRequest
        Without what was left out.

    Raises
    ------
    TypeError
        If there is no such option.
    """
    unknown = sorted(set(options) - set(CohortOptions.__annotations__))
    if unknown:
        known = ", ".join(CohortOptions.__annotations__)
        msg = f"unknown option {unknown[0]!r}; options are {known}"
        raise TypeError(msg)
    given = {name: value for name, value in options.items() if value is not None}
    names = [preset] if isinstance(preset, str | Path) else list(preset)
    reading = {m: _reading(m, given) for m in OMICS}
    return CohortRequest(
        manifest=manifest,
        presets=tuple(str(name) for name in names),
        out=Path(out).expanduser().absolute(),
        overrides=tuple(options.get("overrides", ())),
        tables={m: cast("str | Path", given[m]) for m in OMICS if m in given},
        reading={m: found for m, found in reading.items() if found},
        embeddings=_folder(options.get("embeddings")),
        mpp=options.get("mpp"),
        device=options.get("device", "auto"),
        precision=options.get("precision", "auto"),
        batch_size=options.get("batch_size"),
        tensorboard=_folder(options.get("tensorboard")),
        ensemble_of=_folder(ensemble_of),
    )


def command_words(task: str, request: CohortRequest) -> list[str]:
    """Write a request as the words of the command that does the same.

    Parameters
    ----------
    task : str
        ``crossval`` or ``train``.
    request : CohortRequest
        What is asked.

    Returns
    -------
    list of str
        Not quoted; without what has its usual value.
    """
    options: list[tuple[str, object]] = [("preset", name) for name in request.presets]
    options += request.tables.items()
    for modality, reading in request.reading.items():
        options += [(f"{modality}-{name}", value) for name, value in reading.items()]
    options += [("set", override) for override in request.overrides]
    options += [
        ("embeddings", request.embeddings),
        ("ensemble-of", request.ensemble_of),
        ("tensorboard", request.tensorboard),
        ("mpp", request.mpp),
        ("device", None if request.device == "auto" else request.device),
        ("precision", None if request.precision == "auto" else request.precision),
        ("batch-size", request.batch_size),
        ("out", request.out),
    ]
    words = ["napari-mmsubtype", task, str(request.manifest)]
    for name, value in options:
        if value is not None:
            words += [f"--{name.replace('_', '-')}", str(value)]
    return words


def _reading(modality: Modality, given: Mapping[str, object]) -> dict[str, object]:
    """Gather what overrules detection in one table."""
    named = {name: f"{modality}_{name}" for name in READING}
    return {name: given[option] for name, option in named.items() if option in given}


def _folder(path: str | Path | None) -> Path | None:
    return None if path is None else Path(path).expanduser()
