"""Leica SCN and Philips TIFF: tiled TIFF whose XML says what each page shows."""

from __future__ import annotations

import base64
import io

import numpy as np
import tifffile
from PIL import Image

SCN = "http://www.leica-microsystems.com/scn/2010/10/01"
MACRO_PX = (100, 160)


def tiled(tile, compression):
    """How a page of tiles is written; JPEG is of high quality."""
    more = {"compressionargs": {"level": 95}} if compression == "jpeg" else {}
    return {
        "tile": (tile, tile),
        "photometric": "rgb",
        "compression": compression,
        "metadata": None,
        **more,
    }


def reduce_by(image, factor):
    """Average blocks of pixels; both sides are multiples of the factor."""
    h, w = image.shape[0] // factor, image.shape[1] // factor
    blocks = image.reshape(h, factor, w, factor, 3).astype(np.float32)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def pad_to(image, multiple):
    """Repeat the last row and column up to a multiple."""
    h, w = image.shape[:2]
    return np.pad(image, ((0, -h % multiple), (0, -w % multiple), (0, 0)), mode="edge")


def decoded(path, pages):
    """What tifffile, an independent decoder, sees in pages."""
    with tifffile.TiffFile(path) as tif:
        return [np.asarray(tif.pages[index].asarray()) for index in pages]


def write_scn(path, image, *, mpp=0.5, objective=20, compression="jpeg", tile=128):
    """Leica layout: a macro of the whole glass, then levels of the part scanned.

    OpenSlide's levels cover the glass, here 96 px above and 64 px beside the image.
    """
    image = pad_to(image, 4)
    levels = [image, reduce_by(image, 4)]
    top, left = 96, 64
    glass = (image.shape[0] + 160, image.shape[1] + 128)
    nm = round(mpp * 1000)

    def dimensions(first, sizes):
        return "".join(
            f'<dimension sizeX="{w}" sizeY="{h}" r="{r}" ifd="{first + r}"/>'
            for r, (h, w) in enumerate(sizes)
        )

    def describe(name, view, sizes, first, power):
        h, w = sizes[0]
        y, x, tall, wide = (value * nm for value in view)
        return (
            f'<image name="{name}" uuid="urn:uuid:1"><creationDate>2020-01-02T03:04:05Z'
            '</creationDate><device model="Leica SCN400" version="1.4"/>'
            f'<pixels sizeX="{w}" sizeY="{h}">{dimensions(first, sizes)}</pixels>'
            f'<view sizeX="{wide}" sizeY="{tall}" offsetX="{x}" offsetY="{y}"/>'
            f"<scanSettings><objectiveSettings><objective>{power}</objective>"
            "</objectiveSettings><illuminationSettings><numericalAperture>0.4"
            "</numericalAperture><illuminationSource>brightfield</illuminationSource>"
            "</illuminationSettings></scanSettings></image>"
        )

    main = describe(
        "image_0000",
        (top, left, *image.shape[:2]),
        [level.shape[:2] for level in levels],
        1,
        objective,
    )
    whole = describe("macro", (0, 0, *glass), [MACRO_PX], 0, 0.6)
    text = (
        f'<?xml version="1.0"?><scn xmlns="{SCN}"><collection name="slide" '
        f'sizeX="{glass[1] * nm}" sizeY="{glass[0] * nm}"><barcode>RG9l</barcode>'
        f"{whole}{main}</collection></scn>"
    )
    options = tiled(tile, compression)
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        macro = np.full((*MACRO_PX, 3), 120, np.uint8)
        tif.write(macro, description=text, **options)
        for number, level in enumerate(levels):
            per_cm = 1e4 / (mpp * 4**number)
            tif.write(
                level,
                resolution=(per_cm, per_cm),
                resolutionunit="CENTIMETER",
                **options,
            )
    made = []
    for number, level in enumerate(decoded(path, (1, 2))):
        factor = 4**number
        canvas = np.full((glass[0] // factor, glass[1] // factor, 3), 255, np.uint8)
        y, x = top // factor, left // factor
        canvas[y : y + level.shape[0], x : x + level.shape[1]] = level
        made.append(canvas)
    return made


def write_philips(
    path, image, *, mpp=0.5, levels=3, compression="jpeg", tile=128, hole=False
):
    """Philips layout: every level is padded to whole tiles and lies about its size.

    Only the pixel spacing in the XML tells the true factor. With `hole` the second
    tile of level 0 is not stored, as between the regions of a sparse slide.
    """
    image = pad_to(image, tile)
    true = [reduce_by(image, 2**number) for number in range(levels)]

    def attribute(name, value, kind="IString"):
        return (
            f'<Attribute Name="{name}" Group="0x0028" Element="0x0030" '
            f'PMSVR="{kind}">{value}</Attribute>'
        )

    def spacing(number):
        # Row and column spacing in mm, as quoted strings within the XML.
        side = f"&quot;{mpp * 2**number / 1000:.6f}&quot;"
        return attribute("DICOM_PIXEL_SPACING", f"{side} {side}", "IDoubleArray")

    def thing(kind, *content):
        return f'<DataObject ObjectType="{kind}">{"".join(content)}</DataObject>'

    def picture(kind, level):
        held = io.BytesIO()
        Image.fromarray(np.full((40, 60, 3), level, np.uint8)).save(held, "JPEG")
        data = base64.b64encode(held.getvalue()).decode()
        return thing(
            "DPScannedImage",
            attribute("PIM_DP_IMAGE_TYPE", kind),
            attribute("PIM_DP_IMAGE_DATA", data),
        )

    represented = "".join(
        thing(
            "PixelDataRepresentation",
            spacing(number),
            attribute("PIIM_PIXEL_DATA_REPRESENTATION_NUMBER", number),
        )
        for number in range(levels)
    )
    main = thing(
        "DPScannedImage",
        attribute("PIM_DP_IMAGE_TYPE", "WSI"),
        attribute("DICOM_DERIVATION_DESCRIPTION", "PHILIPS UFS V1.6-levels=20,10,5"),
        spacing(0),
        attribute(
            "PIIM_PIXEL_DATA_REPRESENTATION_SEQUENCE",
            f"<Array>{represented}</Array>",
            "IDataObjectArray",
        ),
    )
    images = f"<Array>{main}{picture('MACROIMAGE', 120)}{picture('LABELIMAGE', 200)}"
    text = '<?xml version="1.0" encoding="UTF-8" ?>' + thing(
        "DPUfsImport",
        attribute("DICOM_MANUFACTURER", "PHILIPS"),
        attribute("PIM_DP_UFS_BARCODE", base64.b64encode(b"Doe").decode()),
        attribute("PIM_DP_SCANNED_IMAGES", f"{images}</Array>", "IDataObjectArray"),
    )
    options = tiled(tile, compression) | {"software": "Philips DP v1.0"}
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        for number, level in enumerate(true):
            told = {"description": text} if number == 0 else {"subfiletype": 1}
            padded = pad_to(level, tile)
            if hole and number == 0:
                tiles = [
                    None if (y, x) == (0, tile) else padded[y : y + tile, x : x + tile]
                    for y in range(0, padded.shape[0], tile)
                    for x in range(0, padded.shape[1], tile)
                ]
                told |= {"shape": padded.shape, "dtype": np.uint8}
                tif.write(iter(tiles), **told, **options)
            else:
                tif.write(padded, **told, **options)
    made = [
        level[: shown.shape[0], : shown.shape[1]]
        for level, shown in zip(decoded(path, range(levels)), true, strict=True)
    ]
    if hole:
        made[0][:tile, tile : 2 * tile] = 255
    return made
