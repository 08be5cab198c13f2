"""Synthetic patients as training material: patches, what they show, bags, omics."""

from __future__ import annotations

from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np
import torch

from napari_mmsubtype.core.cases import OMICS, Modality
from napari_mmsubtype.core.patch_grid import PatchGrid, PatchSpec, lay_grid
from napari_mmsubtype.omics.preprocessing import (
    ModalitySpec,
    apply_modality,
    fit_modality,
)
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.synthetic import MPP, PHENOTYPES, phenotype_mask
from napari_mmsubtype.slides.tissue import find_tissue
from napari_mmsubtype.training.bags import BagSet, read_patches

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    import pandas as pd
    from numpy.typing import NDArray

    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.omics.synthetic import SyntheticCohort
    from napari_mmsubtype.slides.slide import Slide

UNITS = {Modality.RNA: "log2(tpm+1)", Modality.METHYLATION: "beta"}
MIN_COVERAGE = 0.3
CLIP = 4.0
_READERS = 2

_Item = TypeVar("_Item")
_Made = TypeVar("_Made")


@dataclass(frozen=True, slots=True, eq=False)
class RenderedPatches:
    """Tissue patches of one synthetic slide.

    Attributes
    ----------
    address : str
        The slide.
    origin : ndarray of int64, shape (n, 2)
        Upper left corners, ``(y, x)`` in level-0 px.
    pixels : ndarray of uint8, shape (n, y, x, 3)
        The patches.
    """

    address: str
    origin: NDArray[np.int64]
    pixels: NDArray[np.uint8]

    def __len__(self) -> int:
        return len(self.pixels)


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of a cohort by what they serve.

    Attributes
    ----------
    train, validation, test : tuple of int
        Disjoint; each patient is one row.
    """

    train: tuple[int, ...]
    validation: tuple[int, ...]
    test: tuple[int, ...]


def split_patients(
    labels: NDArray[np.int64], *, validation: float, test: float, seed: int
) -> Split:
    """Divide patients at random, each class in the same proportions.

    Parameters
    ----------
    labels : ndarray of int64, shape (n,)
        Class of each patient.
    validation, test : float
        Parts of the cohort; the rest is for training.
    seed : int
        Of the draw.

    Returns
    -------
    Split
        Rows in ascending order; every part holds every class.

    Raises
    ------
    ValueError
        If a class has too few patients for every part.
    """
    rng = np.random.default_rng([seed, 100])
    parts: tuple[list[int], list[int], list[int]] = ([], [], [])
    for value in np.unique(labels):
        rows = rng.permutation(np.flatnonzero(labels == value))
        held = round(test * len(rows))
        inner = round(validation * len(rows))
        if min(held, inner, len(rows) - held - inner) < 1:
            msg = f"{len(rows)} patients of class {value} are too few to split"
            raise ValueError(msg)
        parts[0].extend(rows[held + inner :])
        parts[1].extend(rows[held : held + inner])
        parts[2].extend(rows[:held])
    train, inner_part, held_out = (tuple(sorted(map(int, p))) for p in parts)
    return Split(train, inner_part, held_out)


def slide_grid(slide: Slide, patch: PatchSpec) -> PatchGrid:
    """Lay patches over the tissue of a slide, as an analysis does.

    Parameters
    ----------
    slide : Slide
        Open, with a pixel size.
    patch : PatchSpec
        What a patch is.

    Returns
    -------
    PatchGrid
        Patches with enough tissue.
    """
    return lay_grid(
        patch,
        slide.levels[0].shape,
        slide.require_pixel_size(),
        [level.downsample for level in slide.levels],
        find_tissue(slide).mask,
        storage_tile=slide.storage_tile,
    )


def render_patches(
    address: str, patch: PatchSpec, *, count: int | None = None, seed: int = 0
) -> RenderedPatches:
    """Read tissue patches of a synthetic slide.

    Parameters
    ----------
    address : str
        ``synthetic:...``.
    patch : PatchSpec
        What a patch is.
    count : int or None, default: None
        Draw at most so many patches; None takes all.
    seed : int, default: 0
        Of the draw.

    Returns
    -------
    RenderedPatches
        In reading order.
    """
    with open_slide(address) as slide:
        grid = slide_grid(slide, patch)
        chosen = np.arange(len(grid))
        if count is not None and count < len(grid):
            rng = np.random.default_rng(seed)
            chosen = np.sort(rng.choice(len(grid), size=count, replace=False))
        pixels = read_patches(PatchSource(slide, grid), chosen)
    return RenderedPatches(address, grid.origin[chosen], pixels)


def cell_shares(
    patches: RenderedPatches, patch: PatchSpec, cell_px: int
) -> NDArray[np.float32]:
    """Say what each cell of each patch shows, from the ground truth.

    Parameters
    ----------
    patches : RenderedPatches
        Of a synthetic slide.
    patch : PatchSpec
        What a patch is; at the pixel size of synthetic slides.
    cell_px : int
        Side of a cell in pixels; divides the patch.

    Returns
    -------
    ndarray of float32, shape (n, k, h, w)
        Share of each phenotype, in the order of the codes of `PHENOTYPES`; sums to 1
        over k.
    """
    size, cells = patch.size_px, patch.size_px // cell_px
    if patch.mpp != MPP or size % cell_px:
        msg = (
            f"ground truth is at {MPP} um/px in cells that divide the patch, found "
            f"{patch} and cells of {cell_px} px"
        )
        raise ValueError(msg)
    codes = phenotype_mask(patches.address, 0)
    # A border patch may reach beyond the slide, where there is only glass.
    codes = np.pad(codes, (0, size), constant_values=PHENOTYPES["background"])
    shares = np.empty((len(patches), len(PHENOTYPES), cells, cells), np.float32)
    for row, (y, x) in enumerate(patches.origin):
        window = codes[y : y + size, x : x + size]
        blocks = window.reshape(cells, cell_px, cells, cell_px)
        for code in PHENOTYPES.values():
            shares[row, code] = (blocks == code).mean(axis=(1, 3))
    return shares


def map_ahead(
    function: Callable[[_Item], _Made], items: Iterable[_Item]
) -> Iterator[_Made]:
    """Apply a function in threads, a few items ahead of whoever uses the results.

    Parameters
    ----------
    function : callable
        Thread-safe.
    items : iterable
        Its arguments.

    Yields
    ------
    object
        Results in the order of the items; few are held at a time.
    """
    waiting: deque[Future[_Made]] = deque()
    with ThreadPoolExecutor(_READERS, thread_name_prefix="demo-patients") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > _READERS:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


@torch.inference_mode()
def encode_patches(
    encoder: Encoder, patches: NDArray[np.uint8], *, batch_size: int = 64
) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Compute embeddings and the feature maps behind them.

    Parameters
    ----------
    encoder : Encoder
        In evaluation mode.
    patches : ndarray of uint8, shape (n, y, x, 3)
        At least one.
    batch_size : int, default: 64
        Patches per forward pass.

    Returns
    -------
    embeddings : ndarray of float16, shape (n, d)
        As precise as a result store keeps them.
    features : ndarray of float16, shape (n, d, h, w)
        Last feature maps.
    """
    maps = [
        encoder.feature_map(encoder.normalize(part))
        for part in torch.split(torch.from_numpy(patches), batch_size)
    ]
    return (
        np.concatenate([m.mean(dim=(2, 3)).half().numpy() for m in maps]),
        np.concatenate([m.half().numpy() for m in maps]),
    )


def cohort_tables(cohort: SyntheticCohort) -> dict[Modality, pd.DataFrame]:
    """Name the tables of a cohort by modality.

    Parameters
    ----------
    cohort : SyntheticCohort
        Synthetic patients.

    Returns
    -------
    dict of Modality to DataFrame
        Patients by features, in the order used everywhere.
    """
    return {modality: getattr(cohort, modality.value) for modality in OMICS}


def fit_tables(
    cohort: SyntheticCohort, rows: Sequence[int]
) -> dict[Modality, ModalitySpec]:
    """Learn the scaling of every table from some patients only.

    Parameters
    ----------
    cohort : SyntheticCohort
        Synthetic patients.
    rows : sequence of int
        The training patients.

    Returns
    -------
    dict of Modality to ModalitySpec
        What a model needs to know about each table.
    """
    return {
        modality: fit_modality(
            frame.iloc[list(rows)],
            modality=modality,
            unit=UNITS.get(modality, "raw"),
            clip=CLIP,
            min_coverage=MIN_COVERAGE,
        )
        for modality, frame in cohort_tables(cohort).items()
    }


def make_bag_set(
    cohort: SyntheticCohort,
    bags: Mapping[int, NDArray[np.float16]],
    specs: Mapping[Modality, ModalitySpec],
    rows: Sequence[int],
) -> BagSet:
    """Put patients together as a fusion model takes them.

    Parameters
    ----------
    cohort : SyntheticCohort
        Synthetic patients.
    bags : mapping of int to ndarray of float16, shape (patches, d)
        Embeddings by row of the cohort.
    specs : mapping of Modality to ModalitySpec
        As fitted on training patients.
    rows : sequence of int
        Which patients.

    Returns
    -------
    BagSet
        One case per patient, all modalities present.
    """
    chosen = list(rows)
    patients = cohort.patients.iloc[chosen]
    tables = cohort_tables(cohort)
    omics = {
        m: apply_modality(tables[m].iloc[chosen], spec) for m, spec in specs.items()
    }
    return BagSet(
        patients=tuple(patients["patient_id"].astype(str)),
        labels=patients["label"].to_numpy(np.int64),
        bags=[bags[row] for row in chosen],
        omics=omics,
        present=np.ones((len(chosen), 1 + len(omics)), bool),
        modalities=(Modality.IMAGE, *omics),
    )
