"""Choose the patches that a call is made from, and write what came of them."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.cases import Modality, subset_key
from napari_mmsubtype.core.quality_spec import FLAGS, flag_bits
from napari_mmsubtype.core.records import PatchCounts, Prediction
from napari_mmsubtype.core.trust import DEFAULT_COVERAGE
from napari_mmsubtype.errors import SlideReadError
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.schema import PatchStatus
from napari_mmsubtype.results.store import open_result
from napari_mmsubtype.slides.quality import choose_excluded, judge_quality

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.core.attributions import Attributions
    from napari_mmsubtype.inference.fuse import FusedCase
    from napari_mmsubtype.inference.plan import AnalysisPlan
    from napari_mmsubtype.results.store import Result
    from napari_mmsubtype.results.store_writer import StoreWriter

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, eq=False)
class ChosenPatches:
    """Which patches a call is made from, and why not from the others.

    Attributes
    ----------
    used : ndarray of bool, shape (n,)
        Patches that enter the call, at least one.
    counts : PatchCounts
        Every patch accounted for.
    warnings : tuple of str
        What the user should know.
    """

    used: NDArray[np.bool_]
    counts: PatchCounts
    warnings: tuple[str, ...]


def choose_patches(writer: StoreWriter, plan: AnalysisPlan) -> ChosenPatches:
    """Judge the quality of all patches and leave out those that the request excludes.

    Parameters
    ----------
    writer : StoreWriter
        Holds the status and the measures of every patch; receives their flags.
    plan : AnalysisPlan
        What was to be done.

    Returns
    -------
    ChosenPatches
        The same however often, and in whatever order, the patches were read.

    Raises
    ------
    SlideReadError
        If no patch could be decoded.
    """
    recipe = plan.recipe
    unreadable = writer.read(schema.STATUS) == PatchStatus.UNREADABLE
    if unreadable.all():
        msg = (
            f"slide {plan.slide.name!r}: none of its {len(unreadable)} tissue patches "
            "could be decoded; the file seems damaged, copy it again from its source"
        )
        raise SlideReadError(msg)
    quality = judge_quality(writer.read(schema.QUALITY), recipe.quality_spec)
    excluded, warning = choose_excluded(quality, recipe.excluded_flags)
    if warning:
        logger.warning("slide %r: %s", plan.slide.name, warning)
    bits = quality.bits
    writer.write_flags(bits, excluded)
    counts = PatchCounts(
        total=plan.grid.positions,
        tissue=len(plan.grid),
        done=int((~unreadable & ~excluded).sum()),
        unreadable=int(unreadable.sum()),
        excluded=int(excluded.sum()),
        flagged={name: int((bits & flag_bits([name]) > 0).sum()) for name in FLAGS},
    )
    notes = (warning, _where_it_ran(open_result(writer.path).processors))
    warnings = (*plan.warnings, *filter(None, notes))
    return ChosenPatches(~unreadable & ~excluded, counts, warnings)


def _where_it_ran(processors: dict[str, int]) -> str:
    """Say which patches ran where, if not all ran on one processor."""
    used = [f"{count} on {name}" for name, count in processors.items() if count]
    if len(used) < 2:
        return ""
    return f"the patches ran on different processors: {', '.join(used)}"


def _where_it_was_drawn(result: Result) -> str:
    """Say where the map was drawn, if not where the patches ran."""
    drawn = {name: count for name, count in result.map_processors.items() if count}
    ran = {name for name, count in result.processors.items() if count}
    if not drawn or (len(drawn) == 1 and set(drawn) == ran):
        return ""
    parts = ", ".join(f"{count} on {name}" for name, count in drawn.items())
    return f"the map was drawn on other processors than the patches ran on: {parts}"


def write_outcome(
    writer: StoreWriter,
    plan: AnalysisPlan,
    fused: FusedCase,
    patches: ChosenPatches,
    *,
    exact: bool,
    attributions: Attributions | None = None,
) -> None:
    """Write patch and feature evidence, the stitched map and, last, the prediction.

    Parameters
    ----------
    writer : StoreWriter
        Holds the cells of every patch.
    plan : AnalysisPlan
        What was to be done.
    fused : FusedCase
        The calls, and weights and evidence of the patches that are used.
    patches : ChosenPatches
        Which these are.
    exact : bool
        Whether the cells are evidence per unit of patch weight.
    attributions : Attributions, optional
        What the features of the tables add, where there are tables.
    """
    if attributions is not None:
        writer.write_attributions(attributions)
    grid, used = plan.grid, patches.used
    weight = np.zeros(len(grid), np.float32)
    evidence = np.zeros((len(grid), len(plan.bundle.classes)), np.float32)
    weight[used], evidence[used] = fused.weights, fused.evidence
    writer.write_fusion(weight, evidence)
    # A patch that was left out has no weight, and a gradient of zero.
    rows, scale = writer.rows(schema.CELL_EVIDENCE), weight if exact else used

    def _weighted_cells(index: NDArray[np.int64]) -> NDArray[np.float32]:
        cells: NDArray[np.float32] = rows.read(index)
        return cells * scale[index, None, None, None]

    writer.write_map(grid, _weighted_cells, used)
    # The map of an exact model is drawn with its patches.
    note = "" if exact else _where_it_was_drawn(open_result(writer.path))
    classes = tuple(subtype.name for subtype in plan.bundle.classes)
    bundle, call = plan.bundle, fused.call
    prediction = Prediction(
        classes=classes,
        call=fused.call,
        subsets=fused.subsets,
        shapley=fused.shapley,
        bias=fused.bias,
        patches=patches.counts,
        modalities=plan.reports,
        warnings=(*patches.warnings, *filter(None, [note])),
        conformal=bundle.calibration.conformal_set(
            subset_key(map(Modality, call.modalities)),
            call.probabilities,
            classes,
            plan.recipe.set_coverage or DEFAULT_COVERAGE,
        ),
        guard=bundle.guard.judge(
            writer.read(schema.EMBEDDING)[used],
            plan.omics,
            {m: spec.names for m, spec in bundle.modalities.items()},
            rows=np.flatnonzero(used),
        ),
        answers=fused.answers,
    )
    writer.finish(prediction, {})
