"""Every kind of slide file that can be read: who writes it and what it must tell."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from PIL import Image

from builders import slides_czi, slides_dicom
from builders.slides import (
    draw_scene,
    halve,
    write_deepzoom,
    write_ome_tiff,
    write_ome_zarr,
    write_pyramid_tiff,
    write_qptiff,
    write_svs,
    zip_folder,
)
from builders.slides_hamamatsu import write_ndpi, write_vms
from builders.slides_leica_philips import write_philips, write_scn
from builders.slides_mirax import write_mrxs
from builders.slides_ventana_trestle import write_bif, write_trestle

IMAGE = draw_scene(500, 700)
EXACT = 0.0
DECODER = 0.05
"""Mean difference between two decoders of the same JPEG, in levels of 8 bits."""
LOSSY = 3.0
"""Mean difference that JPEG at high quality may make."""


@dataclass(frozen=True)
class Kind:
    """A kind of file.

    `write(path, image)` gives the levels that an independent reader sees, or None where
    the file holds the image itself in one level.
    """

    id: str
    backend: str
    write: Callable | None
    name: str
    vendor: str
    levels: int = 1
    tolerance: float = EXACT
    source: str = "vendor"
    mpp: float | None = 0.5
    objective: str | None = None
    compression: str = ""
    associated: tuple[str, ...] = ()


def _save_image(path, image):
    Image.fromarray(image).save(path)


def _write_zip(path, image):
    folder = path.with_suffix(".folder")
    made = write_ome_zarr(folder, image)
    zip_folder(folder, path)
    return made


def _write_series(folder, image):
    folder.mkdir()
    slides_dicom.write_dicom(folder / "b.dcm", image)
    small = halve(image)
    slides_dicom.write_dicom(folder / "a.dcm", small, mpp=1.0, instance=2)
    return [image, small]


def _write_deepzoom(path, image, **more):
    # The last levels are smaller than a tile and are not read.
    return write_deepzoom(path, image, **more)[:3]


APERIO = {"vendor": "aperio", "objective": "20", "levels": 2}
APERIO["associated"] = ("thumbnail", "label", "macro")
GENERIC = {"vendor": "generic-tiff", "levels": 3, "source": "resolution-tag"}
LEICA = {"vendor": "leica", "levels": 2, "source": "resolution-tag"}
LEICA |= {"objective": "20", "associated": ("macro",)}
PHILIPS = {"vendor": "philips", "levels": 3, "objective": "20"}
PHILIPS["associated"] = ("label", "macro")
VENTANA = {
    "vendor": "ventana",
    "levels": 2,
    "objective": "20",
    "associated": ("macro",),
}
TRESTLE = VENTANA | {"vendor": "trestle"}
MIRAX = PHILIPS | {"vendor": "mirax"}
NDPI = {"vendor": "hamamatsu", "levels": 6, "objective": "20", "associated": ("macro",)}
NDPI |= {"source": "resolution-tag", "compression": "jpeg", "tolerance": DECODER}
ZEISS = {"vendor": "zeiss", "levels": 3, "objective": "20"}
ZEISS["associated"] = ("label", "macro", "thumbnail")
OME_ZARR = {"vendor": "ome-zarr", "levels": 3}
DICOM = {"vendor": "dicom", "compression": "jpeg", "tolerance": LOSSY}
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
        "scn",
        "openslide",
        write_scn,
        "a.scn",
        compression="jpeg",
        tolerance=DECODER,
        **LEICA,
    ),
    Kind(
        "scn-lossless",
        "openslide",
        partial(write_scn, compression="deflate"),
        "a.scn",
        compression="deflate",
        **LEICA,
    ),
    Kind(
        "philips",
        "openslide",
        write_philips,
        "a.tiff",
        compression="jpeg",
        tolerance=DECODER,
        **PHILIPS,
    ),
    Kind(
        "philips-lossless",
        "openslide",
        partial(write_philips, compression="deflate", hole=True),
        "a.tiff",
        compression="deflate",
        **PHILIPS,
    ),
    Kind(
        "bif",
        "openslide",
        write_bif,
        "a.bif",
        compression="jpeg",
        tolerance=LOSSY,
        **VENTANA,
    ),
    Kind(
        "bif-lossless",
        "openslide",
        partial(write_bif, compression="deflate"),
        "a.bif",
        compression="deflate",
        **VENTANA,
    ),
    Kind(
        "trestle",
        "openslide",
        write_trestle,
        "a.tif",
        compression="jpeg",
        tolerance=LOSSY,
        **TRESTLE,
    ),
    Kind(
        "trestle-lossless",
        "openslide",
        partial(write_trestle, compression="deflate"),
        "a.tif",
        compression="deflate",
        **TRESTLE,
    ),
    Kind("ndpi", "openslide", write_ndpi, "a.ndpi", **NDPI),
    Kind(
        "ndpi-422",
        "openslide",
        partial(write_ndpi, subsampling=1, tile=256),
        "a.ndpi",
        **NDPI,
    ),
    Kind(
        "vms",
        "openslide",
        write_vms,
        "a.vms",
        **NDPI | {"levels": 8, "source": "vendor"},
    ),
    Kind(
        "mrxs",
        "openslide",
        write_mrxs,
        "a.mrxs",
        compression="jpeg",
        tolerance=LOSSY,
        **MIRAX,
    ),
    Kind(
        "mrxs-lossless",
        "openslide",
        partial(write_mrxs, kind="PNG", jitter=8),
        "a.mrxs",
        compression="png",
        **MIRAX,
    ),
    Kind("dicom", "openslide", slides_dicom.write_dicom, "a.dcm", **DICOM),
    Kind("dicom-folder", "openslide", _write_series, "series", levels=2, **DICOM),
    Kind(
        "czi-zstd",
        "openslide",
        slides_czi.write_czi,
        "a.czi",
        compression="zstd",
        **ZEISS,
    ),
    Kind(
        "czi-raw",
        "openslide",
        partial(slides_czi.write_czi, compression=slides_czi.RAW),
        "a.czi",
        compression="none",
        **ZEISS,
    ),
    Kind(
        "czi-jpegxr",
        "czi",
        partial(slides_czi.write_czi, compression=slides_czi.JPEG_XR),
        "a.czi",
        compression="jpegxr",
        **ZEISS,
    ),
    Kind(
        "czi-jpeg",
        "czi",
        partial(slides_czi.write_czi, compression=slides_czi.JPEG),
        "a.czi",
        compression="jpeg",
        **ZEISS | {"tolerance": LOSSY},
    ),
    Kind(
        "czi-zstd-by-us",
        "czi",
        slides_czi.write_czi,
        "a.czi",
        compression="zstd",
        **ZEISS,
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
]
