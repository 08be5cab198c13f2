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
        value = struct.pack({"US": "<H", "UL": "<I", "SS": "<h", "SL": "<i"}[vr], value)
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


def cut_frames(image, tile):
    """Tiles in rows, padded, and the place of each: column and row, counted from 1."""
    height, width = image.shape[:2]
    for y in range(0, height, tile):
        for x in range(0, width, tile):
            part = image[y : y + tile, x : x + tile]
            pad = [(0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0)]
            part = np.ascontiguousarray(np.pad(part, pad, mode="edge"))
            yield part, (x + 1, y + 1)


def encapsulate(frames):
    """Compressed frames as items of one element, with a table of their places."""
    offsets = np.cumsum([0] + [len(frame) + 8 for frame in frames[:-1]])
    table = b"".join(struct.pack("<I", int(offset)) for offset in offsets)
    items = b"".join(
        struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item
        for item in (table, *frames)
    )
    head = struct.pack("<HH", 0x7FE0, 0x0010) + b"OB\0\0\xff\xff\xff\xff"
    return head + items + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def positions(places):
    """Per-frame groups of a sparse tiling: where each frame lies."""
    return sequence(
        0x5200,
        0x9230,
        *(
            sequence(
                0x0048,
                0x021A,
                element(0x0048, 0x021E, "SL", column)
                + element(0x0048, 0x021F, "SL", row),
            )
            for column, row in places
        ),
    )


def write_dicom(
    path,
    image,
    *,
    mpp=0.5,
    tile=128,
    instance=1,
    series=3,
    patient=None,
    raw=False,
    keep=None,
    part=None,
    before=b"",
    profile=None,
    flavor="VOLUME",
):
    """One level in baseline JPEG or raw; levels of a series differ in instance.

    `keep` lists the frames to store, which makes a sparse tiling. `part` is (number,
    parts) of a concatenation. `before` is put ahead of the series.
    """
    height, width = image.shape[:2]
    cut = list(cut_frames(image, tile))
    shown = np.full((*image.shape[:2], 3), 255, np.uint8)
    frames, places = [], []
    for number, (pixels, (x, y)) in enumerate(cut):
        if keep is not None and number not in keep:
            continue
        data = pixels.tobytes()
        if not raw:
            data = imagecodecs.jpeg8_encode(pixels, level=95, subsampling="444")
            pixels = imagecodecs.jpeg8_decode(data)
        area = shown[y - 1 : y - 1 + tile, x - 1 : x - 1 + tile]
        area[...] = pixels[: area.shape[0], : area.shape[1]]
        frames.append(data + b"\0" * (len(data) % 2))
        places.append((x, y))
    identity = f"{ROOT}.1.{instance}"
    whole, joined = identity, b""
    first = 0
    if part is not None:
        number, parts = part
        per_part = -(-len(frames) // parts)
        first = (number - 1) * per_part
        frames = frames[first : first + per_part]
        places = places[first : first + per_part]
        identity = f"{identity}.{number}"
        joined = (
            element(0x0020, 0x0242, "UI", whole)
            + element(0x0020, 0x9161, "UI", f"{whole}.9")
            + element(0x0020, 0x9162, "US", number)
            + element(0x0020, 0x9163, "US", parts)
            + element(0x0020, 0x9228, "UL", first)
        )
    syntax = EXPLICIT_LITTLE_ENDIAN if raw else JPEG_BASELINE
    meta = b"".join(
        (
            element(0x0002, 0x0001, "OB", b"\0\1"),
            element(0x0002, 0x0002, "UI", VL_WHOLE_SLIDE),
            element(0x0002, 0x0003, "UI", identity),
            element(0x0002, 0x0010, "UI", syntax),
            element(0x0002, 0x0012, "UI", ROOT),
        )
    )
    resampled = "NONE" if instance == 1 else "RESAMPLED"
    kind = f"ORIGINAL\\PRIMARY\\{flavor}\\{resampled}"
    spacing = f"{mpp / 1000:.6f}\\{mpp / 1000:.6f}"
    measures = sequence(0x0028, 0x9110, element(0x0028, 0x0030, "DS", spacing))
    optics = element(0x0048, 0x0112, "DS", "20")
    if profile is not None:
        optics = element(0x0028, 0x2000, "OB", profile + b"\0" * (len(profile) % 2)) + (
            optics
        )
    body = b"".join(
        (
            element(0x0008, 0x0008, "CS", kind),
            element(0x0008, 0x0016, "UI", VL_WHOLE_SLIDE),
            element(0x0008, 0x0018, "UI", identity),
            element(0x0008, 0x0060, "CS", "SM"),
            before,
            b"" if patient is None else element(0x0010, 0x0010, "PN", patient),
            element(0x0020, 0x000D, "UI", ROOT + ".2"),
            element(0x0020, 0x000E, "UI", f"{ROOT}.{series}"),
            element(0x0020, 0x0052, "UI", ROOT + ".4"),
            joined,
            element(
                0x0020, 0x9311, "CS", "TILED_FULL" if keep is None else "TILED_SPARSE"
            ),
            element(0x0028, 0x0002, "US", 3),
            element(0x0028, 0x0004, "CS", "RGB" if raw else "YBR_FULL_422"),
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
            sequence(0x0048, 0x0105, optics),
            element(0x0048, 0x0303, "UL", 1),
            sequence(0x5200, 0x9229, measures),
            b"" if keep is None else positions(places),
            element(0x7FE0, 0x0010, "OB", b"".join(frames))
            if raw
            else encapsulate(frames),
        )
    )
    length = element(0x0002, 0x0000, "UL", len(meta))
    path.write_bytes(b"\0" * 128 + b"DICM" + length + meta + body)
    return [shown]


def write_concatenation(folder, image, *, parts=3):
    """One level whose frames are spread over several files."""
    folder.mkdir()
    for number in range(1, parts + 1):
        made = write_dicom(folder / f"part{number}.dcm", image, part=(number, parts))
    return made
