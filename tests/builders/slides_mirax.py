"""MIRAX MRXS: a preview beside a folder with an ini, an index and the images."""

from __future__ import annotations

import io
import struct
import zlib

import numpy as np
from PIL import Image

from builders.slides_leica_philips import reduce_by

SLIDE_ID = "0123456789ABCDEF0123456789ABCDEF"


def encode(pixels, kind):
    """One image of the kinds that the format knows."""
    held = io.BytesIO()
    more = {"quality": 95, "subsampling": 0} if kind == "JPEG" else {}
    Image.fromarray(pixels).save(held, kind, **more)
    return held.getvalue()


class DataFile:
    """The images one after the other, and where each one is."""

    def __init__(self):
        self._parts = [b"\0" * 16]
        self._size = 16

    def put(self, data):
        at = self._size
        self._parts.append(data)
        self._size += len(data)
        return at, len(data)

    def bytes(self):
        return b"".join(self._parts)


def write_index(zooms, further):
    """Index of the images per zoom level and of everything else, with pages of one."""
    head = b"01.02" + SLIDE_ID.encode()
    body = bytearray(head + b"\0" * 8)

    def table(pages):
        # A record points at an empty page, which points at the one that holds the data.
        pointers = []
        for page in pages:
            data_at = len(body)
            body.extend(page)
            pointers.append(len(body))
            body.extend(struct.pack("<ii", 0, data_at))
        at = len(body)
        body.extend(struct.pack(f"<{len(pointers)}i", *pointers))
        return at

    hierarchy = table(
        struct.pack("<ii", len(entries), 0)
        + b"".join(struct.pack("<iiii", *entry, 0) for entry in entries)
        for entries in zooms
    )
    others = table(struct.pack("<iiiiiii", 1, 0, 0, 0, *place, 0) for place in further)
    struct.pack_into("<ii", body, len(head), hierarchy, others)
    return bytes(body)


def write_mrxs(
    path, image, *, mpp=0.5, levels=3, kind="JPEG", tile=128, overlap=16, jitter=0
):
    """MIRAX layout: one photograph per position, 2 x 2 images joined per zoom level.

    With `jitter` a position buffer moves every photograph by up to so many pixels, as
    the stage of a scanner does; the image is put together from what lies on top.
    """
    step = tile - overlap
    rows = -(-(image.shape[0] - overlap) // step)
    cols = -(-(image.shape[1] - overlap) // step)
    size = (rows * step + overlap, cols * step + overlap)
    pad = [(0, full - side) for full, side in zip(size, image.shape, strict=False)]
    canvas = np.pad(image, [*pad, (0, 0)], mode="edge")
    rng = np.random.default_rng(1)
    # Whole pixels on every level, or neighbours would be blended.
    moved = rng.integers(0, jitter // 4 + 1, (rows, cols, 2)) * 4 if jitter else None
    places = np.zeros((rows, cols, 2), int)
    photos = {}
    painted = np.full_like(canvas, 255)
    for row in range(rows):
        for col in range(cols):
            y, x = row * step, col * step
            if moved is not None and (row, col) != (0, 0):
                y = min(y + moved[row, col, 0], size[0] - tile)
                x = min(x + moved[row, col, 1], size[1] - tile)
            places[row, col] = y, x
            photos[row, col] = canvas[y : y + tile, x : x + tile]
            painted[y : y + tile, x : x + tile] = photos[row, col]
    data, zooms = DataFile(), []
    blank = np.full((tile, tile, 3), 255, np.uint8)
    current = photos
    for level in range(levels):
        factor = 2**level
        if level:
            joined = {}
            for row in range(0, rows, factor):
                for col in range(0, cols, factor):
                    quad = [
                        [
                            current.get(
                                (row + dy * factor // 2, col + dx * factor // 2), blank
                            )
                            for dx in (0, 1)
                        ]
                        for dy in (0, 1)
                    ]
                    whole = np.concatenate([np.concatenate(r, axis=1) for r in quad])
                    joined[row, col] = reduce_by(whole, 2)
            current = joined
        zooms.append(
            [
                (row * cols + col, *data.put(encode(pixels, kind)))
                for (row, col), pixels in current.items()
            ]
        )
    names = ["ScanDataLayer_SlideThumbnail", "ScanDataLayer_SlideBarcode"]
    types = ["THUMBNAIL_IMAGE_TYPE", "BARCODE_IMAGE_TYPE"]
    further = [
        data.put(encode(np.full((40, 60, 3), shade, np.uint8), "JPEG"))
        for shade in (120, 200)
    ]
    layers = [("Scan data layer", names)]
    if moved is not None:
        packed = b"".join(
            struct.pack("<bii", 0, x, y) for y, x in places.reshape(-1, 2).tolist()
        )
        further.append(data.put(zlib.compress(packed)))
        layers.append(("StitchingIntensityLayer", ["StitchingIntensityLevel"]))
    folder = path.with_suffix("")
    folder.mkdir()
    (folder / "Data0000.dat").write_bytes(data.bytes())
    (folder / "Index.dat").write_bytes(write_index(zooms, further))
    sections = {
        "GENERAL": {
            "SLIDE_VERSION": "01.02",
            "SLIDE_ID": SLIDE_ID,
            "SLIDE_NAME": "Doe",
            "IMAGENUMBER_X": cols,
            "IMAGENUMBER_Y": rows,
            "OBJECTIVE_MAGNIFICATION": 20,
            "CameraImageDivisionsPerSide": 1,
        },
        "HIERARCHICAL": {
            "HIER_COUNT": 1,
            "NONHIER_COUNT": len(layers),
            "INDEXFILE": "Index.dat",
            "HIER_0_NAME": "Slide zoom level",
            "HIER_0_COUNT": levels,
        },
        "DATAFILE": {"FILE_COUNT": 1, "FILE_0": "Data0000.dat"},
    }
    tree = sections["HIERARCHICAL"]
    for level in range(levels):
        tree[f"HIER_0_VAL_{level}"] = f"ZoomLevel_{level}"
        tree[f"HIER_0_VAL_{level}_SECTION"] = f"LAYER_0_LEVEL_{level}_SECTION"
        sections[f"LAYER_0_LEVEL_{level}_SECTION"] = {
            "OVERLAP_X": overlap / 2**level,
            "OVERLAP_Y": overlap / 2**level,
            "MICROMETER_PER_PIXEL_X": mpp * 2**level,
            "MICROMETER_PER_PIXEL_Y": mpp * 2**level,
            "IMAGE_FORMAT": kind,
            "IMAGE_FILL_COLOR_BGR": 0xFFFFFF,
            "DIGITIZER_WIDTH": tile,
            "DIGITIZER_HEIGHT": tile,
            "IMAGE_CONCAT_FACTOR": min(level, 1),
        }
    for number, (name, values) in enumerate(layers):
        tree[f"NONHIER_{number}_NAME"] = name
        tree[f"NONHIER_{number}_COUNT"] = len(values)
        for index, value in enumerate(values):
            section = f"NONHIERLAYER_{number}_LEVEL_{index}_SECTION"
            tree[f"NONHIER_{number}_VAL_{index}"] = value
            tree[f"NONHIER_{number}_VAL_{index}_SECTION"] = section
            sections[section] = {types[index]: "JPEG"} if number == 0 else {"X": 1}
    lines = []
    for section, content in sections.items():
        lines += [f"[{section}]", *(f"{key} = {v}" for key, v in content.items())]
    (folder / "Slidedat.ini").write_text("\ufeff" + "\r\n".join(lines), "utf-8")
    path.write_bytes(encode(np.full((40, 60, 3), 90, np.uint8), "JPEG"))
    made = [painted]
    while len(made) < levels:
        height, width = (side // 2 * 2 for side in made[-1].shape[:2])
        made.append(reduce_by(made[-1][:height, :width], 2))
    return made
