"""Time what color profiles and stain normalization cost on a slide.

``python benchmarks/colors.py SLIDE [--profile PROFILE.icc] [--mpp 0.25] [--json]``

Profile: milliseconds per tile of 512 px, and per viewport of 1024 px with the tiles to
be decoded (cold) and in memory (warm), with and without the profile. Stain: seconds per
fit and milliseconds per patch of 224 px and tile of 512 px. Best, median and
95th percentile of each.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.slides.color import ColorTransform
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.slide import Slide
from napari_mmsubtype.slides.stain import METHODS, fit_pixels
from napari_mmsubtype.slides.tile_cache import shared_memory
from napari_mmsubtype.slides.tissue import find_tissue
from napari_mmsubtype.slides.tissue_sample import sample_tissue

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 30
VIEW_PX = 1024


class WithProfile:
    """A slide's file as if it held another color profile."""

    def __init__(self, backend: Any, profile: bytes) -> None:
        self._backend = backend
        self.icc_profile = profile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._backend, name)


def summary(times: list[float]) -> dict[str, float]:
    """Give best, median and 95th percentile in milliseconds."""
    marks = {"best_ms": 0, "median_ms": 50, "p95_ms": 95}
    return {k: round(float(np.percentile(times, q)), 2) for k, q in marks.items()}


def repeat(work: Callable[[], object]) -> dict[str, float]:
    """Time some work again and again."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        work()
        times.append(1e3 * (time.perf_counter() - start))
    return summary(times)


def viewports(slide: Slide) -> dict[str, dict[str, float]]:
    """Compute random viewports of level 0, cold and warm."""
    level = slide.pyramid()[0]
    rng = np.random.default_rng(0)
    height, width = slide.levels[0].shape
    times: dict[str, list[float]] = {"cold": [], "warm": []}
    for _ in range(ROUNDS):
        y, x = (int(rng.integers(max(n - VIEW_PX, 1))) for n in (height, width))
        view = level[y : y + VIEW_PX, x : x + VIEW_PX]
        shared_memory().clear()
        for kind in times:
            start = time.perf_counter()
            view.compute(scheduler="threads", num_workers=2)
            times[kind].append(1e3 * (time.perf_counter() - start))
    return {kind: summary(values) for kind, values in times.items()}


def time_profile(path: str, mpp: float | None, profile: bytes) -> dict[str, Any]:
    """Time the color profile."""
    slide = open_slide(path, mpp=mpp)
    height, width = slide.levels[0].shape
    tile = slide.read_region(0, height // 2, width // 2, 512, 512)
    transform = ColorTransform(profile)
    report: dict[str, Any] = {"tile_512": repeat(lambda: transform.apply(tile))}
    backend = WithProfile(slide._backend, profile)
    for name, icc in (("stored", False), ("profile", True)):
        shown = Slide(backend, path=path, mpp=mpp, icc=icc)
        report[f"viewport_1024_{name}"] = viewports(shown)
    return report


def time_stain(path: str, mpp: float | None) -> dict[str, Any]:
    """Time every method of stain normalization."""
    with open_slide(path, mpp=mpp) as slide:
        tissue = find_tissue(slide)
        start = time.perf_counter()
        pixels = sample_tissue(slide, tissue)
        report: dict[str, Any] = {"sample_s": round(time.perf_counter() - start, 3)}
        height, width = slide.levels[0].shape
        patches = {
            side: slide.read_region(0, height // 2, width // 2, side, side)
            for side in (224, 512)
        }
    for method in METHODS:
        start = time.perf_counter()
        fit = fit_pixels(pixels, method)
        entry: dict[str, Any] = {"fit_s": round(time.perf_counter() - start, 3)}
        for side, patch in patches.items():
            entry[f"patch_{side}"] = repeat(
                lambda fit=fit, patch=patch: fit.transform(patch)
            )
        report[method] = {**entry, "problem": fit.problem or None}
    return report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("slide")
    parser.add_argument("--profile", type=Path, help="default: the slide's own")
    parser.add_argument("--mpp", type=float)
    parser.add_argument("--json", action="store_true")
    given = parser.parse_args()
    with open_slide(given.slide, mpp=given.mpp) as slide:
        profile = given.profile.read_bytes() if given.profile else slide.icc_profile
    report: dict[str, Any] = {"slide": given.slide}
    if profile:
        report["icc"] = time_profile(given.slide, given.mpp, profile)
    report["stain"] = time_stain(given.slide, given.mpp)
    print(json.dumps(report, indent=None if given.json else 2))


if __name__ == "__main__":
    main()
