"""Kinds of files that scanners write and OpenSlide or a reader of ours reads."""

from __future__ import annotations

from functools import partial

from builders import slides_czi, slides_dicom
from builders.slide_kind import DECODER, LOSSY, Kind
from builders.slides import halve
from builders.slides_hamamatsu import write_ndpi, write_vms
from builders.slides_leica_philips import write_philips, write_scn
from builders.slides_mirax import write_mrxs
from builders.slides_ventana_trestle import write_bif, write_trestle


def _write_series(folder, image):
    folder.mkdir()
    return _write_one_of_series(folder / "b.dcm", image)


def _write_one_of_series(path, image):
    """The file asked for has the full size; half of it and photographs lie beside."""
    write = slides_dicom.write_dicom
    made = write(path, image) + write(
        path.with_name("a.dcm"), halve(image), mpp=1.0, instance=2
    )
    for number, flavor in enumerate(("LABEL", "OVERVIEW"), start=3):
        write(path.with_name(flavor), image[:128, :128], instance=number, flavor=flavor)
    return made


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
DICOM = {"vendor": "dicom", "objective": "20"}
DICOM_JPEG = DICOM | {"compression": "jpeg", "tolerance": DECODER}
DICOM_SERIES = DICOM_JPEG | {"levels": 2, "associated": ("label", "macro")}

SCANNERS = [
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
    Kind("dicom", "openslide", slides_dicom.write_dicom, "a.dcm", **DICOM_JPEG),
    Kind(
        "dicom-raw",
        "openslide",
        partial(slides_dicom.write_dicom, raw=True),
        "a.dcm",
        compression="none",
        **DICOM,
    ),
    Kind(
        "dicom-sparse",
        "openslide",
        partial(slides_dicom.write_dicom, raw=True, keep=(*range(1, 12), 17)),
        "a.dcm",
        compression="none",
        **DICOM,
    ),
    Kind(
        "dicom-parts",
        "openslide",
        slides_dicom.write_concatenation,
        "series",
        **DICOM_JPEG,
    ),
    Kind("dicom-folder", "openslide", _write_series, "series", **DICOM_SERIES),
    Kind(
        "dicom-one-of-series",
        "openslide",
        _write_one_of_series,
        "b.dcm",
        **DICOM_SERIES,
    ),
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
]
