"""Every kind of slide file that can be read."""

from __future__ import annotations

from functools import partial

import numpy as np
import tifffile
from PIL import Image

from builders.slide_kind import LOSSY, Kind
from builders.slide_kinds_scanners import SCANNERS
from builders.slides import (
    write_deepzoom,
    write_ome_tiff,
    write_ome_zarr,
    write_pyramid_tiff,
    write_qptiff,
    write_svs,
    zip_folder,
)


def _write_image(path, image, **options):
    Image.fromarray(image).save(path, **options)


def _write_grey(path, image):
    levels = [image[:, :, 0], image[::2, ::2, 0], image[::4, ::4, 0]]
    options = {"tile": (64, 64), "compression": "lzw", "metadata": None}
    with tifffile.TiffWriter(path) as tif:
        for number, level in enumerate(levels):
            tif.write(
                level,
                subfiletype=min(number, 1),
                resolution=(2e4, 2e4),
                resolutionunit="CENTIMETER",
                **options,
            )
    return [np.dstack([level] * 3) for level in levels]


def _write_deep(path, image):
    levels = write_pyramid_tiff(path, image.astype(np.uint16) * 257)
    return [(level >> 8).astype(np.uint8) for level in levels]


def _write_clear(path, image):
    """Half of it see-through, as which it is white."""
    alpha = np.full(image.shape[:2], 255, np.uint8)
    alpha[:, 300:] = 0
    write_pyramid_tiff(
        path, np.dstack([image, alpha]), levels=1, extrasamples=["unassalpha"]
    )
    return [np.where(alpha[:, :, None] == 255, image, np.uint8(255))]


def _write_palette(path, image):
    colors = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint16)
    picked = image[:, :, 0]
    tifffile.imwrite(
        path,
        picked,
        photometric="palette",
        colormap=colors * 257,
        tile=(64, 64),
        metadata=None,
    )
    return [np.moveaxis(colors.astype(np.uint8)[:, picked], 0, -1)]


def _write_strips(path, image):
    tifffile.imwrite(path, image, photometric="rgb", compression="zlib", rowsperstrip=7)


def _write_zip(path, image):
    folder = path.with_suffix(".folder")
    made = write_ome_zarr(folder, image)
    zip_folder(folder, path)
    return made


def _write_deepzoom(path, image, **more):
    # The last levels are smaller than a tile and are not read.
    return write_deepzoom(path, image, **more)[:3]


APERIO = {"vendor": "aperio", "objective": "20", "levels": 2}
APERIO["associated"] = ("thumbnail", "label", "macro")
GENERIC = {"vendor": "generic-tiff", "levels": 3, "source": "resolution-tag"}
OME_ZARR = {"vendor": "ome-zarr", "levels": 3}
NO_SCALE = {"source": "none", "mpp": None}

KINDS = [
    Kind(
        "svs-jpeg",
        "tifffile",
        write_svs,
        "a.svs",
        compression="jpeg",
        tolerance=LOSSY,
        **APERIO,
    ),
    Kind(
        "svs-33003",
        "tifffile",
        partial(write_svs, compression=33003),
        "a.svs",
        compression="aperio_jp2000_ycbc",
        tolerance=1.0,
        **APERIO,
    ),
    Kind(
        "svs-33005",
        "tifffile",
        partial(write_svs, compression=33005),
        "a.svs",
        compression="aperio_jp2000_rgb",
        **APERIO,
    ),
    Kind(
        "pyramid",
        "tifffile",
        write_pyramid_tiff,
        "a.tif",
        compression="none",
        **GENERIC,
    ),
    Kind(
        "bigtiff-subifds",
        "tifffile",
        partial(write_pyramid_tiff, bigtiff=True, subifds=True),
        "a.btf",
        compression="none",
        **GENERIC,
    ),
    Kind(
        "ome-tiff",
        "tifffile",
        write_ome_tiff,
        "a.ome.tif",
        "ome-tiff",
        3,
        compression="deflate",
    ),
    Kind(
        "qptiff",
        "tifffile",
        write_qptiff,
        "a.qptiff",
        "perkinelmer",
        2,
        source="resolution-tag",
        objective="20x",
        compression="none",
        associated=("thumbnail", "macro", "label"),
    ),
    Kind(
        "svs-by-openslide",
        "openslide",
        write_svs,
        "a.svs",
        compression="jpeg",
        tolerance=LOSSY,
        **APERIO,
    ),
    Kind(
        "tiff-by-openslide",
        "openslide",
        write_pyramid_tiff,
        "a.tif",
        compression="none",
        **GENERIC,
    ),
    Kind(
        "ome-zarr-0.4",
        "omezarr",
        write_ome_zarr,
        "a.zarr",
        compression="blosc",
        **OME_ZARR,
    ),
    Kind(
        "ome-zarr-0.5",
        "omezarr",
        partial(write_ome_zarr, version="0.5"),
        "a.zarr",
        compression="zstd",
        **OME_ZARR,
    ),
    Kind(
        "ome-zarr-zip",
        "omezarr",
        _write_zip,
        "a.zarr.zip",
        compression="blosc",
        **OME_ZARR,
    ),
    Kind(
        "deepzoom",
        "deepzoom",
        _write_deepzoom,
        "a.dzi",
        "deepzoom",
        4,
        compression="png",
        **NO_SCALE,
    ),
    Kind(
        "deepzoom-jpeg",
        "deepzoom",
        partial(_write_deepzoom, tile=200, overlap=0, ending="jpeg"),
        "a.dzi",
        "deepzoom",
        3,
        LOSSY,
        compression="jpeg",
        **NO_SCALE,
    ),
    Kind(
        "png",
        "image",
        _write_image,
        "a.png",
        "generic-png",
        compression="png",
        **NO_SCALE,
    ),
    Kind(
        "synthetic",
        "synthetic",
        None,
        "synthetic:seed=4,size=700x900",
        "synthetic",
        0,
        compression="none",
    ),
    Kind(
        "jpeg",
        "image",
        partial(_write_image, quality=95),
        "a.jpg",
        "generic-jpeg",
        tolerance=LOSSY,
        compression="jpeg",
        **NO_SCALE,
    ),
    Kind(
        "webp",
        "image",
        partial(_write_image, lossless=True),
        "a.webp",
        "generic-webp",
        compression="webp",
        **NO_SCALE,
    ),
    Kind("tiff-grey", "tifffile", _write_grey, "a.tif", compression="lzw", **GENERIC),
    Kind(
        "tiff-16-bit", "tifffile", _write_deep, "a.tif", compression="none", **GENERIC
    ),
    Kind(
        "tiff-rgba",
        "tifffile",
        _write_clear,
        "a.tif",
        compression="none",
        **GENERIC | {"levels": 1},
    ),
    Kind(
        "tiff-palette",
        "tifffile",
        _write_palette,
        "a.tif",
        "generic-tiff",
        compression="none",
        **NO_SCALE,
    ),
    Kind(
        "tiff-strips",
        "tifffile",
        _write_strips,
        "a.tif",
        "generic-tiff",
        compression="adobe_deflate",
        **NO_SCALE,
    ),
    *SCANNERS,
]
