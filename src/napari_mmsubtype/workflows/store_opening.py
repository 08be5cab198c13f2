"""Find or begin the store of a request, and keep other processes out of it."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from napari_mmsubtype.core.provenance import Provenance
from napari_mmsubtype.errors import (
    StoreError,
    StoreInUseError,
    StoreOutOfReachError,
)
from napari_mmsubtype.models.attention_rollout import has_rollout
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.results.store_lock import StoreLock, clear_stale_lock
from napari_mmsubtype.results.store_names import (
    existing_stores,
    remove_drafts,
    remove_half_written,
    store_path,
)
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.slides.color import describe_profile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.plan import AnalysisPlan
    from napari_mmsubtype.models.bundle import Bundle

logger = logging.getLogger(__name__)

CREATION_S = 20.0
"""How long another process may take to lay out a store before this one gives up."""

_PAUSE_S = 0.1


@contextmanager
def claim_store(
    plan: AnalysisPlan, processor: Processor, *, exact: bool
) -> Iterator[StoreWriter]:
    """Resume the store of the same request, or begin a new one.

    Parameters
    ----------
    plan : AnalysisPlan
        What is to be done.
    processor : Processor
        Where it is to be done, for the provenance of a new store.
    exact : bool
        Whether the evidence of the model adds up.

    Yields
    ------
    StoreWriter
        No other process writes to its store meanwhile. A store that is complete is
        given as it is, whoever uses it.

    Raises
    ------
    StoreInUseError
        If another analysis is at work on the same request.
    StoreOutOfReachError
        If a store that may be of the request is not given by drive or system.
    """
    folder = Path(plan.recipe.out or ".")
    fingerprint = plan.fingerprint()
    skipped: set[Path] = set()
    deadline = time.monotonic() + CREATION_S
    while True:
        existing = existing_stores(folder, plan.slide.name)
        for path in existing:
            if path in skipped or not _is_of(path, fingerprint, skipped):
                continue
            writer = StoreWriter(path)
            if writer.is_complete:
                # Its process may have been killed before it let go of what it finished.
                clear_stale_lock(path)
                yield writer
                return
            with StoreLock.acquire(path):
                remove_half_written(path)
                # Opened again: another process may have finished it meanwhile.
                yield StoreWriter(path)
            return
        path = store_path(folder, plan.slide.name, len(existing) + 1)
        try:
            lock = StoreLock.acquire(path)
        except StoreInUseError:
            # Whether it is laid out for the same request shows once it is there.
            if time.monotonic() > deadline:
                raise
            time.sleep(_PAUSE_S)
            continue
        with lock:
            if not path.exists():
                remove_drafts(path)
                yield _begin(path, plan, fingerprint, processor, exact=exact)
                return


def _is_of(path: Path, fingerprint: str, skipped: set[Path]) -> bool:
    """Tell whether a store is of a request; one that is damaged is of none."""
    try:
        return open_result(path).plan_digest == fingerprint
    except StoreOutOfReachError:
        # It may be the one, with hours of work in it.
        raise
    except StoreError as err:
        # One damaged store must not keep a slide from being analyzed.
        logger.warning("%s; it is left as it is, and passed over", err)
        skipped.add(path)
        return False


def _begin(
    path: Path,
    plan: AnalysisPlan,
    fingerprint: str,
    processor: Processor,
    *,
    exact: bool,
) -> StoreWriter:
    """Lay out the store of a request."""
    bundle, slide = plan.bundle, plan.slide
    cells = bundle.encoder.cells
    return StoreWriter.create(
        path,
        attributes={
            "slide": {
                "path": slide.path,
                "name": slide.name,
                "content": slide.content,
                "shape": list(slide.levels[0].shape),
                "mpp": [plan.pixel_size.y, plan.pixel_size.x],
                "mpp_source": str(slide.mpp_source),
                "backend": slide.backend,
                "vendor": slide.vendor,
                "icc": slide.icc,
                "icc_profile": describe_profile(slide.icc_profile) or None,
            },
            "stain": None if plan.stain is None else plan.stain.to_dict(),
            "recipe": plan.recipe.to_dict(),
            "plan_digest": fingerprint,
            "classes": [asdict(subtype) for subtype in bundle.classes],
            "bundle": _bundle_facts(bundle),
            "exact": exact,
            "rollout": has_rollout(bundle.encoder),
            "cam_method": plan.cam_method,
            "provenance": _provenance(processor),
        },
        grid=plan.grid,
        tissue=plan.tissue.mask,
        embedding_size=bundle.encoder.dim,
        classes=len(bundle.classes),
        cells=(cells, cells),
    )


def _bundle_facts(bundle: Bundle) -> dict[str, Any]:
    return {
        "name": bundle.name,
        "version": bundle.version,
        "digest": bundle.digest,
        "synthetic": bool(bundle.info.get("synthetic", False)),
    }


def _provenance(processor: Processor) -> dict[str, Any]:
    return {
        **Provenance.collect().to_dict(),
        "device": str(processor.device),
        "precision": processor.precision,
    }


__all__ = ["claim_store"]
