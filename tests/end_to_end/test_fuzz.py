"""Damaged slides of every kind: an error of ours or a readable slide, nothing else.

``MMSUBTYPE_FUZZ=full`` (``nox -s fuzz``) tries many more damaged copies.
"""

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

import builders.slides_fuzz
from builders.slide_kinds_scanners import SCANNERS
from builders.slides import (
    draw_scene,
    write_deepzoom,
    write_ome_tiff,
    write_ome_zarr,
    write_pyramid_tiff,
    write_qptiff,
    write_svs,
    zip_folder,
)

FULL = os.environ.get("MMSUBTYPE_FUZZ") == "full"
TRUNCATIONS, FLIPS = (100, 500) if FULL else (5, 13)
IMAGE = draw_scene(150, 210)
LARGER = draw_scene(300, 420)
pytestmark = [
    pytest.mark.skipif(
        sys.platform != "linux", reason="forks and memory limits of Linux"
    ),
    pytest.mark.timeout(3600 if FULL else 600),
]


def tiff(**options):
    return lambda path: write_pyramid_tiff(path, IMAGE, tile=64, **options)


def strips(**options):
    def write(path):
        more = {"photometric": "rgb", "metadata": None, "rowsperstrip": 20, **options}
        tifffile.imwrite(path, IMAGE, resolution=(2e4, 2e4), **more)

    return write


def palette(path):
    colors = (np.arange(768).reshape(3, 256) * 80).astype(np.uint16)
    options = {"photometric": "palette", "colormap": colors, "tile": (64, 64)}
    tifffile.imwrite(path, IMAGE[:, :, 0], metadata=None, **options)


def picture(**options):
    return lambda path: Image.fromarray(IMAGE).save(path, **options)


def zipped(version):
    def write(path):
        folder = path.parent.with_name("unzipped")
        write_ome_zarr(folder, IMAGE, version=version, chunk=64)
        zip_folder(folder, path)

    return write


@dataclass(frozen=True)
class Kind:
    id: str
    name: str
    write: object
    files: tuple[str, ...] = field(default=())


KINDS = [
    Kind("svs-jpeg", "a.svs", lambda p: write_svs(p, IMAGE, tile=64)),
    Kind(
        "svs-33003", "a.svs", lambda p: write_svs(p, IMAGE, tile=64, compression=33003)
    ),
    Kind(
        "svs-33005", "a.svs", lambda p: write_svs(p, IMAGE, tile=64, compression=33005)
    ),
    Kind("tiff-raw", "a.tif", tiff()),
    Kind("tiff-lzw", "a.tif", tiff(compression="lzw", predictor=True)),
    Kind("tiff-jpeg", "a.tif", tiff(compression="jpeg")),
    Kind("tiff-zstd", "a.tif", tiff(compression="zstd")),
    Kind("tiff-webp", "a.tif", tiff(compression="webp")),
    Kind("tiff-jpegxl", "a.tif", tiff(compression="jpegxl")),
    Kind("tiff-planar", "a.tif", tiff(compression="packbits", planarconfig="contig")),
    Kind("tiff-big-subifds", "a.btf", tiff(bigtiff=True, subifds=True)),
    Kind("tiff-deflate-be", "a.tif", strips(compression="deflate", byteorder=">")),
    Kind("tiff-strips-raw", "a.tif", strips()),
    Kind("tiff-strips-lzw", "a.tif", strips(compression="lzw")),
    Kind("tiff-palette", "a.tif", palette),
    Kind("ome-tiff", "a.ome.tif", lambda p: write_ome_tiff(p, IMAGE, tile=64)),
    Kind("qptiff", "a.qptiff", lambda p: write_qptiff(p, IMAGE, tile=64)),
    Kind("ome-zarr-0.4-zip", "a.zarr.zip", zipped("0.4")),
    Kind("ome-zarr-0.5-zip", "a.zarr.zip", zipped("0.5")),
    Kind(
        "ome-zarr-folder",
        "a.zarr",
        lambda p: write_ome_zarr(p, IMAGE, version="0.5", chunk=64),
        ("a.zarr/zarr.json", "a.zarr/0/zarr.json", "a.zarr/1/c/0/0/0"),
    ),
    Kind("png", "a.png", picture()),
    Kind("jpeg", "a.jpg", picture(quality=90)),
    Kind("webp", "a.webp", picture(lossless=True)),
    Kind("bmp", "a.bmp", picture()),
    Kind(
        "deepzoom",
        "a.dzi",
        lambda p: write_deepzoom(p, IMAGE, tile=64),
        ("a.dzi", "a_files/8/1_1.png"),
    ),
]
KINDS += [
    Kind(
        kind.id, kind.name, partial(lambda write, path: write(path, LARGER), kind.write)
    )
    for kind in SCANNERS
]


@pytest.fixture(scope="module")
def judge(tmp_path_factory):
    """Send a job to the process that forks for each of them."""
    script = Path(builders.slides_fuzz.__file__)
    environment = {**os.environ, "MMSUBTYPE_CACHE_MIB": "0", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, str(script)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
    ) as process:

        def send(job):
            process.stdin.write(json.dumps(job) + "\n")
            process.stdin.flush()
            return json.loads(process.stdout.readline())

        yield send
        process.stdin.close()


def structure_of(path):
    """Give the byte ranges of the page directories and small tags of a TIFF."""
    try:
        tif = tifffile.TiffFile(path)
    except (tifffile.TiffFileError, IsADirectoryError):
        return []
    ranges = [(0, 16)]
    with tif:
        pages = [page.aspage() for page in tif.pages]
        pages += [below.aspage() for page in pages for below in page.pages or ()]
        for page in pages:
            ranges.append((page.offset, page.offset + 8 + 12 * len(page.tags)))
            for tag in page.tags:
                ranges.append((tag.valueoffset, tag.valueoffset + tag.valuebytecount))
    return ranges


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.id)
def test_damage_gives_an_error_of_ours_or_a_readable_slide(kind, judge, tmp_path):
    folder = tmp_path / "whole"
    folder.mkdir()
    kind.write(folder / kind.name)
    everything = (file for file in folder.rglob("*") if file.is_file())
    files = kind.files or sorted(str(file.relative_to(folder)) for file in everything)
    job = {
        "folder": str(folder),
        "name": kind.name,
        "files": files,
        "truncations": TRUNCATIONS,
        "flips": FLIPS,
        "seed": kind.id,
        "structure": {name: structure_of(folder / name) for name in files},
    }
    wrong = judge(job)
    report = "\n".join(f"copy {index} of {name}: {why}" for index, name, why in wrong)
    assert not wrong, f"{len(wrong)} of {TRUNCATIONS + FLIPS} copies\n{report}"
