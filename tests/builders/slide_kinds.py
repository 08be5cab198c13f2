"""Every kind of slide file that can be read."""

from __future__ import annotations

from functools import partial

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


def _save_image(path, image):
    Image.fromarray(image).save(path)


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
        _save_image,
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
    *SCANNERS,
]
