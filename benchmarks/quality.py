"""Planted artefacts that the quality flags find, and good tissue that they flag.

Usage: ``python benchmarks/quality.py [--data FOLDER] [--size 224] [--json]``;
``--rounds 1 --synthetic 1`` is a short look.

Artefacts of known place are planted in images: marker strokes in four colors, blur,
folds (a curved band whose optical density is that of two layers, the second being the
tissue some way off) and rims of bubbles. A patch counts as planted from a fifth of its
area. Without a folder of real data the images are synthetic; real ones were taken for
clean, so that what is flagged in them counts as false although some of it is not.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import ndimage

from napari_mmsubtype.core.patch_grid import PatchGrid, PatchSpec, lay_grid
from napari_mmsubtype.core.quality_spec import FLAGS, QualitySpec, flag_bits
from napari_mmsubtype.core.units import PixelSize
from napari_mmsubtype.slides.area_resize import resize_area
from napari_mmsubtype.slides.quality import judge_quality
from napari_mmsubtype.slides.quality_measures import PatchMeter
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import find_tissue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from numpy.typing import NDArray

    Image = NDArray[np.uint8]
    Plant = Callable[[Image, np.random.Generator], tuple[Image, NDArray[np.bool_]]]

MPP = 0.5
PLANTED_SHARE = 0.2
ROUNDS = 4
SYNTHETIC = ((1, 0.2), (2, 0.5), (3, 0.8))  # seed and share of basal tissue
INKS = {
    "blue": (0.16, 0.28, 0.70),
    "green": (0.12, 0.55, 0.35),
    "black": (0.10, 0.10, 0.11),
    "red": (0.85, 0.12, 0.16),
}


def main() -> int:
    """Measure, then print one table or one JSON object."""
    arguments = parse()
    started = time.perf_counter()
    flagged: dict[str, dict[str, float]] = {}
    found: dict[str, dict[str, list[bool]]] = {}
    cost: list[float] = []
    for group, name, image, mask in images(arguments.data, arguments.synthetic):
        grid = lay(image, mask, arguments.size)
        clean = measure(image, grid, cost)
        bits = judge_quality(clean, QualitySpec()).bits
        flagged[name] = {"patches": len(grid), **shares(bits)}
        for kind, (flag, plant) in ARTEFACTS.items():
            rng = np.random.default_rng(sum(map(ord, name + kind)))
            hits = found.setdefault(kind, {}).setdefault(group, [])
            for _ in range(arguments.rounds):
                painted, area = plant(image, rng)
                hits += recall(clean, painted, area, grid, flag, cost)
    report = {
        "patch_size_px": arguments.size,
        "mpp": MPP,
        "recall": {
            kind: {
                group: {"patches": len(hits), "found": round(float(np.mean(hits)), 3)}
                for group, hits in groups.items()
                if hits
            }
            for kind, groups in found.items()
        },
        "flagged_in_clean": flagged,
        "flagged_in_real": pooled(flagged),
        "ms_per_patch": round(1000 * float(np.median(cost)), 3),
        "seconds": round(time.perf_counter() - started, 1),
    }
    print(json.dumps(report, indent=2) if arguments.json else table(report))
    return 0


def parse() -> argparse.Namespace:
    """Read the options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, help="folder with slides/ and regions/")
    parser.add_argument("--size", type=int, default=224, help="pixels at 0.5 um/px")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="of each artefact")
    parser.add_argument(
        "--synthetic", type=int, default=len(SYNTHETIC), help="images, at most 3"
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def images(
    folder: Path | None, synthetic: int
) -> Iterator[tuple[str, str, Image, NDArray[np.bool_]]]:
    """Give group, name, pixels at 0.5 um/px and tissue mask of every image."""
    sources: list[tuple[str, str, float | None]] = [
        ("synthetic", f"synthetic:seed={seed},size=2560,basal={basal}", None)
        for seed, basal in SYNTHETIC[:synthetic]
    ]
    if folder is not None:
        # TCGA regions and the slide without a pixel size are at 40x.
        for path in sorted(folder.glob("slides/*.svs")):
            known = path.name.startswith("CMU")
            sources.append(("real slides", str(path), None if known else 0.25))
        for path in sorted(folder.glob("regions/*/*.tif")):
            sources.append(("real regions", str(path), 0.25))
    for group, path, mpp in sources:
        with open_slide(path, mpp=mpp) as slide:
            height, width = slide.levels[0].shape
            factor = slide.require_pixel_size().mean / MPP
            whole = slide.read_region(0, 0, 0, height, width)
            mask = find_tissue(slide).mask
        image = resize_area(whole, round(height * factor), round(width * factor))
        yield group, path if group == "synthetic" else Path(path).stem, image, mask


def lay(image: Image, mask: NDArray[np.bool_], size: int) -> PatchGrid:
    """Lay patches at half their size apart, to have more of them."""
    spec = PatchSpec(size, MPP, size // 2, 0.5)
    pixel = PixelSize.square(MPP)
    return lay_grid(spec, image.shape[:2], pixel, [1.0], mask, edge="inside")


def measure(image: Image, grid: PatchGrid, cost: list[float]) -> NDArray[np.float32]:
    """Measure every patch in runs of eight, as the engine does."""
    size = grid.spec.size_px
    meter = PatchMeter(QualitySpec(), size, MPP)
    parts = []
    for start in range(0, len(grid), 8):
        run = grid.origin[start : start + 8]
        patches = np.stack([image[y : y + size, x : x + size] for y, x in run])
        begun = time.perf_counter()
        parts.append(meter(patches))
        cost.append((time.perf_counter() - begun) / len(run))
    return np.concatenate(parts)


def recall(
    clean: NDArray[np.float32],
    painted: Image,
    area: NDArray[np.bool_],
    grid: PatchGrid,
    flag: str,
    cost: list[float],
) -> list[bool]:
    """Say of every planted patch whether its flag is set.

    The planted patches are judged beside the clean ones of the same slide, of which
    they are a fifth at most, as on a slide that is mostly good.
    """
    size = grid.spec.size_px
    share = [area[y : y + size, x : x + size].mean() for y, x in grid.origin]
    planted = np.flatnonzero(np.asarray(share) >= PLANTED_SHARE)
    planted = planted[:: max(-(-len(planted) * 4 // len(grid)), 1)]
    if planted.size == 0:
        return []
    measures = measure(painted, grid, cost)[planted]
    quality = judge_quality(np.concatenate([clean, measures]), QualitySpec())
    hit = (quality.bits[len(clean) :] & flag_bits([flag])) > 0
    return [bool(value) for value in hit]


def shares(bits: NDArray[np.uint8]) -> dict[str, float]:
    """Give the share of patches with each flag."""
    return {
        name: round(float((bits & flag_bits([name]) > 0).mean()), 4) for name in FLAGS
    }


def pooled(flagged: dict[str, dict[str, float]]) -> dict[str, float]:
    """Pool the shares of the images that are real."""
    real = [row for name, row in flagged.items() if not name.startswith("synthetic:")]
    count = sum(row["patches"] for row in real)
    if not count:
        return {}
    pooled = {
        name: round(sum(row["patches"] * row[name] for row in real) / count, 4)
        for name in FLAGS
    }
    return {"patches": count, **pooled}


def band(
    shape: tuple[int, ...], rng: np.random.Generator, width_um: tuple[float, float]
) -> NDArray[np.float32]:
    """Draw a curved band across an image; 1 inside, with soft borders."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    y -= rng.uniform(0.2, 0.8) * shape[0]
    x -= rng.uniform(0.2, 0.8) * shape[1]
    angle, length = rng.uniform(0, np.pi), rng.uniform(300, 800) / MPP
    along = x * np.cos(angle) + y * np.sin(angle)
    phase = 2 * np.pi * along / length + rng.uniform(0, 2 * np.pi)
    swing = rng.uniform(0, 0.12) * length
    off = y * np.cos(angle) - x * np.sin(angle) - swing * np.sin(phase)
    slope = 2 * np.pi * swing / length * np.cos(phase)
    far = np.abs(off) / np.sqrt(1 + slope**2)
    drawn: NDArray[np.float32] = np.clip(
        (rng.uniform(*width_um) / MPP / 2 - far) / 4 + 0.5, 0, 1
    )
    return drawn


def plant_fold(
    image: Image, rng: np.random.Generator
) -> tuple[Image, NDArray[np.bool_]]:
    """Add the density of tissue some way off along a band, where both are tissue."""
    density = -np.log((image.astype(np.float32) + 1) / 256)
    drawn = band(image.shape, rng, (30, 120))
    turn, far = rng.uniform(0, 2 * np.pi), rng.uniform(60, 160) / MPP
    second = np.roll(
        density, (int(far * np.sin(turn)), int(far * np.cos(turn))), (0, 1)
    )
    stained = density.mean(axis=2) > 0.1
    both = stained & (second.mean(axis=2) > 0.1)
    area = (drawn > 0.5) & (ndimage.uniform_filter(both.astype(np.float32), 31) > 0.5)
    folded = 256 * np.exp(-(density + drawn[..., None] * second)) - 1
    return np.clip(np.rint(folded), 0, 255).astype(np.uint8), area


def plant_ink(color: tuple[float, float, float]) -> Plant:
    """Give a stroke of translucent ink, more or less dense."""

    def plant(
        image: Image, rng: np.random.Generator
    ) -> tuple[Image, NDArray[np.bool_]]:
        drawn = band(image.shape, rng, (150, 500))
        strength = drawn[..., None] * rng.uniform(0.7, 1.2)
        inked = image * np.asarray(color, np.float32) ** strength
        return np.rint(inked).astype(np.uint8), drawn > 0.5

    return plant


def plant_blur(sigma_um: float) -> Plant:
    """Give a blur along a broad band."""

    def plant(
        image: Image, rng: np.random.Generator
    ) -> tuple[Image, NDArray[np.bool_]]:
        drawn = band(image.shape, rng, (400, 800)) > 0.5
        sigma = (sigma_um / MPP, sigma_um / MPP, 0)
        soft = ndimage.gaussian_filter(image, sigma)
        side = round(100 / MPP)
        # Only patches that are soft throughout count: a sharp corner is worth keeping.
        inside = ndimage.minimum_filter(drawn, side)
        return np.where(drawn[..., None], soft, image), inside

    return plant


def plant_rim(
    image: Image, rng: np.random.Generator
) -> tuple[Image, NDArray[np.bool_]]:
    """Draw the grey rim of a bubble, through which little of the tissue shows."""
    y, x = np.mgrid[: image.shape[0], : image.shape[1]].astype(np.float32)
    radius = rng.uniform(150, 400) / MPP
    center = rng.uniform(0, 1, 2) * image.shape[:2]
    far = np.abs(np.hypot(y - center[0], x - center[1]) - radius)
    drawn = np.clip((rng.uniform(20, 60) / MPP / 2 - far) / 6 + 0.5, 0, 1)
    grey = rng.uniform(70, 160)
    veil = (drawn * 0.9)[..., None]
    painted = image * (1 - veil) + grey * veil
    return np.rint(painted).astype(np.uint8), drawn > 0.5


ARTEFACTS: dict[str, tuple[str, Plant]] = {
    **{f"pen, {name}": ("pen", plant_ink(color)) for name, color in INKS.items()},
    **{f"blur, {um} um": ("blur", plant_blur(um)) for um in (2, 4, 8)},
    "fold": ("fold", plant_fold),
    "bubble rim": ("bubble", plant_rim),
}


def table(report: dict[str, Any]) -> str:
    """Lay out the report for a terminal."""
    groups = sorted({group for row in report["recall"].values() for group in row})
    lines = ["found of planted patches", " " * 14 + "".join(f"{g:>16}" for g in groups)]
    for kind, row in report["recall"].items():
        cells = [row.get(group) for group in groups]
        shown = [
            f"{cell['found']:.0%} of {cell['patches']}" if cell else ""
            for cell in cells
        ]
        lines.append(f"{kind:<14}" + "".join(f"{text:>16}" for text in shown))
    lines += [
        "",
        "flagged in clean images" + " " * 22 + "".join(f"{f:>8}" for f in FLAGS),
    ]
    rows = {**report["flagged_in_clean"], "all real": report["flagged_in_real"]}
    for name, row in rows.items():
        if row:
            values = "".join(f"{row[flag]:8.1%}" for flag in FLAGS)
            lines.append(f"{name[:36]:<38}{row['patches']:>7}{values}")
    lines.append(f"\n{report['ms_per_patch']} ms per patch")
    return "\n".join(lines)


if __name__ == "__main__":
    raise SystemExit(main())
