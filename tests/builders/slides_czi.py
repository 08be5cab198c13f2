"""Zeiss CZI: segments of a header, tiles with their places, XML and attachments."""

from __future__ import annotations

import io
import struct
import uuid

import imagecodecs
import numpy as np
from PIL import Image

from builders.slides_leica_philips import reduce_by

RAW, JPEG, JPEG_XR, ZSTD0, ZSTD1 = 0, 1, 4, 5, 6
GREY8, GREY16, BGR24, BGR48 = 0, 1, 3, 4
RGB24_FORMAT = bytes.fromhex("24c3dd6f034efe4bb1853d77768dc90d")
BGR24_FORMAT = RGB24_FORMAT[:-1] + b"\x0c"


def encode(pixels, compression):
    """Encode a tile; raw and zstd hold blue first, JPEG XR and JPEG red."""
    swapped = np.ascontiguousarray(pixels[:, :, ::-1])
    if compression == RAW:
        return swapped.tobytes()
    if compression == ZSTD0:
        return imagecodecs.zstd_encode(swapped.tobytes())
    if compression == ZSTD1:
        data = swapped.tobytes()
        if pixels.dtype == np.uint16:
            # Low bytes first, then high ones.
            halves = np.frombuffer(data, np.uint8).reshape(-1, 2)
            packed = np.ascontiguousarray(halves.T).tobytes()
            return b"\x03\x01\x01" + imagecodecs.zstd_encode(packed)
        return b"\x01" + imagecodecs.zstd_encode(data)
    if compression == JPEG_XR:
        data = imagecodecs.jpegxr_encode(np.ascontiguousarray(pixels), level=1.0)
        # The scanner's software names the same colors 24-bit BGR, not RGB.
        return data.replace(RGB24_FORMAT, BGR24_FORMAT, 1)
    return imagecodecs.jpeg8_encode(
        np.ascontiguousarray(pixels), level=95, subsampling="444"
    )


class CziFile:
    """Segments one after the other; the header learns the places at the end."""

    def __init__(self):
        self._body = io.BytesIO(b"\0" * 544)
        self._body.seek(0, 2)
        self._entries = []

    def segment(self, name, data):
        """Write a segment and tell where."""
        at = self._body.tell()
        self._body.write(name.ljust(16, b"\0"))
        self._body.write(struct.pack("<qq", len(data), len(data)) + data)
        return at

    def tile(self, data, kind, compression, dimensions):
        """Write one tile; dimensions are (name, start, size, stored size)."""

        def entry(at):
            head = struct.pack(
                "<2siqiibb4si",
                b"DV",
                kind,
                at,
                0,
                compression,
                0,
                0,
                b"\0" * 4,
                len(dimensions),
            )
            return head + b"".join(
                struct.pack("<4siifi", name.encode(), start, size, 0.0, stored)
                for name, start, size, stored in dimensions
            )

        at = self._body.tell()
        described = struct.pack("<iiq", 0, 0, len(data)) + entry(at)
        self.segment(b"ZISRAWSUBBLOCK", described.ljust(256, b"\0") + data)
        self._entries.append(entry(at))

    def finish(self, xml, attachments=()):
        """Write directory, metadata and attachments, and give the bytes of the file."""
        listed = struct.pack("<i", len(self._entries)).ljust(128, b"\0")
        tiles_at = self.segment(b"ZISRAWDIRECTORY", listed + b"".join(self._entries))
        text = xml.encode()
        head = struct.pack("<ii", len(text), 0).ljust(256, b"\0")
        xml_at = self.segment(b"ZISRAWMETADATA", head + text)
        known = []
        for name, kind, data in attachments:
            at = self._body.tell()
            entry = struct.pack(
                "<2s10sqi16s8s80s",
                b"A1",
                b"",
                at,
                0,
                uuid.UUID(int=2).bytes,
                kind.encode(),
                name.encode(),
            )
            head = struct.pack("<i12s", len(data), b"") + entry
            self.segment(b"ZISRAWATTACH", head.ljust(256, b"\0") + data)
            known.append(entry)
        listed = struct.pack("<i", len(known)).ljust(256, b"\0") + b"".join(known)
        known_at = self.segment(b"ZISRAWATTDIR", listed)
        guid = uuid.UUID(int=1).bytes
        places = (tiles_at, xml_at, 0, known_at)
        head = struct.pack("<iiii16s16siqqiq", 1, 0, 0, 0, guid, guid, 0, *places)
        self._body.seek(0)
        self._body.write(b"ZISRAWFILE".ljust(16, b"\0"))
        self._body.write(struct.pack("<qq", 512, len(head)) + head)
        return self._body.getvalue()


def describe(shape, mpp, objective, scenes):
    """The parts of the metadata that tell size, scale and objective."""
    scale = (
        ""
        if mpp is None
        else "".join(
            f'<Distance Id="{axis}"><Value>{value * 1e-6:.9g}</Value>'
            "<DefaultUnitFormat>µm</DefaultUnitFormat></Distance>"
            for axis, value in zip("YX", mpp, strict=True)
        )
    )
    return (
        "<ImageDocument><Metadata><Information><User><Name>Doe</Name></User><Image>"
        f"<SizeX>{shape[1]}</SizeX><SizeY>{shape[0]}</SizeY><SizeS>{scenes}</SizeS>"
        "<AcquisitionDateAndTime>2020-01-02T03:04:05Z</AcquisitionDateAndTime>"
        '<ObjectiveSettings><ObjectiveRef Id="Objective:1"/></ObjectiveSettings>'
        '</Image><Instrument><Objectives><Objective Id="Objective:1">'
        f"<NominalMagnification>{objective}</NominalMagnification></Objective>"
        "</Objectives></Instrument></Information>"
        f"<Scaling><Items>{scale}</Items></Scaling></Metadata></ImageDocument>"
    )


def _small(shade):
    held = io.BytesIO()
    Image.fromarray(np.full((40, 60, 3), shade, np.uint8)).save(held, "JPEG")
    return held.getvalue()


def _embedded(shade):
    inner = CziFile()
    pixels = np.full((50, 80, 3), shade, np.uint8)
    inner.tile(encode(pixels, RAW), BGR24, RAW, [("X", 0, 80, 80), ("Y", 0, 50, 50)])
    return inner.finish(describe((50, 80), None, 5, 1))


def write_czi(
    path,
    image,
    *,
    mpp=(0.5, 0.5),
    compression=ZSTD1,
    levels=3,
    tile=128,
    overlap=8,
    origin=(-40, 24),
):
    """Zeiss layout: a mosaic of overlapping tiles, and a pyramid of larger ones.

    Places count from anywhere, here above and to the right of zero; a tile with a
    higher mosaic number lies on top.
    """
    image = image[: image.shape[0] // 4 * 4, : image.shape[1] // 4 * 4]
    made = [image]
    while len(made) < levels:
        made.append(
            reduce_by(made[-1], 2) if image.dtype == np.uint8 else made[-1][::2, ::2]
        )
    kind = BGR24 if image.dtype == np.uint8 else BGR48
    file, step = CziFile(), tile - overlap
    for level, pixels in enumerate(made):
        factor = 2**level
        for number, (y, x) in enumerate(
            (y, x)
            for y in range(0, pixels.shape[0], step)
            for x in range(0, pixels.shape[1], step)
        ):
            part = pixels[y : y + tile, x : x + tile]
            h, w = part.shape[:2]
            places = [
                ("X", origin[1] + x * factor, w * factor, w),
                ("Y", origin[0] + y * factor, h * factor, h),
                ("C", 0, 1, 1),
                ("S", 0, 1, 1),
                ("M", number, 1, 1),
            ]
            file.tile(encode(part, compression), kind, compression, places)
    pictures = [
        ("Label", "CZI", _embedded(200)),
        ("SlidePreview", "CZI", _embedded(120)),
        ("Thumbnail", "JPG", _small(90)),
    ]
    xml = describe(image.shape, mpp, 20, 1)
    path.write_bytes(file.finish(xml, pictures))
    return made
