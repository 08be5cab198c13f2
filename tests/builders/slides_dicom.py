"""A minimal DICOM whole-slide image, element by element, without a DICOM library."""

from __future__ import annotations

import struct

import imagecodecs
import numpy as np

VL_WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"
EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
JPEG_BASELINE = "1.2.840.10008.1.2.4.50"
ROOT = "1.2.826.0.1.3680043.10.999"
LONG = ("OB", "OW", "SQ", "UN", "UT")


def element(group, number, vr, value):
    """One explicit little-endian element; text is padded to an even length."""
    if isinstance(value, str):
        value = value.encode() + (b"" if len(value) % 2 == 0 else b" ")
        if vr == "UI":
            value = value.replace(b" ", b"\0")
    elif isinstance(value, int):
        value = struct.pack({"US": "<H", "UL": "<I", "SS": "<h"}[vr], value)
    elif isinstance(value, float):
        value = struct.pack({"FL": "<f", "FD": "<d"}[vr], value)
    head = struct.pack("<HH", group, number) + vr.encode()
    if vr in LONG:
        return head + b"\0\0" + struct.pack("<I", len(value)) + value
    return head + struct.pack("<H", len(value)) + value


def sequence(group, number, *items):
    """A sequence of items of known length."""
    packed = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in items
    )
    return element(group, number, "SQ", packed)


def write_dicom(path, image, *, mpp=0.5, tile=128, instance=1, series=3, patient=None):
    """One level, tiled fully, baseline JPEG; levels of a series differ in instance."""
    height, width = image.shape[:2]
    frames = []
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            part = image[y : y + tile, x : x + tile]
            pad = [(0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0)]
            part = np.ascontiguousarray(np.pad(part, pad, mode="edge"))
            frame = imagecodecs.jpeg8_encode(part, level=95, subsampling="444")
            frames.append(frame + b"\0" * (len(frame) % 2))
    offsets = np.cumsum([0] + [len(frame) + 8 for frame in frames[:-1]])
    table = b"".join(struct.pack("<I", int(offset)) for offset in offsets)
    pixels = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
        for item in (table, *frames)
    )
    meta = b"".join(
        (
            element(0x0002, 0x0001, "OB", b"\0\1"),
            element(0x0002, 0x0002, "UI", VL_WHOLE_SLIDE),
            element(0x0002, 0x0003, "UI", f"{ROOT}.1.{instance}"),
            element(0x0002, 0x0010, "UI", JPEG_BASELINE),
            element(0x0002, 0x0012, "UI", ROOT),
        )
    )
    resampled = "NONE" if instance == 1 else "RESAMPLED"
    kind = f"ORIGINAL\\PRIMARY\\VOLUME\\{resampled}"
    spacing = f"{mpp / 1000:.6f}\\{mpp / 1000:.6f}"
    measures = sequence(0x0028, 0x9110, element(0x0028, 0x0030, "DS", spacing))
    body = b"".join(
        (
            element(0x0008, 0x0008, "CS", kind),
            element(0x0008, 0x0016, "UI", VL_WHOLE_SLIDE),
            element(0x0008, 0x0018, "UI", f"{ROOT}.1.{instance}"),
            element(0x0008, 0x0060, "CS", "SM"),
            b"" if patient is None else element(0x0010, 0x0010, "PN", patient),
            element(0x0020, 0x000D, "UI", ROOT + ".2"),
            element(0x0020, 0x000E, "UI", f"{ROOT}.{series}"),
            element(0x0020, 0x0052, "UI", ROOT + ".4"),
            element(0x0020, 0x9311, "CS", "TILED_FULL"),
            element(0x0028, 0x0002, "US", 3),
            element(0x0028, 0x0004, "CS", "YBR_FULL_422"),
            element(0x0028, 0x0006, "US", 0),
            element(0x0028, 0x0008, "IS", str(len(frames))),
            element(0x0028, 0x0010, "US", tile),
            element(0x0028, 0x0011, "US", tile),
            element(0x0028, 0x0100, "US", 8),
            element(0x0028, 0x0101, "US", 8),
            element(0x0028, 0x0102, "US", 7),
            element(0x0028, 0x0103, "US", 0),
            element(0x0048, 0x0006, "UL", width),
            element(0x0048, 0x0007, "UL", height),
            element(0x0048, 0x0303, "UL", 1),
            sequence(0x5200, 0x9229, measures),
            struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff",
            pixels,
            struct.pack("<HHI", 0xFFFE, 0xE0DD, 0),
        )
    )
    length = element(0x0002, 0x0000, "UL", len(meta))
    path.write_bytes(b"\0" * 128 + b"DICM" + length + meta + body)
