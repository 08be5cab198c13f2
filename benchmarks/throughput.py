"""Patches per second of the engine beside the bare forward pass of the same network.

Usage: ``python benchmarks/throughput.py SLIDE --encoder resnet50 [--json]``

The engine is timed from opening the slide to the last embedding in the store: tissue,
grid, reading, resizing, normalising, network, writing. The bare forward pass sees the
same patches, already normalised in memory, in the same batches, layout and precision,
through the same prepared network (norms folded, steps fused) and with the same
allocator: in one call for each batch, with all cores, and in the teams that the engine
divides the cores into. The plain one is the network as PyTorch runs it in the same
precision (bfloat16 beside int8), norms folded, steps neither fused nor recorded. Two
batches of blank patches go first, so that the engine is not the one that pages in the
memory which the bare passes then find. The eager one is the network as PyTorch makes
it: float32, nothing folded, the usual allocator. All are
measured in turns within one run, because machines drift; ratios are of the same turn,
and their medians count. ``--busy 1`` measures all that beside another process that
never rests; ``--leave-out reading`` has the engine find its patches in memory, and
``--leave-out measuring`` has it measure no ink and blur, to see what these cost.
"""

from __future__ import annotations

import argparse
import copy
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.core.patch_grid import PatchSpec, lay_grid
from napari_mmsubtype.core.quality_spec import QualitySpec
from napari_mmsubtype.core.recipe import PRECISIONS
from napari_mmsubtype.inference.allocator import memory_kept
from napari_mmsubtype.inference.core_teams import CoreTeams, choose_teams
from napari_mmsubtype.inference.device import Processor, choose_processor
from napari_mmsubtype.inference.encode import encode_job, prepare
from napari_mmsubtype.inference.fused_graph import FusedEncoder, fuse_encoder
from napari_mmsubtype.inference.packed_encoder import PackedEncoder, pack_encoder
from napari_mmsubtype.inference.precision import settle_in_int8
from napari_mmsubtype.inference.recorded_encoder import (
    MIN_BATCHES,
    RecordedEncoder,
    choose_recorded,
)
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.results.store_writer import StoreWriter
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.quality_measures import PatchMeter
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tissue import find_tissue

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    from napari_mmsubtype.core.patch_grid import PatchGrid
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.slides.slide import Slide


def main() -> int:
    """Measure, then print one table or one JSON object."""
    arguments = parse()
    torch.manual_seed(0)
    processor = choose_processor(arguments.device, arguments.precision)
    eager = create_encoder(arguments.encoder).to(processor.device)
    whole = Processor(processor.device, None)
    encoder, plain, steps = prepare_as_analyzed(eager, processor, arguments)
    batch_size = arguments.batch_size or processor.default_batch_size(
        arguments.patch_size
    )
    warm_up(encoder, processor, batch_size, arguments.patch_size)
    warm_up(eager, whole, batch_size, arguments.patch_size)
    turns = []
    with open_slide(arguments.slide, mpp=arguments.mpp) as slide:
        source = PatchSource(slide, lay(arguments, slide)[0])
        pixels = np.stack([source.read(i) for i in range(len(source))])
    blank = np.zeros((2 * batch_size, *[arguments.patch_size] * 2, 3), np.uint8)
    few = pixels[: arguments.few]
    scale = len(pixels) / len(few)
    with busy(arguments.busy):
        for _ in range(arguments.repeats):
            with memory_kept():
                with choose_teams(processor.device, batch_size) as teams:
                    run_bare(encoder, processor, blank, batch_size, teams)
                engine = run_engine(arguments, encoder, processor, batch_size, pixels)
                bare = run_bare(encoder, processor, pixels, batch_size)
                with choose_teams(processor.device, batch_size) as teams:
                    side = run_bare(encoder, processor, pixels, batch_size, teams)
                unfused = scale * run_bare(plain, processor, few, batch_size)
            usual = scale * run_bare(eager, whole, few, batch_size)
            turns.append((engine, bare, side, unfused, usual))
    seconds, forward, divided, stepwise, untouched = (
        statistics.median(column) for column in zip(*turns, strict=True)
    )
    count = len(pixels)
    peak_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    report = {
        "slide": Path(arguments.slide).name,
        "encoder": arguments.encoder,
        "device": str(processor.device),
        "precision": processor.precision,
        "fused_steps": steps,
        "recorded": isinstance(encoder, RecordedEncoder),
        "batch_size": batch_size,
        "threads": torch.get_num_threads(),
        "teams": teams.count,
        "busy_processes": arguments.busy,
        "left_out": list(arguments.leave_out),
        "patches": count,
        "seconds": round(seconds, 3),
        "patches_per_second": round(count / seconds, 2),
        "forward_patches_per_second": round(count / forward, 2),
        "forward_in_teams_patches_per_second": round(count / divided, 2),
        "forward_plain_patches_per_second": round(count / stepwise, 2),
        "eager_float32_patches_per_second": round(count / untouched, 2),
        "efficiency": ratio_of_turns(turns, 1),
        "efficiency_to_teams": ratio_of_turns(turns, 2),
        "efficiency_to_plain": ratio_of_turns(turns, 3),
        "ratio_to_eager_float32": ratio_of_turns(turns, 4),
        "peak_rss_mb": round(peak_kib / (1024 if sys.platform != "darwin" else 2**20)),
    }
    if arguments.json:
        print(json.dumps(report))
    else:
        for key, value in report.items():
            print(f"{key:>28}  {value}")
    return 0


def ratio_of_turns(turns: list[tuple[float, ...]], column: int) -> float:
    """Give the speed of the engine over that of another, within the same turn."""
    return round(statistics.median(turn[column] / turn[0] for turn in turns), 3)


def prepare_as_analyzed(
    eager: Encoder, processor: Processor, arguments: argparse.Namespace
) -> tuple[Encoder, Encoder, int]:
    """Give what an analysis runs for a slide that is long enough.

    And the same network as PyTorch runs it; and how many steps are fused.
    """
    plain = prepare(copy.deepcopy(eager), replace(processor, quantized=False))
    if processor.quantized:
        encoder = prepare(copy.deepcopy(eager), processor.in_float32())
        with open_slide(arguments.slide, mpp=arguments.mpp) as slide:
            source = PatchSource(slide, lay(arguments, slide)[0])
            choice = settle_in_int8(encoder, source, processor, judge=lambda _: (1.0,))
        print(choice.reason, file=sys.stderr)
        made = choice.encoder
    else:
        is_cpu = processor.device.type == "cpu"
        made = (fuse_encoder(plain) or pack_encoder(plain)) if is_cpu else None
    if isinstance(made, FusedEncoder | PackedEncoder):
        return prepare(made, processor), plain, made.steps
    size = arguments.patch_size
    batch_size = arguments.batch_size or processor.default_batch_size(size)
    long = MIN_BATCHES * batch_size
    recorded = choose_recorded(
        plain, processor, size_px=size, batch_size=batch_size, count=long
    )
    return recorded, plain, 0


def lay(
    arguments: argparse.Namespace, slide: Slide
) -> tuple[PatchGrid, NDArray[np.bool_]]:
    """Lay the patches over the tissue of a slide."""
    tissue = find_tissue(slide)
    size = arguments.patch_size
    grid = lay_grid(
        PatchSpec(size, arguments.target_mpp, size),
        slide.levels[0].shape,
        slide.require_pixel_size(),
        [level.downsample for level in slide.levels],
        tissue.mask,
        storage_tile=slide.storage_tile,
    )
    return grid, tissue.mask


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide")
    parser.add_argument("--encoder", default="resnet50")
    parser.add_argument("--mpp", type=float, help="of the slide, where it has none")
    parser.add_argument("--target-mpp", type=float, default=0.5)
    parser.add_argument("--patch-size", type=int, default=224)
    parser.add_argument("--batch-size", type=int)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--precision", default="auto", choices=PRECISIONS)
    parser.add_argument(
        "--few",
        type=int,
        default=64,
        help="patches that the plain and the eager network, which are slow, get",
    )
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument(
        "--busy", type=int, default=0, help="processes that compute beside"
    )
    parser.add_argument(
        "--leave-out",
        nargs="*",
        default=(),
        choices=("reading", "measuring"),
        help="what the engine does not do",
    )
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def run_engine(
    arguments: argparse.Namespace,
    encoder: Encoder,
    processor: Processor,
    batch_size: int,
    pixels: np.ndarray,
) -> float:
    """Time one pass from the closed slide to the store."""
    start = time.perf_counter()
    with (
        tempfile.TemporaryDirectory() as folder,
        open_slide(arguments.slide, mpp=arguments.mpp) as slide,
    ):
        grid, tissue = lay(arguments, slide)
        writer = StoreWriter.create(
            Path(folder) / "benchmark.mmsubtype.zarr",
            attributes={},
            grid=grid,
            tissue=tissue,
            embedding_size=encoder.dim,
            classes=1,
            cells=(1, 1),
        )
        size, left_out = arguments.patch_size, arguments.leave_out
        meter = PatchMeter(QualitySpec(), size, arguments.target_mpp)
        job = encode_job(
            encoder,
            InMemory(pixels) if "reading" in left_out else PatchSource(slide, grid),
            writer,
            processor,
            size_px=size,
            batch_size=batch_size,
            queries=None,
            meter=None if "measuring" in left_out else meter,
        )
        deque(job, maxlen=0)
        return time.perf_counter() - start


class InMemory:
    """Patches that were read before the clock runs."""

    def __init__(self, pixels: np.ndarray) -> None:
        self._pixels = pixels

    def __len__(self) -> int:
        return len(self._pixels)

    def read(self, index: int) -> np.ndarray:
        return self._pixels[index]


@contextmanager
def busy(count: int) -> Iterator[None]:
    """Keep processes computing beside this one."""
    others = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.wait()


@torch.inference_mode()
def run_bare(
    encoder: Encoder,
    processor: Processor,
    pixels: np.ndarray,
    batch_size: int,
    teams: CoreTeams | None = None,
) -> float:
    """Time the network alone on normalised patches that are already on the device."""
    batches = []
    for start in range(0, len(pixels), batch_size):
        part = torch.from_numpy(pixels[start : start + batch_size])
        images = encoder.normalize(part.to(processor.device))
        batches.append(images.contiguous(memory_format=torch.channels_last))
    teams = teams or CoreTeams(1)

    def _forward(images: torch.Tensor, part: slice) -> None:
        with torch.inference_mode(), processor.autocasting():
            encoder(images[part])

    synchronize(processor)
    start_time = time.perf_counter()
    for images in batches:
        teams.run(partial(_forward, images), slice(0, len(images)))
    synchronize(processor)
    return time.perf_counter() - start_time


@torch.inference_mode()
def warm_up(encoder: Encoder, processor: Processor, batch: int, size: int) -> None:
    """Let the libraries choose their kernels before the clock runs."""
    images = torch.zeros(batch, 3, size, size, device=processor.device)
    with processor.autocasting():
        encoder(images.contiguous(memory_format=torch.channels_last))
    synchronize(processor)


def synchronize(processor: Processor) -> None:
    """Wait for the GPU, so that the clock sees its work."""
    if processor.device.type == "cuda":
        torch.cuda.synchronize(processor.device)


if __name__ == "__main__":
    sys.exit(main())
