"""Decide from a measurement whether a GPU decodes the tiles of a slide."""

from __future__ import annotations

import logging
import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.inference.agreement import compare
from napari_mmsubtype.inference.batch_limit import size_key
from napari_mmsubtype.inference.device_patches import (
    DevicePatches,
    open_device_patches,
)
from napari_mmsubtype.inference.forward import forward_batches
from napari_mmsubtype.inference.known_numbers import KnownNumbers
from napari_mmsubtype.results import schema

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.inference.batch_limit import BatchLimit
    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.stream import ReadsPatches, Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter
    from napari_mmsubtype.slides.patch_source import PatchSource
    from napari_mmsubtype.slides.quality_measures import PatchMeter

logger = logging.getLogger(__name__)

FILE_NAME = "tile-decoding-times.json"
FACT = "tiles_decoded_on"
"""What the provenance of a store calls the kind of device that decoded its tiles."""
FELL_BACK = "cuda, then cpu"
"""What stands there where the CPU had to take over."""

DEVICES = ("cuda",)
"""Kinds of devices that may decode tiles; the CPU has threads for it."""
MAX_CHANGE = 1.0
"""Largest mean absolute difference of a patch, in grey levels.

Colors that were converted and should not be, or the reverse, change by tens of levels.
A decoder that repeats the reduced chroma of 4:2:0 tiles, where libjpeg interpolates it,
changes stained tissue by one to two levels, and is refused as well.
"""
TRIED = 4
"""Batches that are timed, after one that is not."""
_CLEARLY_FASTER = 0.9
"""Time over that of the CPU's threads which speaks for the device."""
_MIN_BATCHES = 50
"""Batches of a slide that repays a trial, which costs `TRIED` + 1 twice."""


@dataclass(frozen=True, slots=True, eq=False)
class _Run:
    """What a few batches gave: pixels, embeddings, which could be read, seconds."""

    pixels: NDArray[np.uint8]
    rows: NDArray[np.float32]
    readable: NDArray[np.bool_]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Trial:
    """What the batches of a trial are run with."""

    encoder: Encoder
    processor: Processor
    size_px: int
    limit: BatchLimit
    transform: Transform | None
    meter: PatchMeter | None

    def run(self, source: ReadsPatches, batches: list[range]) -> _Run:
        """Embed batches as the slide will be, and look at the clock."""
        start = time.perf_counter()
        done = list(
            forward_batches(
                self.encoder,
                source,
                batches,
                self.processor,
                self.size_px,
                lambda features, _: [features.mean((2, 3))],
                self.limit,
                transform=self.transform,
                meter=self.meter,
            )
        )
        seconds = time.perf_counter() - start
        pixels = [_to_array(batch.pixels) for batch, _ in done]
        return _Run(
            np.concatenate(pixels),
            np.concatenate([arrays[0] for _, arrays in done]),
            np.concatenate([batch.readable for batch, _ in done]),
            seconds,
        )


def choose_source(
    source: PatchSource,
    encoder: Encoder,
    writer: StoreWriter,
    processor: Processor,
    *,
    size_px: int,
    batch_size: int,
    limit: BatchLimit,
    transform: Transform | None = None,
    meter: PatchMeter | None = None,
) -> PatchSource | DevicePatches:
    """Give the patches by the way that does a slide soonest, with the same numbers.

    Where a GPU runs the network, the slide stores JPEG tiles and is likely to repay it,
    a few batches go both ways through the network. The GPU decodes the tiles if that
    was clearly faster, and pixels and embeddings agree. Where it was not faster, this
    is not tried again on this machine. A run that is resumed goes on as it was begun.

    Parameters
    ----------
    source : PatchSource
        The patches to do.
    encoder : Encoder
        As it will run.
    writer : StoreWriter
        Keeps in its provenance what decoded the tiles.
    processor : Processor
        Device and precision.
    size_px : int
        Side of a patch.
    batch_size : int
        Patches per batch.
    limit : BatchLimit
        How many patches go through the network at once.
    transform : callable, optional
        Change of color of the patches before they are encoded.
    meter : PatchMeter, optional
        Measures every patch.

    Returns
    -------
    PatchSource or DevicePatches
        The one given, or one that decodes on the device.
    """
    device = processor.device
    if device.type not in DEVICES:
        return source
    begun = bool(np.count_nonzero(writer.read(schema.STATUS)))
    if begun and writer.attributes["provenance"].get(FACT) != device.type:
        return source
    if not begun and len(source) < _MIN_BATCHES * batch_size:
        return source
    trial = _Trial(encoder, processor, size_px, limit, transform, meter)
    found = open_device_patches(source, device)
    if begun:
        if found is not None and _try_both(
            source, found, trial, batch_size, timed=False
        ):
            return found
        logger.warning(
            "tiles of this run were decoded on the GPU, which cannot go on: the CPU "
            "decodes those of the other patches, to about the same pixels"
        )
        return source
    if found is None:
        return source
    what = (
        f"{encoder.name} at {size_px} px of {_by(source.grid.read_shape)} px in "
        f"tiles of {_by(found.tile_shape)} px, {os.cpu_count()} CPUs"
    )
    key = size_key(device, what, processor.precision)
    known = KnownNumbers.of_user(FILE_NAME)
    if (known.find(key) or 0.0) > _CLEARLY_FASTER:
        return source
    ratio = _try_both(source, found, trial, batch_size, timed=True)
    if ratio is None:
        return source
    known.keep(key, ratio)
    logger.info("%s: %.0f %% of the time, decoded on %s", what, 100 * ratio, device)
    if ratio > _CLEARLY_FASTER:
        return source
    writer.use_processor(str(device), processor.precision, {FACT: device.type})
    return found


def record_decoding(
    source: ReadsPatches, writer: StoreWriter, processor: Processor
) -> None:
    """Put into the provenance that the CPU had to take over, if it had.

    Parameters
    ----------
    source : ReadsPatches
        What `choose_source` gave, after all patches were read.
    writer : StoreWriter
        Of the store.
    processor : Processor
        Device and precision.
    """
    if isinstance(source, DevicePatches) and source.failure:
        facts = {FACT: FELL_BACK}
        writer.use_processor(str(processor.device), processor.precision, facts)


def _try_both(
    source: PatchSource,
    found: DevicePatches,
    trial: _Trial,
    batch_size: int,
    *,
    timed: bool,
) -> float | None:
    """Give the time on the device over that of the CPU; None if it will not do."""
    count = len(source)
    every = [range(s, min(s + batch_size, count)) for s in range(0, count, batch_size)]
    middle = max((len(every) - TRIED - 1) // 2, 0)
    first, batches = every[middle : middle + 1], every[middle + 1 : middle + 1 + TRIED]
    # The first batch waits for libraries. The device goes first, so that what the
    # system then has in memory of the file is to the good of the CPU.
    runs = [trial.run(found, first), trial.run(source, first)]
    if timed and not found.failure and not _differs(*runs):
        runs = [trial.run(found, batches), trial.run(source, batches)]
    if found.failure:
        return None
    difference = _differs(*runs)
    if difference:
        logger.warning(
            "tiles of slide %s are decoded by the CPU: on %s, %s",
            source.slide.name,
            found.device,
            difference,
        )
        return None
    return runs[0].seconds / max(runs[1].seconds, 1e-9)


def _differs(device: _Run, cpu: _Run) -> str:
    """Say in what two ways of decoding differ; empty where they agree."""
    good = cpu.readable
    if not np.array_equal(device.readable, good):
        return "other patches are readable"
    if not good.any():
        return "no patch tried is readable"
    pairs = zip(device.pixels[good], cpu.pixels[good], strict=True)
    change = max(
        float(np.abs(one.astype(np.int16) - other).mean()) for one, other in pairs
    )
    if change > MAX_CHANGE:
        return f"pixels of a patch differ by {change:.1f} grey levels on average"
    agreement = compare(cpu.rows[good], device.rows[good])
    # Half of what a precision may cost is left for the precision.
    return "" if agreement.holds_clearly else str(agreement)


def _by(shape: tuple[int, int]) -> str:
    """Write a height and a width."""
    return f"{shape[0]} x {shape[1]}"


def _to_array(pixels: object) -> NDArray[np.uint8]:
    """Give pixels as an array, from wherever they are."""
    copied = pixels.cpu() if hasattr(pixels, "cpu") else pixels
    return np.asarray(copied)


__all__ = ["FACT", "FELL_BACK", "FILE_NAME", "choose_source", "record_decoding"]
