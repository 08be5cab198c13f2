"""Damaged copies of slides, each opened and read in a process that may die of it.

Run as a script: a job per line of input as JSON, an answer per line of output. Every
job runs in a fork of this process, so that a crash costs one damaged copy.
"""

from __future__ import annotations

import json
import logging
import os
import random
import resource
import shutil
import signal
import sys
import traceback
import warnings
from pathlib import Path

SPARE_BYTES = 2 * 1024**3
PATIENCE_S = 20
READ_PX = 90
# OpenSlide reserves what a frame or tag claims before it finds the file shorter, and
# takes a refusal well; memory that is never touched costs nothing.
TRIED_WORDS = (
    "libdicom Out of memory: out of memory - failed to allocate",
    "Cannot allocate TIFF value",
    "Couldn't allocate",
)
MEMORY_WORDS = ("MemoryError", "allocate", "out of memory", "bad_alloc")


def damage(data, index, truncations, seed, structure=()):
    """Cut the data short for the first copies, change one byte for the others.

    Every other change hits the structure of the file where that is known.
    """
    rng = random.Random(f"{seed} {index}")
    if index < truncations:
        share = (index + rng.random()) / truncations
        return data[: int(share * len(data))]
    if structure and index % 2:
        start, stop = rng.choice(structure)
        place = rng.randrange(start, max(min(stop, len(data)), start + 1))
    else:
        place = rng.randrange(len(data))
    place = min(place, len(data) - 1)
    changed = bytearray(data)
    changed[place] ^= rng.randrange(1, 256)
    return bytes(changed)


def read_everything(path):
    """Open a slide and read from all that it holds; give what the package says."""
    from napari_mmsubtype.errors import MMSubtypeError
    from napari_mmsubtype.slides.registry import can_open, open_slide
    from napari_mmsubtype.slides.tissue import find_tissue

    said = []

    def attempt(work):
        try:
            return work()
        except MMSubtypeError as err:
            said.append(err)
            return None

    def read(slide, level):
        height, width = slide.levels[level].shape
        slide.read_region(level, 0, 0, READ_PX, READ_PX)
        corner = (height - READ_PX, width - READ_PX)
        slide.read_region(level, *corner, READ_PX + 9, READ_PX + 9)

    can_open(path)
    slide = attempt(lambda: open_slide(path, icc=True))
    if slide is None:
        return said
    with slide:
        json.dumps(slide.info())
        for level in range(len(slide.levels)):
            attempt(lambda level=level: read(slide, level))
        last = len(slide.levels) - 1
        attempt(lambda: slide.read_region(last, 0, 0, *slide.levels[last].shape))
        attempt(lambda: slide.pyramid()[last][:50, :50].compute())
        for name in slide.info()["associated"]:
            attempt(lambda name=name: slide.read_associated(name))
        attempt(lambda: find_tissue(slide))
    return said


def judge(path):
    """Give what is wrong with the way a damaged slide was taken, None for nothing."""
    try:
        said = read_everything(path)
    except BaseException:  # noqa: BLE001 - whatever comes is the finding
        return traceback.format_exc()
    for err in said:
        chain, text = err, ""
        while chain is not None:
            text += f"{type(chain).__name__}: {chain}\n"
            chain = chain.__cause__ or chain.__context__
        for words in TRIED_WORDS:
            text = text.replace(words, "")
        if any(word in text for word in MEMORY_WORDS):
            return f"asked for too much memory: {text}"
        if not str(err).strip():
            return f"said nothing: {text}"
    return None


def work(job, first, progress):
    """Judge the copies of one kind from the first on; write down each that is begun."""
    folder = Path(job["folder"])
    files = [folder / name for name in job["files"]]
    whole = [file.read_bytes() for file in files]
    # All libraries are loaded and warm before the memory is measured.
    assert judge(str(folder / job["name"])) is None
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + SPARE_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    found = []
    for index in range(first, job["truncations"] + job["flips"]):
        progress.seek(0)
        progress.write(f"{index:9}")
        progress.flush()
        chosen = index % len(files)
        data = damage(
            whole[chosen],
            index,
            job["truncations"],
            job["seed"],
            job["structure"].get(job["files"][chosen], ()),
        )
        copy = folder.with_name(f"{folder.name}-{index}")
        shutil.copytree(folder, copy)
        (copy / job["files"][chosen]).write_bytes(data)
        signal.alarm(PATIENCE_S)
        wrong = judge(str(copy / job["name"]))
        signal.alarm(0)
        shutil.rmtree(copy)
        if wrong:
            found.append([index, job["files"][chosen], wrong])
    return found


def run(job):
    """Judge all copies of one kind, in a new process after each that was killed."""
    progress_path = Path(job["folder"] + ".progress")
    result_path = Path(job["folder"] + ".result")
    first, found = 0, []
    while first < job["truncations"] + job["flips"]:
        progress_path.write_text(f"{-1:9}")
        process = os.fork()
        if process == 0:
            status = 1
            try:
                with progress_path.open("r+") as progress:
                    result_path.write_text(json.dumps(work(job, first, progress)))
                status = 0
            finally:
                sys.stderr.flush()
                os._exit(status)
        code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        if code == 0:
            return found + json.loads(result_path.read_text())
        index = int(progress_path.read_text())
        if index < 0:
            return [*found, [index, "", "the whole slide is not read as it should"]]
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        found.append([index, job["files"][index % len(job["files"])], f"died: {name}"])
        first = index + 1
    return found


def main():
    """Answer jobs until there are no more."""
    import dask
    import imagecodecs  # noqa: F401
    import openslide  # noqa: F401
    import zarr  # noqa: F401

    import napari_mmsubtype.slides.slide_store
    import napari_mmsubtype.slides.tissue  # noqa: F401
    from napari_mmsubtype.slides.registry import BACKENDS, _load

    for target in BACKENDS.values():
        _load(target)
    dask.config.set(scheduler="synchronous")
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    # A dead process tells by its status; nobody needs its core.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    for line in sys.stdin:
        sys.stdout.write(json.dumps(run(json.loads(line))) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
