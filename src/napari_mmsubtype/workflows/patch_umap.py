"""Make a map of what the patches of a result look like, and keep it in its store."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.option_words import name_option, pass_option
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError, MMSubtypeError, StoreError
from napari_mmsubtype.inference.umap_layout import FEWEST
from napari_mmsubtype.inference.umap_process import layout_job
from napari_mmsubtype.models.reference_patches import load_reference
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.patch_map import MapSpec, PatchMap, write_patch_map
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store import Result, open_result
from napari_mmsubtype.results.store_lock import StoreLock
from napari_mmsubtype.results.store_names import remove_half_written
from napari_mmsubtype.workflows.jobs import run_job

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

logger = logging.getLogger(__name__)

REFERENCES = ("auto", "bundle", "own")
"""Where a map is laid out from: the bundle's patches if it has any, always, never."""


def umap(
    store: str | Path,
    *,
    reference: str = "auto",
    seed: int = 0,
    neighbors: int = 15,
    min_dist: float = 0.1,
    on_progress: Callable[[Progress], object] | None = None,
) -> PatchMap:
    """Make a map of the patches of a result, and wait for it.

    Parameters
    ----------
    store : str or Path
        A complete ``*.mmsubtype.zarr`` folder.
    reference : {"auto", "bundle", "own"}, default: "auto"
        Lay the map out from training patches of the bundle where it carries some,
        from these or not at all, or from the slide's own patches.
    seed : int, default: 0
        The same seed gives the same map.
    neighbors : int, default: 15
        Patches that each is compared with: few for detail, many for the whole.
    min_dist : float, default: 0.1
        How close patches may lie, 0 to 1.
    on_progress : callable, optional
        Receives every `Progress` event; may raise `JobCancelled`.

    Returns
    -------
    PatchMap
        Also kept in the store: `Result.patch_map`.

    Raises
    ------
    MMSubtypeError
        One clear message where store, bundle or request cannot serve.
    """
    spec = MapSpec(seed=seed, neighbors=neighbors, min_dist=min_dist)
    return run_job(umap_job(store, spec, reference=reference), on_progress)


def umap_job(
    store: str | Path, spec: MapSpec | None = None, *, reference: str = "auto"
) -> Job[PatchMap]:
    """Make a map of the patches of a result.

    Parameters
    ----------
    store : str or Path
        A complete ``*.mmsubtype.zarr`` folder.
    spec : MapSpec, optional
        How; the usual way if left out.
    reference : {"auto", "bundle", "own"}, default: "auto"
        As of `umap`.

    Yields
    ------
    Progress
        At least ten times a second while UMAP runs, in a process of its own.

    Returns
    -------
    PatchMap
        Also kept in the store. One that was made in the same way is kept; a job that
        was cancelled leaves the store as it was.
    """
    spec = spec or MapSpec()
    _check(spec, reference)
    yield Progress("umap", message="opening the result")
    result = open_result(store)
    if result.prediction is None:
        msg = (
            f"{str(store)!r} is incomplete: run the same request again to resume it, "
            "then make the map"
        )
        raise StoreError(msg)
    used = result.patch_status == PatchStatus.DONE
    if used.sum() < FEWEST:
        msg = (
            f"{str(store)!r} has {int(used.sum())} patches in its call; a map needs "
            f"{FEWEST} at least"
        )
        raise StoreError(msg)
    with StoreLock.acquire(result.path):
        remove_half_written(result.path / schema.UMAP)
        known = None
        if reference != "own":
            yield Progress("umap", message="looking for patches in the bundle")
            known = _reference(result, must=reference == "bundle")
        # As many as there are, less the patch itself: so it is recorded, too.
        count = min(int(used.sum()), spec.fit_limit) if known is None else len(known[0])
        spec = replace(spec, neighbors=max(2, min(spec.neighbors, count - 1)))
        there = result.patch_map
        if (
            there is not None
            and there.spec == spec
            and len(there.reference) == (0 if known is None else len(known[0]))
        ):
            yield Progress("umap", 1, 1, "already made: nothing to do")
            return there
        points, places = yield from layout_job(
            result.path, used, spec, reference=None if known is None else known[0]
        )
        classes = np.zeros(0, np.uint8) if known is None else known[1]
        made = PatchMap(points, spec, places, classes)
        write_patch_map(result.path, made)
    return made


def _check(spec: MapSpec, reference: str) -> None:
    if reference not in REFERENCES:
        known = ", ".join(REFERENCES)
        msg = f"{name_option('reference')} must be one of {known}, found {reference!r}"
        raise ConfigurationError(msg)
    if spec.neighbors < 2:
        name = name_option("neighbors")
        msg = f"{name} must be 2 or more, found {spec.neighbors}; the usual is 15"
        raise ConfigurationError(msg)
    if not 0 <= spec.min_dist <= 1:
        name = name_option("min_dist")
        msg = f"{name} must be 0 to 1, found {spec.min_dist:g}; the usual is 0.1"
        raise ConfigurationError(msg)
    if not 0 <= spec.seed < 2**32:
        msg = f"{name_option('seed')} must be 0 to {2**32 - 1}, found {spec.seed}"
        raise ConfigurationError(msg)


def _reference(result: Result, *, must: bool) -> tuple[Any, Any] | None:
    """Read the training patches of the bundle that made a result.

    The networks are not loaded: a window stands still while PyTorch is imported.
    """
    name = result.recipe.bundle
    try:
        found = load_reference(
            name,
            str(result.bundle_facts.get("digest")),
            dim=result.embedding_size,
            classes=len(result.classes),
        )
        if found is None and must:
            msg = f"bundle {name!r} carries no training patches to lay a map out from"
            raise ConfigurationError(msg)
    except MMSubtypeError as err:
        if must:
            advice = pass_option("reference", "own")
            msg = f"{err}; {advice} to map the slide's own patches"
            raise ConfigurationError(msg) from err
        logger.info("the map is laid out from the slide's own patches: %s", err)
        return None
    return found


__all__ = ["REFERENCES", "umap", "umap_job"]
