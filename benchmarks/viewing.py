"""Milliseconds until a slide is open and until a 1024 x 1024 viewport can be drawn.

Usage: ``python benchmarks/viewing.py SLIDE [--json] [--count 200]``

Beside this package, in turns within one run: ``napari-wsi`` where it is installed (its
own reader function, as napari would call it) and tifffile's zarr store where it reads
the file. Every reader gives lazy arrays, and time runs until numpy has the pixels.

- ``open``: until the layers are there; imports are paid before.
- ``first``: from the closed file to the first viewport.
- ``cold``: a random viewport with no decoded tile in memory. Ours: the memory of
  decoded tiles is cleared. Peers: the slide is opened again (not timed), so that
  OpenSlide's own cache is empty. The file is in the system's cache, for all of them.
- ``warm``: the same viewport again.
- ``in_napari``: both as napari 0.9 reads, on every fourth viewport: whole chunks around
  it, and napari's cache of computed results where the layer uses it (emptied for cold).
- ``pan``: steps of half a viewport with a pause after each, with and without reading
  ahead. Everything else is measured without.
- ``peak_rss_mb``: of a process of its own for each reader, after all cold viewports.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import time
from collections import defaultdict
from contextlib import AbstractContextManager, nullcontext
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import dask.array as da
import numpy as np
import tifffile
import zarr

from napari_mmsubtype.plugin.layers import slide_layers
from napari_mmsubtype.slides.prefetch import shared_prefetcher
from napari_mmsubtype.slides.registry import open_slide
from napari_mmsubtype.slides.tile_cache import shared_memory

VIEWPORT_PX = 1024
OPENINGS, WALKS = 7, 4
OWN = "napari-mmsubtype"

Place = tuple[int, int, int]


class Own:
    """This package, by what its reader does."""

    name = OWN
    uses_napari_cache = False

    def __init__(self, path: str) -> None:
        self.path = path

    def open(self) -> list[da.Array]:
        self.slide = open_slide(self.path, icc=True)
        data = slide_layers(self.slide)[0][0]
        return data if isinstance(data, list) else [data]

    def make_cold(self, levels: list[da.Array]) -> list[da.Array]:
        shared_memory().clear()
        return levels

    def close(self) -> None:
        self.slide.close()


class Peer:
    """A reader that keeps what it decoded, if anything, with the open file."""

    uses_napari_cache = True

    def __init__(self, path: str) -> None:
        self.path = path

    def open(self) -> list[da.Array]:
        raise NotImplementedError

    def make_cold(self, levels: list[da.Array]) -> list[da.Array]:
        levels.clear()
        return self.open()

    def close(self) -> None:
        """Let go: the arrays hold the file."""


class NapariWsi(Peer):
    """The reader that napari-wsi registers for files of this ending."""

    name = "napari-wsi"

    def open(self) -> list[da.Array]:
        from napari_wsi import reader

        suffix = Path(self.path).suffix.lower()
        if suffix in (".bif", ".ndpi", ".scn", ".svs"):
            read = reader.wsi_reader_openslide(self.path)
        elif suffix in (".tif", ".tiff"):
            read = reader.wsi_reader_rasterio(self.path)
        else:
            msg = f"napari-wsi registers no reader for {suffix!r}"
            raise ValueError(msg)
        return read(self.path)[0][0]


class Tifffile(Peer):
    """tifffile's zarr store, read through dask."""

    name = "tifffile"

    def open(self) -> list[da.Array]:
        with tifffile.TiffFile(self.path) as tif:
            count = len(tif.series[0].levels)
        stores = (
            tifffile.imread(self.path, aszarr=True, level=level)
            for level in range(count)
        )
        return [da.from_zarr(zarr.open_array(store, mode="r")) for store in stores]


Reader = Own | NapariWsi | Tifffile
READERS = {kind.name: kind for kind in (Own, NapariWsi, Tifffile)}


def main() -> int:
    """Measure and print, or only say how much memory one reader took."""
    arguments = parse()
    shared_prefetcher().is_enabled = False
    if arguments.memory_of:
        print(measure_memory(READERS[arguments.memory_of](arguments.slide), arguments))
        return 0
    print(json.dumps(measure(arguments), indent=None if arguments.json else 2))
    return 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("slide")
    parser.add_argument("--count", type=int, default=200, help="viewports per level")
    parser.add_argument("--steps", type=int, default=20, help="of each walk")
    parser.add_argument("--pause-ms", type=float, default=150, help="between steps")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="on one line")
    parser.add_argument("--memory-of", choices=READERS, help=argparse.SUPPRESS)
    return parser.parse_args()


def measure(arguments: argparse.Namespace) -> dict[str, Any]:
    """Measure everything and put it into one report."""
    if has_napari := find_spec("napari") is not None:
        empty_napari_cache()  # imports it, before any time is taken
    own = Own(arguments.slide)
    readers, absent = find_peers(own)
    opened, first, decoded = measure_opening(readers)
    levels, facts = {each.name: each.open() for each in readers}, own.slide.info()
    generator = np.random.default_rng(arguments.seed)
    viewports: dict[str, Any] = {}
    for level in range(min(2, len(levels[OWN]))):
        there = [
            reader
            for reader in readers
            if level < len(levels[reader.name])
            and levels[reader.name][level].shape[:2] == levels[OWN][level].shape[:2]
        ]
        places = draw_places(levels[OWN], level, arguments.count, generator)
        key = f"level_{level}"
        viewports[key] = measure_viewports(there, levels, places)
        if level >= own.slide.native_levels:
            viewports[key]["computed"] = True
        if has_napari:
            viewports[key]["in_napari"] = measure_viewports(
                there, levels, places[: max(arguments.count // 4, 1)], as_napari=True
            )
    pan = measure_panning(own, levels, arguments, generator)
    own.close()
    return {
        "slide": Path(arguments.slide).name,
        **{key: facts[key] for key in ("backend", "compression", "tile", "icc")},
        "shape": list(own.slide.levels[0].shape),
        "viewports_per_level": arguments.count,
        "pixels_decoded_at_open": decoded,
        "open": summarize(opened),
        "first": summarize(first),
        **viewports,
        "pan": pan,
        "peak_rss_mb": {name: ask_memory(name, arguments) for name in levels},
        "absent": absent,
        "cores": os.cpu_count(),
        "versions": {
            name: metadata.version(name)
            for name in ("napari-wsi", "tifffile", "openslide-python", "zarr", "dask")
            if name not in absent
        },
    }


def find_peers(own: Own) -> tuple[list[Reader], dict[str, str]]:
    """Give all readers that serve here, and why others do not."""
    readers: list[Reader] = [own]
    absent = {}
    for kind in (NapariWsi, Tifffile):
        try:
            peer = kind(own.path)
            np.asarray(peer.open()[0][:1, :1])
            readers.append(peer)
        except Exception as err:  # noqa: BLE001 - whatever keeps a peer from reading
            absent[kind.name] = f"{type(err).__name__}: {err}"
    return readers, absent


def measure_opening(
    readers: list[Reader],
) -> tuple[dict[str, list[float]], dict[str, list[float]], int]:
    """Time opening, and opening up to the first viewport, after the imports."""
    opened: dict[str, list[float]] = defaultdict(list)
    first: dict[str, list[float]] = defaultdict(list)
    decoded = 0
    for turn in range(OPENINGS + 1):
        for reader in in_turns(readers, turn):
            shared_memory().clear()
            start = time.perf_counter()
            levels = reader.open()
            done = time.perf_counter() - start
            if reader.name == OWN:
                decoded = max(decoded, shared_memory().size_bytes // 3)
            place = [max(side // 2 - VIEWPORT_PX // 2, 0) for side in levels[0].shape]
            look(levels, (0, place[0], place[1]))
            if turn:  # what the first turn pays for is no matter of the slide
                opened[reader.name].append(1000 * done)
                first[reader.name].append(1000 * (time.perf_counter() - start))
            del levels
            reader.close()
    return opened, first, decoded


def draw_places(
    levels: list[da.Array], level: int, count: int, generator: np.random.Generator
) -> list[Place]:
    """Draw viewports anywhere on a level, as level and upper left corner."""
    room = [max(side - VIEWPORT_PX, 0) for side in levels[level].shape[:2]]
    corners = generator.integers(0, np.add(room, 1), (count, 2))
    return [(level, int(y), int(x)) for y, x in corners]


def measure_viewports(
    readers: list[Reader],
    levels: dict[str, list[da.Array]],
    places: list[Place],
    *,
    as_napari: bool = False,
) -> dict[str, Any]:
    """Time each viewport cold and warm, one reader after the other."""
    cold: dict[str, list[float]] = defaultdict(list)
    warm: dict[str, list[float]] = defaultdict(list)
    for turn, place in enumerate(places):
        for reader in in_turns(readers, turn):
            data = levels[reader.name] = reader.make_cold(levels[reader.name])
            cached = reader.uses_napari_cache
            if as_napari:
                empty_napari_cache()
            cold[reader.name].append(look(data, place, as_napari, cached=cached))
            warm[reader.name].append(look(data, place, as_napari, cached=cached))
    return {"cold": summarize(cold), "warm": summarize(warm)}


def measure_panning(
    own: Own,
    levels: dict[str, list[da.Array]],
    arguments: argparse.Namespace,
    generator: np.random.Generator,
) -> dict[str, Any]:
    """Time the steps of walks with and without reading ahead."""
    times: dict[str, list[float]] = {"without_prefetch": [], "with_prefetch": []}
    for turn in range(WALKS):
        path = draw_path(levels[OWN], arguments.steps, generator)
        for name in list(times)[:: -1 if turn % 2 else 1]:
            shared_prefetcher().is_enabled = name == "with_prefetch"
            own.make_cold(levels[OWN])
            for place in path:
                times[name].append(look(levels[OWN], place))
                time.sleep(arguments.pause_ms / 1000)
    shared_prefetcher().is_enabled = False
    return {name: percentiles(values) for name, values in times.items()}


def draw_path(
    levels: list[da.Array], count: int, generator: np.random.Generator
) -> list[Place]:
    """Walk over level 0 in half viewports, mostly straight on, turning at borders."""
    room = [max(side - VIEWPORT_PX, 0) for side in levels[0].shape[:2]]
    y, x = (int(generator.integers(0, free + 1)) for free in room)
    down, right = 0, VIEWPORT_PX // 2
    path = []
    for _ in range(count):
        path.append((0, y, x))
        if generator.random() < 0.2:
            down, right = right, down
        down = down if 0 <= y + down <= room[0] else -down
        right = right if 0 <= x + right <= room[1] else -right
        y = min(max(y + down, 0), room[0])
        x = min(max(x + right, 0), room[1])
    return path


def look(
    levels: list[da.Array],
    place: Place,
    as_napari: bool = False,
    *,
    cached: bool = False,
) -> float:
    """Time one viewport, in milliseconds."""
    level, y, x = place
    array = levels[level]
    rows, cols = slice(y, y + VIEWPORT_PX), slice(x, x + VIEWPORT_PX)
    context: AbstractContextManager[Any] = nullcontext()
    if as_napari:
        from napari.utils._dask_utils import configure_dask

        rows, cols = (
            around(part, sides)
            for part, sides in zip((rows, cols), array.chunks, strict=False)
        )
        context = configure_dask(levels, cached)()
    start = time.perf_counter()
    with context:
        np.asarray(array[rows, cols])
    return 1000 * (time.perf_counter() - start)


def empty_napari_cache() -> None:
    """Forget what napari keeps of computed results."""
    from napari.utils import resize_dask_cache

    resize_dask_cache().cache.clear()


def around(part: slice, sides: tuple[int, ...]) -> slice:
    """Widen a slice to whole chunks."""
    ends = np.cumsum((0, *sides))
    first = np.searchsorted(ends, part.start, side="right") - 1
    last = np.searchsorted(ends, min(part.stop, ends[-1]), side="left")
    return slice(int(ends[first]), int(ends[last]))


def in_turns(readers: list[Reader], turn: int) -> list[Reader]:
    """Let each reader be the first as often as the others."""
    return readers[turn % len(readers) :] + readers[: turn % len(readers)]


def measure_memory(reader: Reader, arguments: argparse.Namespace) -> int:
    """Give the peak memory of this process after looking around, in MB."""
    levels = reader.open()
    generator = np.random.default_rng(arguments.seed)
    for place in draw_places(levels, 0, arguments.count, generator):
        look(levels, place)
    if sys.platform == "linux":  # which counts the parent process into ru_maxrss
        status = Path("/proc/self/status").read_text()
        return int(status.partition("VmHWM:")[2].split()[0]) // 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak // (1024 if sys.platform != "darwin" else 2**20)


def ask_memory(name: str, arguments: argparse.Namespace) -> int:
    """Let a process of its own tell how much memory a reader takes."""
    command = [sys.executable, __file__, arguments.slide, "--memory-of", name]
    command += ["--count", str(arguments.count), "--seed", str(arguments.seed)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return int(done.stdout)


def summarize(times: dict[str, list[float]]) -> dict[str, Any]:
    """Give percentiles of each reader, and how many times slower the peers are."""
    summary: dict[str, Any] = {name: percentiles(v) for name, v in times.items()}
    own = summary[OWN]
    for name, values in summary.items():
        if name != OWN:
            for key in ("p50", "p95"):
                values[f"{key}_ratio"] = round(
                    values[f"{key}_ms"] / max(own[f"{key}_ms"], 0.01), 2
                )
    return summary


def percentiles(values: list[float]) -> dict[str, float]:
    middle, high = np.percentile(values, (50, 95))
    return {"p50_ms": round(float(middle), 2), "p95_ms": round(float(high), 2)}


if __name__ == "__main__":
    sys.exit(main())
