"""Slides of a synthetic cohort as embeddings, with what held-out ones need besides."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.training.bags import embed_patches
from napari_mmsubtype.workflows.demo_patients import (
    cell_shares,
    encode_patches,
    map_ahead,
    render_patches,
)

if TYPE_CHECKING:
    from collections.abc import Collection

    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchSpec
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.omics.synthetic import SyntheticCohort

OTHER_STAIN = (1.25, 0.8, 1.1)
"""Factors of the optical densities of red, green and blue in `other_stain`."""


@dataclass(slots=True)
class CohortImages:
    """What slides became, by row of the cohort.

    Attributes
    ----------
    bags : dict of int to ndarray of float16, shape (n, d)
        Embeddings of every patient.
    features : dict of int to ndarray of float16, shape (n, d, h, w)
        Feature maps of held-out patients.
    shares : dict of int to ndarray of float32, shape (n, k, h, w)
        What the cells of held-out patients show, from the ground truth.
    stained : dict of int to ndarray of float16, shape (n, d)
        Embeddings of held-out patients as if another laboratory had stained them.
    """

    bags: dict[int, NDArray[np.float16]] = field(default_factory=dict)
    features: dict[int, NDArray[np.float16]] = field(default_factory=dict)
    shares: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    stained: dict[int, NDArray[np.float16]] = field(default_factory=dict)


def encode_cohort(
    cohort: SyntheticCohort,
    encoder: Encoder,
    patch: PatchSpec,
    *,
    held_out: Collection[int] = (),
    message: str = "encoding slides",
) -> Job[CohortImages]:
    """Run the encoder over the slides of all patients.

    Parameters
    ----------
    cohort : SyntheticCohort
        Synthetic patients.
    encoder : Encoder
        In evaluation mode.
    patch : PatchSpec
        What a patch is.
    held_out : collection of int, default: ()
        Rows that are scored later.
    message : str, default: "encoding slides"
        For the progress.

    Yields
    ------
    Progress
        Stage ``slides``.

    Returns
    -------
    CohortImages
        Embeddings of all, and more of those held out.
    """
    images = CohortImages()
    addresses = cohort.patients["slide"]
    render = partial(render_patches, patch=patch)
    for row, slide in enumerate(map_ahead(render, addresses)):
        if row in held_out:
            bag, features = encode_patches(encoder, slide.pixels)
            images.features[row] = features
            images.shares[row] = cell_shares(slide, patch, encoder.cell_px)
            images.stained[row] = embed_patches(encoder, other_stain(slide.pixels))
        else:
            bag = embed_patches(encoder, slide.pixels)
        images.bags[row] = bag
        yield Progress("slides", row + 1, len(addresses), message)
    return images


def other_stain(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Color patches as another laboratory might.

    Parameters
    ----------
    pixels : ndarray of uint8, shape (..., 3)
        RGB.

    Returns
    -------
    ndarray of uint8, shape (..., 3)
        With optical densities changed by `OTHER_STAIN`.
    """
    density = -np.log((pixels.astype(np.float32) + 1) / 256)
    changed = 256 * np.exp(-density * np.asarray(OTHER_STAIN, np.float32)) - 1
    found: NDArray[np.uint8] = np.clip(changed.round(), 0, 255).astype(np.uint8)
    return found
