"""What a training or a cross-validation starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.cases import Modality

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping


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
    batch_size : int or None
        Patches per forward pass.
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
    batch_size: int | None = None


def make_request(
    manifest: str | Path,
    preset: str | Path | Iterable[str | Path],
    *,
    out: str | Path,
    overrides: Iterable[str],
    tables: Mapping[str, str | Path | None],
    units: Mapping[str, str | None],
    embeddings: str | Path | None,
    mpp: float | None,
    device: str,
    batch_size: int | None,
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
    overrides : iterable of str
        Settings to change.
    tables : mapping of str to str, Path or None
        Tables by modality.
    units : mapping of str to str or None
        Units by modality.
    embeddings : str, Path or None
        Where slides are embedded.
    mpp : float or None
        Microns per pixel of slides of which the manifest does not tell.
    device : str
        As `analyze`.
    batch_size : int or None
        Patches per forward pass.

    Returns
    -------
    CohortRequest
        Without what was left out.
    """
    names = [preset] if isinstance(preset, str | Path) else list(preset)
    return CohortRequest(
        manifest=manifest,
        presets=tuple(str(name) for name in names),
        out=Path(out).expanduser().absolute(),
        overrides=tuple(overrides),
        tables={Modality(m): path for m, path in tables.items() if path is not None},
        reading={Modality(m): {"unit": u} for m, u in units.items() if u is not None},
        embeddings=None if embeddings is None else Path(embeddings),
        mpp=mpp,
        device=device,
        batch_size=batch_size,
    )
