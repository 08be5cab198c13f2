"""Tiled TIFFs of JPEG streams, written as different scanners write them."""

import imagecodecs
import numpy as np
import tifffile

from builders.slides import APERIO, MPP, halve

SUBSAMPLINGS = {"444": (1, 1), "422": (2, 1), "420": (2, 2)}


def split_stream(stream):
    """Segments before the scan, as (marker, bytes), and the rest of the stream."""
    at, segments = 2, []
    while stream[at + 1] != 0xDA:
        end = at + 2 + int.from_bytes(stream[at + 2 : at + 4], "big")
        segments.append((stream[at + 1], stream[at:end]))
        at = end
    return segments, stream[at:]


def join_stream(segments, scan):
    return b"\xff\xd8" + b"".join(data for _, data in segments) + scan


def rename_components(segments, scan, names):
    """Give the three components other identifiers, in the frame and in the scan."""
    changed, named = [], bytearray(scan)
    for marker, data in segments:
        body = bytearray(data)
        if marker == 0xC0:
            body[10:19:3] = names
        changed.append((marker, bytes(body)))
    named[5:11:2] = names
    return changed, bytes(named)


def encode_tile(tile, *, rgb=False, subsampling="444", level=85):
    """One JPEG with tables of its own, YCbCr unless told."""
    if rgb:
        return imagecodecs.jpeg_encode(
            tile, level=level, colorspace="RGB", outcolorspace="RGB"
        )
    return imagecodecs.jpeg_encode(
        tile, level=level, subsampling=SUBSAMPLINGS[subsampling]
    )


def abbreviate(stream, *, markers=True):
    """Take the tables out of a stream, and application markers if told."""
    segments, scan = split_stream(stream)
    tables = [s for s in segments if s[0] in (0xC4, 0xDB)]
    own = [s for s in segments if s[0] not in (0xC4, 0xDB)]
    if not markers:
        own = [s for s in own if not 0xE0 <= s[0] <= 0xEF]
        # Aperio counts its components from 0, whatever their colors.
        own, scan = rename_components(own, scan, b"\0\1\2")
    return join_stream(own, scan), join_stream(tables, b"\xff\xd9")


def write_jpeg_tiff(
    path,
    image,
    *,
    tile=128,
    levels=2,
    rgb=False,
    subsampling="444",
    shared=False,
    markers=True,
    aperio=False,
    level=85,
    photometric=None,
    **more,
):
    """Write a pyramid of JPEG tiles, full at the border, and give its path."""
    made = [image]
    while len(made) < levels:
        made.append(halve(made[-1]))
    h, w = image.shape[:2]
    about = f"{APERIO.format(h=h, w=w, t=tile)}|AppMag = 20|MPP = {MPP}"
    with tifffile.TiffWriter(path) as tif:
        for number, pixels in enumerate(made):
            streams, tables = [], None
            for y in range(0, pixels.shape[0], tile):
                for x in range(0, pixels.shape[1], tile):
                    part = pixels[y : y + tile, x : x + tile]
                    pad = [(0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0)]
                    full = np.ascontiguousarray(np.pad(part, pad, mode="edge"))
                    stream = encode_tile(
                        full, rgb=rgb, subsampling=subsampling, level=level
                    )
                    if shared:
                        stream, tables = abbreviate(stream, markers=markers)
                    streams.append(stream)
            tif.write(
                iter(streams),
                shape=pixels.shape,
                dtype=np.uint8,
                tile=(tile, tile),
                compression="jpeg",
                photometric=photometric or ("rgb" if rgb else "ycbcr"),
                # Or tifffile would say YCbCr whatever it is told.
                compressionargs={"outcolorspace": "RGB"} if photometric or rgb else {},
                subsampling=None if rgb else SUBSAMPLINGS[subsampling],
                jpegtables=tables,
                metadata=None,
                subfiletype=int(number > 0),
                resolution=(1e4 / MPP, 1e4 / MPP),
                resolutionunit="CENTIMETER",
                description=about if aperio else None,
                **more,
            )
    return path
