"""Tiny slides of every format, written on the spot."""

from __future__ import annotations

import zipfile
from pathlib import Path

import imagecodecs
import numpy as np
import tifffile
import zarr
from PIL import Image

MPP = 0.5
APERIO = "Aperio Image Library v11.2.1\r\n{w}x{h} [0,0 {w}x{h}] ({t}x{t}) JPEG/RGB Q=90"


def draw_scene(height=768, width=1024, seed=0):
    """Pink tissue with dark spots on near-white glass, smooth enough for JPEG."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    inside = np.hypot((y / height - 0.5) / 0.42, (x / width - 0.45) / 0.36)
    tissue = 1 / (1 + np.exp((inside - 1) * 25))
    spots = np.zeros((height, width), np.float32)
    for cy, cx in rng.uniform((0, 0), (height, width), (60, 2)):
        spots += np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 60)
    spots = np.clip(spots, 0, 1) * tissue
    glass = np.array([244, 243, 246], np.float32)
    pink = np.array([225, 150, 190], np.float32)
    blue = np.array([90, 50, 130], np.float32)
    shade = 8 * np.sin(y / 31)[..., None] * tissue[..., None]
    image = glass + tissue[..., None] * (pink - glass) + shade
    image += spots[..., None] * (blue - pink)
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def halve(image):
    """Average 2 x 2 pixels, dropping an odd last row or column."""
    h, w = image.shape[0] // 2 * 2, image.shape[1] // 2 * 2
    blocks = image[:h, :w].reshape(h // 2, 2, w // 2, 2, -1).astype(np.float32)
    return np.rint(blocks.mean(axis=(1, 3))).astype(image.dtype)


def pyramid_of(image, levels):
    """The image and its halves."""
    made = [image]
    while len(made) < levels:
        made.append(halve(made[-1]))
    return made


def write_pyramid_tiff(
    path,
    image,
    *,
    levels=3,
    tile=128,
    compression=None,
    subifds=False,
    mpp=MPP,
    bigtiff=False,
    **more,
):
    """Tiled pyramidal TIFF with resolution tags."""
    per_cm = None if mpp is None else (1e4 / mpp, 1e4 / mpp)
    photometric = "rgb" if image.shape[2] >= 3 else "minisblack"
    photometric = more.pop("photometric", photometric)
    options = {
        "tile": (tile, tile),
        "compression": compression,
        "photometric": photometric,
        "metadata": None,
        **more,
    }
    made = pyramid_of(image, levels)
    with tifffile.TiffWriter(path, bigtiff=bigtiff) as tif:
        tif.write(
            made[0],
            resolution=per_cm,
            resolutionunit=None if per_cm is None else "CENTIMETER",
            subifds=levels - 1 if subifds else None,
            **options,
        )
        for level in made[1:]:
            tif.write(level, subfiletype=1, **options)
    return made


def encode_jpeg2000(tile, *, ycbcr):
    """One lossless JPEG 2000 tile; Aperio's 33003 holds luma and chroma as they are."""
    if ycbcr:
        matrix = np.array(
            [
                [0.299, 0.587, 0.114],
                [-0.168736, -0.331264, 0.5],
                [0.5, -0.418688, -0.081312],
            ]
        )
        values = tile.astype(np.float64) @ matrix.T + [0, 128, 128]
        tile = np.clip(np.rint(values), 0, 255).astype(np.uint8)
    return imagecodecs.jpeg2k_encode(
        np.ascontiguousarray(tile), codecformat="j2k", mct=not ycbcr, level=0
    )


def _tiles(image, tile, *, ycbcr):
    for y in range(0, image.shape[0], tile):
        for x in range(0, image.shape[1], tile):
            part = image[y : y + tile, x : x + tile]
            pad = [(0, tile - part.shape[0]), (0, tile - part.shape[1]), (0, 0)]
            yield encode_jpeg2000(np.pad(part, pad, mode="edge"), ycbcr=ycbcr)


def write_svs(path, image, *, compression="jpeg", mpp=MPP, tile=128, levels=2):
    """Aperio layout: levels, a striped thumbnail after the first, label and macro."""
    made = pyramid_of(image, levels)
    height, width = image.shape[:2]
    head = APERIO.format(h=height, w=width, t=tile)
    text = head + "|AppMag = 20" + ("" if mpp is None else f"|MPP = {mpp:.4f}")

    def write_level(tif, level, **more):
        options = {"tile": (tile, tile), "photometric": "rgb", "metadata": None}
        data = level
        if compression in (33003, 33005):
            data = _tiles(level, tile, ycbcr=compression == 33003)
            options |= {"shape": level.shape, "dtype": np.uint8}
        tif.write(data, compression=compression, **options, **more)

    with tifffile.TiffWriter(path) as tif:
        write_level(tif, made[0], description=text)
        small = {"photometric": "rgb", "metadata": None, "rowsperstrip": 16}
        tif.write(
            halve(halve(image)),
            compression="jpeg",
            description=f"{head} -> thumbnail",
            **small,
        )
        for level in made[1:]:
            write_level(tif, level, description=head)
        for name, color in (("label", 200), ("macro", 120)):
            tif.write(
                np.full((40, 60, 3), color, np.uint8),
                compression="lzw",
                description=f"Aperio Image Library v11.2.1\r\n{name} 60x40",
                subfiletype=1 if name == "label" else 9,
                **small,
            )
    return made


def write_ome_tiff(path, image, *, levels=3, tile=128, mpp=MPP, unit="µm", axes="YXS"):
    """OME-TIFF with the smaller levels in SubIFDs."""
    made = pyramid_of(image, levels)
    factor = {"µm": 1.0, "nm": 1000.0, "mm": 1e-3}[unit]
    metadata = {"axes": axes}
    if mpp is not None:
        for axis in "XY":
            metadata[f"PhysicalSize{axis}"] = mpp * factor
            metadata[f"PhysicalSize{axis}Unit"] = unit
    options = {"tile": (tile, tile), "photometric": "rgb", "compression": "deflate"}
    if axes == "CYX":
        made = [np.moveaxis(level, -1, 0) for level in made]
        options["photometric"] = "minisblack"
    with tifffile.TiffWriter(path, ome=True) as tif:
        tif.write(made[0], subifds=levels - 1, metadata=metadata, **options)
        for level in made[1:]:
            tif.write(level, subfiletype=1, **options)
    return pyramid_of(image, levels)


def write_ome_zarr(
    path, image, *, version="0.4", levels=3, chunk=128, mpp=MPP, axes="cyx", unit=True
):
    """OME-Zarr of version 0.4 (zarr 2) or 0.5 (zarr 3)."""
    made = pyramid_of(image, levels)
    kinds = {"c": "channel", "t": "time"}
    described = [{"name": a, "type": kinds.get(a, "space")} for a in axes]
    for axis in described:
        if unit and axis["type"] == "space":
            axis["unit"] = "micrometer"
    group = zarr.open_group(path, mode="w", zarr_format=2 if version == "0.4" else 3)
    datasets = []
    for index, level in enumerate(made):
        flat = level if "c" in axes else level[:, :, 0]
        data = np.transpose(flat, ["yxc".index(a) for a in axes if a in "yxc"])
        sizes = iter(data.shape)
        shape = [next(sizes) if a in "yxc" else 1 for a in axes]
        chunks = [
            chunk if a in "yx" else size for a, size in zip(axes, shape, strict=True)
        ]
        array = group.create_array(
            str(index), shape=shape, chunks=chunks, dtype=data.dtype
        )
        array[...] = data.reshape(shape)
        scale = [mpp * 2**index if a in "yxz" else 1.0 for a in axes]
        transform = {"type": "scale", "scale": scale}
        datasets.append({"path": str(index), "coordinateTransformations": [transform]})
    multiscales = [{"version": version, "axes": described, "datasets": datasets}]
    if version == "0.4":
        group.attrs["multiscales"] = multiscales
    else:
        group.attrs["ome"] = {"version": version, "multiscales": multiscales}
    return made


def write_qptiff(
    path,
    image,
    *,
    mpp=MPP,
    objective="20x",
    levels=2,
    full=1,
    tile=128,
    reduced=None,
):
    """PerkinElmer layout: full resolution, thumbnail, levels, overview and label."""
    made = [image, *reduced] if reduced else pyramid_of(image, levels)
    per_cm = None if mpp is None else (1e4 / mpp, 1e4 / mpp)
    more = {
        "software": "PerkinElmer-QPI",
        "photometric": "rgb" if image.shape[2] == 3 else "minisblack",
        "metadata": None,
        "resolution": per_cm,
        "resolutionunit": None if per_cm is None else "CENTIMETER",
    }
    told = f"<Objective>{objective}</Objective>" if objective else ""

    def describe(kind):
        return (
            "<PerkinElmer-QPI-ImageDescription><DescriptionVersion>2"
            f"</DescriptionVersion><ImageType>{kind}</ImageType>{told}"
            "<SlideID>Doe</SlideID></PerkinElmer-QPI-ImageDescription>"
        )

    small = np.full((40, 60, image.shape[2]), 90, np.uint8)
    with tifffile.TiffWriter(path) as tif:
        pages = [("FullResolution", made[0])] * full
        pages += [("Thumbnail", small)]
        pages += [("ReducedResolution", level) for level in made[1:]]
        for kind, level in pages:
            tiled = {} if kind == "Thumbnail" else {"tile": (tile, tile)}
            tif.write(level, description=describe(kind), **tiled, **more)
        tif.write(small + 10, description=describe("Overview"), **more)
        tif.write(small + 20, description=describe("Label"), **more)
    return made


def write_deepzoom(path, image, *, tile=126, overlap=1, ending="png", lowest=0):
    """DeepZoom document and its tiles; every level halves the one above, rounded up."""
    path = Path(path)
    height, width = image.shape[:2]
    path.write_text(
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        '<Image xmlns="http://schemas.microsoft.com/deepzoom/2008" '
        f'Format="{ending}" Overlap="{overlap}" TileSize="{tile}">'
        f'<Size Height="{height}" Width="{width}"/></Image>'
    )
    made = [Image.fromarray(image)]
    while max(made[-1].size) > 1:
        smaller = [-(-side // 2) for side in made[-1].size]
        made.append(made[-1].resize(smaller, Image.Resampling.BOX))
    for number, level in enumerate(reversed(made)):
        folder = path.with_name(f"{path.stem}_files") / str(number)
        if number < lowest:
            continue
        folder.mkdir(parents=True)
        w, h = level.size
        for top in range(0, h, tile):
            for left in range(0, w, tile):
                box = (
                    max(left - overlap, 0),
                    max(top - overlap, 0),
                    min(left + tile + overlap, w),
                    min(top + tile + overlap, h),
                )
                level.crop(box).save(folder / f"{left // tile}_{top // tile}.{ending}")
    return [np.asarray(level) for level in made]


def zip_folder(folder, path):
    """Pack a folder without compression, its content at the top."""
    folder = Path(folder)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
    return path


def break_tile(path, level_page, index):
    """Overwrite one tile's bytes so that it cannot be decoded."""
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[level_page]
        offset, count = page.dataoffsets[index], page.databytecounts[index]
    with Path(path).open("r+b") as file:
        file.seek(offset)
        file.write(b"\x00" * count)


def cut(path, keep):
    """Keep the first bytes or share of a file."""
    data = Path(path).read_bytes()
    size = int(len(data) * keep) if isinstance(keep, float) else keep
    Path(path).write_bytes(data[:size])
