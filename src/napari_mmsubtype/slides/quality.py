"""Which patches show ink, blur, folds or bubbles rather than tissue to judge."""

from __future__ import annotations

import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.quality_spec import FLAGS, QualitySpec, flag_bits
from napari_mmsubtype.errors import DamagedTileError
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.quality_measures import INKS, MEASURES, PatchMeter

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.slides.slide import Slide

    Floats = NDArray[np.float32]

logger = logging.getLogger(__name__)

DENSE_PERCENTILE = 75
"""Folds are held to the slide's thick tissue: no slide is of one kind throughout."""

MOST_EXCLUDED = 0.5
"""Share of a slide's patches beyond which leaving out would erase the slide itself."""

BATCH = 256


@dataclass(frozen=True, slots=True, eq=False)
class PatchQuality:
    """Flags of every patch and what they rest on.

    Attributes
    ----------
    spec : QualitySpec
        The thresholds.
    pen, blurred, folded, bubble : ndarray of bool, shape (n,)
        The flags, in the order of the grid.
    unreadable : ndarray of bool, shape (n,)
        Patches that could not be decoded; none of the other flags is set there.
    measures : ndarray of float32, shape (n, measures)
        What the flags rest on, in the order of `quality_measures.MEASURES`; NaN where
        a patch could not be decoded.
    """

    spec: QualitySpec
    pen: NDArray[np.bool_]
    blurred: NDArray[np.bool_]
    folded: NDArray[np.bool_]
    bubble: NDArray[np.bool_]
    unreadable: NDArray[np.bool_]
    measures: Floats

    @property
    def ink(self) -> Floats:
        """Share of each patch under ink, shape (n, 4), in the order of `INKS`."""
        return self.measures[:, : len(INKS)]

    @property
    def is_clean(self) -> NDArray[np.bool_]:
        """Whether a patch can be read and has no flag, shape (n,)."""
        clean: NDArray[np.bool_] = (self.bits == 0) & ~self.unreadable
        return clean

    @property
    def bits(self) -> NDArray[np.uint8]:
        """The flags as bits, in the order of `quality_spec.FLAGS`, shape (n,)."""
        flags = (self.pen, self.blurred, self.folded, self.bubble)
        bits = np.zeros(len(self.pen), np.uint8)
        for name, flag in zip(FLAGS, flags, strict=True):
            bits[flag] |= flag_bits([name])
        return bits

    def measure(self, name: str) -> Floats:
        """Give one measure of every patch.

        Parameters
        ----------
        name : str
            One of `quality_measures.MEASURES`.

        Returns
        -------
        ndarray of float32, shape (n,)
            NaN where a patch could not be decoded.
        """
        return self.measures[:, MEASURES.index(name)]


def assess_quality(
    slide: Slide, grid: PatchGrid, spec: QualitySpec | None = None
) -> PatchQuality:
    """Flag pen marks, blur, folds and bubbles, patch by patch.

    Parameters
    ----------
    slide : Slide
        An open slide.
    grid : PatchGrid
        The patches to judge.
    spec : QualitySpec, optional
        Thresholds; the defaults where left out.

    Returns
    -------
    PatchQuality
        One entry per patch of the grid, equal for equal input; the same as an analysis
        of these patches finds.

    Raises
    ------
    SlideReadError
        If the slide is closed, out of reach, or its file was changed.

    Notes
    -----
    Ink, folds and bubbles are judged on the mean colors of blocks of 8 um, in which
    nuclei and fibers no longer stand out. Blur and folds are relative to the slide
    itself, so that one which is soft or dark throughout is not thrown away as a whole:
    less than half of it can be flagged as blurred, less than a quarter as folded. A
    fold of pale stroma may look no thicker than epithelium lying flat and is then not
    found; heaps of keratin look as thick as a fold.

    References
    ----------
    .. [1] Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy: a
       comparative study", ICPR 2000 (variance of the Laplacian).
    """
    spec = spec or QualitySpec()
    source = PatchSource(slide, grid)
    meter = PatchMeter(spec, grid.spec.size_px, grid.spec.mpp)
    count = len(grid)
    measures = np.full((count, len(MEASURES)), np.nan, np.float32)

    def _measure(index: int) -> None:
        try:
            measures[index] = meter([source.read(index)])[0]
        except DamagedTileError as err:
            logger.warning("quality: %s", err)

    with ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as pool:
        for start in range(0, count, BATCH):
            list(pool.map(_measure, range(start, min(start + BATCH, count))))
    return judge_quality(measures, spec)


def judge_quality(measures: Floats, spec: QualitySpec) -> PatchQuality:
    """Turn the measures of a whole slide into flags.

    Parameters
    ----------
    measures : ndarray of float32, shape (n, measures)
        As `PatchMeter` gives them; NaN throughout where a patch could not be decoded.
    spec : QualitySpec
        The thresholds that they were measured with.

    Returns
    -------
    PatchQuality
        One entry per patch; their order does not matter.
    """
    ink = measures[:, : len(INKS)]
    sharpness, thickness, grey = measures[:, len(INKS) :].T
    unreadable = np.isnan(grey)
    pen = ink.sum(axis=1) >= spec.pen_share
    # Ink is dark and smooth: it must not shift what the slide's tissue is held to.
    typical = ~(pen | unreadable)
    usual_sharpness = _percentile(sharpness[typical], 50)
    dense = _percentile(thickness[typical], DENSE_PERCENTILE)
    return PatchQuality(
        spec=spec,
        pen=pen,
        # Under ink, a patch is smooth and dark for that reason alone.
        blurred=(sharpness < spec.blur_ratio * usual_sharpness) & ~pen,
        folded=(thickness >= spec.fold_ratio * dense) & (thickness > 0) & ~pen,
        bubble=grey >= spec.bubble_share,
        unreadable=unreadable,
        measures=measures,
    )


def choose_excluded(
    quality: PatchQuality, exclude: Iterable[str]
) -> tuple[NDArray[np.bool_], str]:
    """Choose the patches that stay out of the call.

    Parameters
    ----------
    quality : PatchQuality
        The flags of a slide.
    exclude : iterable of str
        Flags whose patches are left out, of `quality_spec.FLAGS`.

    Returns
    -------
    excluded : ndarray of bool, shape (n,)
        Patches to leave out; none where that would be more than half of those that can
        be read. A slide that is soft or marked throughout is then called all the same.
    warning : str
        What the user should know, or empty.
    """
    excluded = (quality.bits & flag_bits(exclude)) > 0
    readable = int((~quality.unreadable).sum())
    count = int(excluded.sum())
    if count <= MOST_EXCLUDED * readable:
        return excluded, ""
    warning = (
        f"{count} of {readable} patches are flagged as poor ({', '.join(exclude)}): "
        "more than half, so that none was left out; look at the slide, and set the "
        "thresholds or the flags to leave out yourself"
    )
    return np.zeros_like(excluded), warning


def _percentile(values: Floats, percent: float) -> float:
    """Give a percentile of what was measured; NaN, which flags nothing, without any."""
    values = values[np.isfinite(values)]
    return float(np.percentile(values, percent)) if values.size else float("nan")
