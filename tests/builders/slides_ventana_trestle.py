"""Ventana BIF and Trestle: tiled TIFF whose neighbouring tiles overlap."""

from __future__ import annotations

import io

import numpy as np
import tifffile
from PIL import Image

from builders.slides_leica_philips import pad_to, reduce_by, tiled


def overlapping_tiles(image, tile, overlap):
    """Cut an image into tiles that share a margin, the last ones padded with white."""
    step = tile - overlap
    rows = max(1, -(-(image.shape[0] - overlap) // step))
    cols = max(1, -(-(image.shape[1] - overlap) // step))
    canvas = np.full((rows * step + overlap, cols * step + overlap, 3), 255, np.uint8)
    canvas[: image.shape[0], : image.shape[1]] = image
    tiles = [
        [
            canvas[r * step : r * step + tile, c * step : c * step + tile]
            for c in range(cols)
        ]
        for r in range(rows)
    ]
    return canvas, np.concatenate([np.concatenate(row, axis=1) for row in tiles])


def write_bif(
    path,
    image,
    *,
    mpp=0.5,
    magnification=20,
    compression="jpeg",
    tile=128,
    overlap=8,
):
    """Ventana layout: label photograph, then levels; joints tell how tiles overlap.

    Lower levels halve the tiles of level 0 with their overlaps, so a stored tile of
    level 1 holds four that must be moved onto each other.
    """
    canvas, mosaic = overlapping_tiles(image, tile, overlap)
    rows, cols = mosaic.shape[0] // tile, mosaic.shape[1] // tile

    def number(row, col):
        # Counted from the lower left, every second row backwards.
        up = rows - 1 - row
        return up * cols + (cols - 1 - col if up % 2 else col) + 1

    joints = "".join(
        f'<TileJointInfo FlagJoined="1" Confidence="100" Direction="{direction}" '
        f'Tile1="{number(*first)}" Tile2="{number(*second)}" '
        f'OverlapX="{x}" OverlapY="{y}"/>'
        for row in range(rows)
        for col in range(cols)
        for direction, first, second, x, y, inside in (
            ("RIGHT", (row, col), (row, col + 1), overlap, 0, col + 1 < cols),
            ("UP", (row, col), (row - 1, col), 0, overlap, row > 0),
        )
        if inside
    )
    scan = (
        f'<iScan Magnification="{magnification}" ScanRes="{mpp}" '
        f'UnitNumber="2000515" UserName="Doe" Z-layers="1" Mode="0">'
        '<AOI0 Left="0" Top="0" Right="1" Bottom="1"/></iScan>'
    )
    encode = (
        '<EncodeInfo Ver="2"><SlideInfo><AoiInfo XIMAGESIZE="1" YIMAGESIZE="1"/>'
        "</SlideInfo><SlideStitchInfo>"
        f'<ImageInfo AOIScanned="1" AOIIndex="0" Width="{tile}" Height="{tile}" '
        f'NumRows="{rows}" NumCols="{cols}" Pos-X="0" Pos-Y="0">{joints}</ImageInfo>'
        '</SlideStitchInfo><AoiOrigin><AOI0 OriginX="0" OriginY="0"/></AoiOrigin>'
        "</EncodeInfo>"
    )

    def packet(text):
        data = text.encode()
        return [(700, 1, len(data), data, True)]

    photograph = np.full((100, 60, 3), 120, np.uint8)
    small = {"photometric": "rgb", "metadata": None, "rowsperstrip": 16}
    options = tiled(tile, compression)
    half = reduce_by(mosaic, 2)
    with tifffile.TiffWriter(path, bigtiff=True) as tif:
        tif.write(
            photograph, description="Label_Image", extratags=packet(scan), **small
        )
        tif.write(
            photograph[:, :, :1],
            description="Probability_Image",
            **small | {"photometric": "minisblack"},
        )
        for level, (power, pixels, text) in enumerate(
            ((magnification, mosaic, encode), (magnification / 2, half, None))
        ):
            told = f"level={level} mag={power:g} quality=95"
            more = {} if text is None else {"extratags": packet(text)}
            tif.write(pixels, description=told, **more, **options)
    return [canvas, reduce_by(canvas, 2)]


def write_trestle(path, image, *, mpp=0.5, objective=20, compression="jpeg", tile=128):
    """Trestle layout: overlaps per level in the description, microns in XResolution."""
    overlaps = (16, 8)
    image = pad_to(image, 2)
    made = [image, reduce_by(image, 2)]
    stored = []
    for level, overlap in zip(made, overlaps, strict=True):
        _, mosaic = overlapping_tiles(level, tile, overlap)
        # The page ends with the image; only its tiles are padded.
        extra = [(side // tile - 1) * overlap for side in mosaic.shape[:2]]
        height, width = (s + e for s, e in zip(level.shape, extra, strict=False))
        stored.append(mosaic[:height, :width])
    pairs = " ".join(f"{overlap} {overlap}" for overlap in overlaps)
    text = (
        "Background Color=FFFFFF;White Balance=ff,ff,ff;"
        f"Objective Power={objective};JPEG Quality=95;OverlapsXY= {pairs};"
    )
    options = tiled(tile, compression) | {"software": "MedScan"}
    with tifffile.TiffWriter(path) as tif:
        for number, level in enumerate(stored):
            told = {"description": text} if number == 0 else {"subfiletype": 1}
            side = mpp * 2**number
            tif.write(level, resolution=(side, side), **told, **options)
    held = io.BytesIO()
    Image.fromarray(np.full((40, 90, 3), 120, np.uint8)).save(held, "JPEG")
    path.with_suffix(".Full").write_bytes(held.getvalue())
    return made
