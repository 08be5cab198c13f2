"""What a bundle is once loaded, and the names of its parts on disk."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.errors import BundleError, ConfigurationError
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.guard import Guard
from napari_mmsubtype.models.portability import require_portable
from napari_mmsubtype.omics.spec_files import table_names
from napari_mmsubtype.slides.stain import METHODS

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.core.cases import Modality
    from napari_mmsubtype.core.patch_grid import PatchSpec
    from napari_mmsubtype.core.subtypes import Subtype
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.models.heads import Heads
    from napari_mmsubtype.omics.modality_spec import ModalitySpec

SCHEMA_VERSION = 2
"""Written by this version; older ones, from 1, are read too."""

NEEDS_VERSION = "0.1.0"
"""The first version of this package that reads that schema."""

MANIFEST = "bundle.json"
WEIGHTS = "weights.safetensors"
SELFTEST = "selftest.safetensors"
CALIBRATION = "calibration.json"
REFERENCE = "reference.npz"
CARD = "MODEL_CARD.md"
FEATURES = "features"

REQUIRED_FILES = (WEIGHTS, SELFTEST, CALIBRATION, CARD)
"""Files that every bundle has besides the manifest."""


def modality_files(modality: str, facts: Mapping[str, Any]) -> tuple[str, ...]:
    """Name every file of a modality.

    Parameters
    ----------
    modality : str
        ``rna``, ``methylation`` or ``clinical``.
    facts : mapping
        Its entry in the manifest.

    Returns
    -------
    tuple of str
        Paths inside the bundle, with forward slashes.
    """
    return tuple(f"{FEATURES}/{name}" for name in table_names(modality, facts))


@dataclass(frozen=True, slots=True, eq=False)
class Bundle:
    """A packaged model, verified and ready to run.

    Attributes
    ----------
    name, version : str
        As given by who trained it.
    path : Path
        The folder or zip it was loaded from.
    digest : str
        SHA-256 of the manifest, which holds those of all other files.
    classes : tuple of Subtype
        In the order of the logits of the first head.
    heads : Heads
        The questions that the model answers, in the order of their logits.
    encoder : Encoder
        In evaluation mode, on the CPU.
    fusion : FusionModel
        In evaluation mode, on the CPU.
    patch : PatchSpec
        What a patch must be.
    modalities : dict of Modality to ModalitySpec
        Tables that the model takes, with their features and training statistics.
    temperature : float
        Logits of the first head are divided by it before the softmax.
    card : str
        The model card in Markdown.
    info : dict
        Facts about training, as given; ``icc`` and ``stain`` say which colors the model
        was trained with, see `check_info`.
    reference : dict of str to ndarray
        Statistics of the training data, for example ``embedding_mean`` and
        ``embedding_std`` of shape (dim,); may be empty.
    calibration : Calibration
        The temperature, those of subsets of the modalities, and prediction sets.
    guard : Guard
        What the training patients look like; may judge nothing.
    """

    name: str
    version: str
    path: Path
    digest: str
    classes: tuple[Subtype, ...]
    heads: Heads
    encoder: Encoder
    fusion: FusionModel
    patch: PatchSpec
    modalities: Mapping[Modality, ModalitySpec]
    temperature: float
    card: str
    info: Mapping[str, Any]
    reference: Mapping[str, NDArray[np.generic]] = field(default_factory=dict)
    calibration: Calibration = field(default_factory=Calibration)
    guard: Guard = field(default_factory=Guard)


def check_parts(
    classes: Sequence[Subtype],
    heads: Heads,
    encoder: Encoder,
    fusion: FusionModel,
    patch: PatchSpec,
    modalities: Mapping[Modality, ModalitySpec],
    temperature: float,
) -> None:
    """Check that the parts of a bundle belong together.

    Parameters
    ----------
    classes : sequence of Subtype
        In the order of the logits of the first head.
    heads : Heads
        The questions that the model answers.
    encoder : Encoder
        The image branch.
    fusion : FusionModel
        The joint model.
    patch : PatchSpec
        What a patch must be.
    modalities : mapping of Modality to ModalitySpec
        Tables that the model takes.
    temperature : float
        Of the calibration.

    Raises
    ------
    BundleError
        Naming every part that does not fit.
    """
    lengths = {str(m): len(spec.features) for m, spec in modalities.items()}
    taken = {str(m): length for m, length in fusion.omics.items()}
    problems = _misfits(classes, heads, fusion)
    try:
        require_portable(encoder.name)
    except ConfigurationError as err:
        problems.append(str(err))
    if encoder.dim != fusion.dim:
        problems.append(
            f"the encoder gives {encoder.dim} features but fusion takes {fusion.dim}"
        )
    if patch.size_px != encoder.input_size:
        problems.append(
            f"patches are {patch.size_px} px but the encoder takes {encoder.input_size}"
        )
    if lengths != taken:
        problems.append(f"tables have {lengths} features but fusion takes {taken}")
    given = fusion.options.get("groups")
    for modality, spec in modalities.items():
        if spec.groups is None:
            continue
        own = given.get(str(modality)) if isinstance(given, Mapping) else given
        if own != spec.groups.to_option():
            problems.append(
                f"the groups of {modality} features are not those of the fusion model"
            )
    if not (math.isfinite(temperature) and temperature > 0):
        problems.append(f"the temperature is {temperature} but must be positive")
    if problems:
        msg = f"the parts of the bundle do not fit: {'; '.join(problems)}"
        raise BundleError(msg)


def _misfits(
    classes: Sequence[Subtype], heads: Heads, fusion: FusionModel
) -> list[str]:
    """Say what of classes, heads and logits does not belong together."""
    problems = []
    names = tuple(subtype.name for subtype in classes)
    if names != heads.classes.labels:
        problems.append(
            f"classes are {list(names)} but the first head tells "
            f"{list(heads.classes.labels)} apart"
        )
    if heads.size != fusion.classes:
        sizes = {name: head.size for name, head in heads.heads.items()}
        problems.append(f"heads take {sizes} logits but fusion gives {fusion.classes}")
    return problems


def check_info(info: Mapping[str, Any]) -> None:
    """Check the facts that an analysis goes by.

    Parameters
    ----------
    info : mapping
        Facts about training. ``icc``: whether colors were brought to sRGB by the
        profile of the slide, false where it is left out. ``stain``: the method by which
        stains were normalized, none where it is left out or null.

    Raises
    ------
    BundleError
        Naming every value that is not understood.
    """
    problems = []
    icc, stain = info.get("icc", False), info.get("stain")
    if not isinstance(icc, bool):
        problems.append(f"info.icc is {icc!r}, expected true or false")
    if stain is not None and stain not in METHODS:
        known = ", ".join(f'"{name}"' for name in METHODS)
        problems.append(f"info.stain is {stain!r}, expected {known} or null")
    if problems:
        msg = (
            f"the colors of the bundle are not understood: {'; '.join(problems)}; "
            f"correct the model's facts and write {MANIFEST} again with save_bundle"
        )
        raise BundleError(msg)
