"""Hamamatsu NDPI, byte by byte, and VMS: one JPEG with restart markers per level."""

from __future__ import annotations

import io
import struct

import imagecodecs
import numpy as np
from PIL import Image

from builders.slides_leica_philips import reduce_by

ASCII, SHORT, LONG, RATIONAL, SLONG, FLOAT = 2, 3, 4, 5, 9, 11
PACKED = {SHORT: "H", LONG: "I", SLONG: "i", FLOAT: "f"}
MCU_PX = 8


def encode_restarts(image, interval, *, subsampling=0):
    """Encode JPEG with a restart marker after every so many blocks."""
    held = io.BytesIO()
    Image.fromarray(image).save(
        held,
        "JPEG",
        quality=95,
        subsampling=subsampling,
        restart_marker_blocks=interval,
    )
    return held.getvalue()


def restart_offsets(jpeg):
    """Where each run of blocks begins, counted from the start of the JPEG."""
    at = 2
    while jpeg[at + 1] != 0xDA:
        at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    at += 2 + int.from_bytes(jpeg[at + 2 : at + 4], "big")
    marks = np.frombuffer(jpeg, np.uint8)
    found = np.flatnonzero((marks[:-1] == 0xFF) & (marks[1:] & 0xF8 == 0xD0))
    return [at, *(int(index) + 2 for index in found if index >= at)]


def whole_blocks(image, tile):
    """Pad to whole runs of blocks, as the scanner's images are."""
    height, width = -(-image.shape[0] // 32) * 32, -(-image.shape[1] // tile) * tile
    pad = [(0, height - image.shape[0]), (0, width - image.shape[1]), (0, 0)]
    return np.pad(image, pad, mode="edge")


class NdpiWriter:
    """A TIFF whose 32-bit fields are followed by their upper 32 bits."""

    def __init__(self, file):
        self._file = file
        file.write(b"II*\0" + b"\0" * 8)
        self._link = 4

    def put(self, data):
        """Write data at an even place and tell where."""
        at = self._file.seek(0, 2)
        if at % 2:
            at += self._file.write(b"\0")
        self._file.write(data)
        return at

    def skip_to(self, offset):
        """Leave a hole."""
        self._file.seek(offset)
        self._file.write(b"\0")

    def directory(self, tags):
        """Write a page directory: entries, 64-bit link, upper halves of the values."""
        entries, upper = [], []
        for code, (kind, values) in sorted(tags.items()):
            if kind == ASCII:
                count, data = len(values) + 1, values.encode() + b"\0"
            elif kind == RATIONAL:
                count, data = 1, struct.pack("<II", *values)
            else:
                count = len(values)
                low = values if kind == FLOAT else [v & 0xFFFFFFFF for v in values]
                data = struct.pack(f"<{count}{PACKED[kind]}", *low)
            high = 0
            if len(data) <= 4:
                if kind == LONG:
                    high = values[0] >> 32
                held = data.ljust(4, b"\0")
            else:
                at = self.put(data)
                held, high = struct.pack("<I", at & 0xFFFFFFFF), at >> 32
            entries.append(struct.pack("<HHI", code, kind, count) + held)
            upper.append(struct.pack("<I", high))
        head = struct.pack("<H", len(entries)) + b"".join(entries)
        at = self.put(head + b"\0" * 8 + b"".join(upper))
        self._file.seek(self._link)
        self._file.write(struct.pack("<Q", at))
        self._link = at + len(head)


def write_ndpi(
    path,
    image,
    *,
    mpp=0.5,
    objective=20,
    levels=3,
    tile=128,
    subsampling=0,
    hole=0,
    starts=True,
):
    """Hamamatsu layout: levels, macro and map; runs of blocks are the tiles.

    With `hole` the largest level and all directories lie beyond so many bytes. With
    `starts` false the offsets of the runs are not stored and must be searched for.
    """
    image = whole_blocks(image, tile * 2 ** (levels - 1))
    made = [reduce_by(image, 2**number) for number in range(levels)]
    macro = np.full((96, 256, 3), 120, np.uint8)
    chart = np.full((48, 64), 90, np.uint8)
    with path.open("w+b") as file:
        tif = NdpiWriter(file)
        placed = {}
        for number in reversed(range(levels)):
            if number == 0 and hole:
                tif.skip_to(hole)
            blocks = tile // MCU_PX // (2 if subsampling else 1)
            jpeg = encode_restarts(made[number], blocks, subsampling=subsampling)
            placed[number] = (tif.put(jpeg), jpeg)
        pages = [(made[n], *placed[n], float(objective) / 2**n) for n in range(levels)]
        held = encode_restarts(macro, 32)
        pages.append((macro, tif.put(held), held, -1.0))
        raw = chart.tobytes()
        pages.append((chart, tif.put(raw), raw, -2.0))
        for number, (pixels, at, data, lens) in enumerate(pages):
            color = pixels.ndim == 3
            per_cm = round(1e4 / (mpp * 2**number) * 1000) if number < levels else 1
            tags = {
                256: (LONG, [pixels.shape[1]]),
                257: (LONG, [pixels.shape[0]]),
                258: (SHORT, [8, 8, 8] if color else [8]),
                259: (SHORT, [7 if color else 1]),
                262: (SHORT, [6 if color else 1]),
                271: (ASCII, "Hamamatsu"),
                272: (ASCII, "C9600-02"),
                273: (LONG, [at]),
                277: (SHORT, [3 if color else 1]),
                278: (LONG, [pixels.shape[0]]),
                279: (LONG, [len(data)]),
                282: (RATIONAL, (per_cm, 1000)),
                283: (RATIONAL, (per_cm, 1000)),
                296: (SHORT, [3]),
                305: (ASCII, "NDP.scan"),
                306: (ASCII, "2020:01:02 03:04:05"),
                65420: (LONG, [1]),
                65421: (FLOAT, [lens]),
                65422: (SLONG, [0]),
                65423: (SLONG, [0]),
                65424: (SLONG, [0]),
                65427: (ASCII, "Doe"),
                65449: (ASCII, "NDP.S/N=123\r\nObjective.Lens.Magnificant=20\r\n"),
            }
            if starts and number < levels:
                tags[65426] = (LONG, restart_offsets(data))
            tif.directory(tags)
    return [imagecodecs.jpeg8_decode(placed[number][1]) for number in range(levels)]


def write_vms(path, image, *, mpp=0.5, tile=128, columns=2):
    """Hamamatsu VMS: an ini beside JPEGs side by side, and a map of the whole slide."""
    image = whole_blocks(image, tile * columns)
    width = image.shape[1] // columns
    names = {}
    shown = []
    for column in range(columns):
        part = np.ascontiguousarray(image[:, column * width : (column + 1) * width])
        jpeg = encode_restarts(part, tile // MCU_PX)
        shown.append(imagecodecs.jpeg8_decode(jpeg))
        key = "ImageFile" if column == 0 else f"ImageFile({column},0)"
        names[key] = f"{path.stem}-{column}.jpg"
        (path.parent / names[key]).write_bytes(jpeg)
    small = encode_restarts(reduce_by(image, 16), 2)
    (path.parent / f"{path.stem}_map.jpg").write_bytes(small)
    held = encode_restarts(np.full((96, 256, 3), 120, np.uint8), 32)
    (path.parent / f"{path.stem}_macro.jpg").write_bytes(held)
    nm = round(mpp * 1000)
    lines = {
        "NoLayers": 1,
        "NoJpegColumns": columns,
        "NoJpegRows": 1,
        **names,
        "MapFile": f"{path.stem}_map.jpg",
        "MacroImage": f"{path.stem}_macro.jpg",
        "PhysicalWidth": image.shape[1] * nm,
        "PhysicalHeight": image.shape[0] * nm,
        "SourceLens": 20,
        "Reference": "Doe",
    }
    text = "\r\n".join(f"{key}={value}" for key, value in lines.items())
    path.write_text(f"[Virtual Microscope Specimen]\r\n{text}\r\n")
    return [np.concatenate(shown, axis=1)]
