"""An encoder with the patches it takes, as the analysis engine runs one."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.recipe import COHORT_PRECISIONS
from napari_mmsubtype.core.subtypes import Subtype
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_schema import Bundle
from napari_mmsubtype.models.class_heads import ClassHead
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.heads import CLASS_HEAD, Heads
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.training.preset_build import build_encoder

if TYPE_CHECKING:
    from collections.abc import Mapping

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.training.preset import Preset

DEFAULT_MPP = 0.5
"""Microns per pixel of a patch where nobody says otherwise: 20x."""

_RANDOM_SEED = 0
_PLACEHOLDER = Subtype("not told", "#808080")


def named_model(
    name: str,
    *,
    weights: str | Path | Mapping[str, str | Path] | None = None,
    patch_px: int | None = None,
    patch_mpp: float = DEFAULT_MPP,
    options: Mapping[str, Any] | None = None,
) -> Bundle:
    """Make an encoder ready to embed slides.

    Parameters
    ----------
    name : str
        As `registry.create_encoder`.
    weights : str, Path or mapping of str to these, optional
        As `registry.create_encoder`; random, always the same, if left out.
    patch_px : int, optional
        Side of a patch; the encoder's own if left out.
    patch_mpp : float, default: 0.5
        Microns per pixel of a patch.
    options : mapping, optional
        What the encoder takes besides.

    Returns
    -------
    Bundle
        Without tables and classes: only its encoder and its patches matter.

    Raises
    ------
    ConfigurationError
        If there is no such encoder, or it cannot be made so.
    """
    given: dict[str, Any] = dict(options or {})
    if patch_px is not None:
        given["input_size"] = patch_px
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_SEED)
        try:
            encoder = create_encoder(name, weights=weights, **given)
            patch = PatchSpec(encoder.input_size, patch_mpp, encoder.input_size)
        except (TypeError, ValueError) as err:
            msg = f"encoder {name!r} cannot be made: {err}"
            raise ConfigurationError(msg) from err
    return model_of(encoder, patch)


def preset_model(preset: Preset) -> Bundle:
    """Make the encoder of a preset ready to embed slides.

    Parameters
    ----------
    preset : Preset
        With its encoder and its patches.

    Returns
    -------
    Bundle
        Without tables and classes.

    Raises
    ------
    ConfigurationError
        If the encoder cannot be made or its weights cannot be had.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_SEED)
        encoder = build_encoder(preset)
    return model_of(encoder, preset.patch)


def bundle_model(source: str | Path) -> Bundle:
    """Take the encoder of a bundle.

    Parameters
    ----------
    source : str or Path
        As `bundle.load_bundle`.

    Returns
    -------
    Bundle
        With the colors that its encoder was trained with.
    """
    found = load_bundle(source)
    colors = {k: found.info[k] for k in ("icc", "stain") if k in found.info}
    return model_of(found.encoder, found.patch, colors)


def in_precision(model: Bundle, precision: str) -> Bundle:
    """Tell a model apart by the precision in which it is to embed a cohort.

    Parameters
    ----------
    model : Bundle
        As the functions here make it.
    precision : str
        ``auto``, ``float32`` or ``bfloat16``, the same for every slide.

    Returns
    -------
    Bundle
        With another digest, and so with other files of embeddings, unless it is
        ``auto``.

    Raises
    ------
    ConfigurationError
        If the precision is another one.
    """
    if precision == "auto":
        return model
    if precision not in COHORT_PRECISIONS:
        known = ", ".join(COHORT_PRECISIONS)
        msg = f"a cohort cannot be embedded in precision {precision!r}; use {known}"
        if precision == "int8":
            msg += " (int8 rounds every slide in its own way)"
        raise ConfigurationError(msg)
    text = f"{model.digest} {precision}"
    return replace(model, digest=hashlib.sha256(text.encode()).hexdigest())


def model_of(
    encoder: Encoder, patch: PatchSpec, info: Mapping[str, Any] | None = None
) -> Bundle:
    """Dress an encoder as a model, for the engine that reads and encodes slides.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode.
    patch : PatchSpec
        What it takes.
    info : mapping, optional
        Colors that it was trained with, as `bundle_schema.check_info`.

    Returns
    -------
    Bundle
        Its digest changes with every weight, option and size.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(_RANDOM_SEED)
        fusion = create_fusion("image_only", dim=encoder.dim, classes=1, omics={})
    return Bundle(
        name=encoder.name,
        version="",
        path=Path(),
        digest=encoder_digest(encoder, patch, info or {}),
        classes=(_PLACEHOLDER,),
        heads=Heads({CLASS_HEAD: ClassHead((_PLACEHOLDER.name,))}),
        encoder=encoder,
        fusion=fusion.eval(),
        patch=patch,
        modalities={},
        temperature=1.0,
        card="",
        info=dict(info or {}),
    )


def encoder_digest(encoder: Encoder, patch: PatchSpec, info: Mapping[str, Any]) -> str:
    """Fingerprint everything of an encoder that decides its embeddings.

    Parameters
    ----------
    encoder : Encoder
        With its weights.
    patch : PatchSpec
        What it is given.
    info : mapping
        Colors.

    Returns
    -------
    str
        SHA-256.
    """
    about = {
        "name": encoder.name,
        "options": encoder.options,
        "mean": list(encoder.mean),
        "std": list(encoder.std),
        "patch": [patch.size_px, patch.mpp, patch.stride_px, patch.min_tissue],
        "info": dict(info),
    }
    found = hashlib.sha256(json.dumps(about, sort_keys=True, default=str).encode())
    for key, value in sorted(encoder.state_dict().items()):
        found.update(key.encode())
        found.update(value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
