"""OME-Zarr 0.4 and 0.5, as a local folder, a zip or over the web."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr
from zarr.storage import LocalStore, ZipStore

from napari_mmsubtype.core.units import MppSource, PixelSize
from napari_mmsubtype.errors import MissingDependencyError, SlideReadError
from napari_mmsubtype.slides.backend import (
    BackendRefusal,
    Level,
    NoFurtherImages,
    refuse_misfits,
    true_downsample,
)
from napari_mmsubtype.slides.pixel_size import MICRONS_PER_UNIT, measured
from napari_mmsubtype.slides.rgb import to_rgb

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray
    from zarr.abc.store import Store

CONNECT_S, READ_S = 15, 60
"""Seconds without an answer after which a web server counts as gone."""

WEB_SCHEMES = ("http://", "https://")

LARGEST_SIDE_PX = 4_000_000
"""A meter of glass at 0.25 microns per pixel."""

METADATA_FILES = (".zattrs", ".zgroup", "zarr.json")


class OmeZarrBackend(NoFurtherImages):
    """An OME-Zarr image in RGB or grey.

    Parameters
    ----------
    path : str
        Path of the folder or zip, or its ``http://`` or ``https://`` address.

    Raises
    ------
    BackendRefusal
        If there is no OME-Zarr image, or one with planes or channels that are no RGB.
    MissingDependencyError
        If a web address is given and the libraries for it are absent.
    """

    name = "omezarr"
    vendor = "ome-zarr"
    icc_profile = None

    def __init__(self, path: str) -> None:
        self._path = path
        self._store = _open_store(path)
        try:
            self._open()
        except BaseException:
            self._store.close()
            raise

    def _open(self) -> None:
        """Read the metadata without decoding a pixel."""
        try:
            group = _image_group(zarr.open_group(self._store, mode="r"))
            image = _multiscale(group.attrs.asdict())
            self._axes = _axis_names(image)
            self._arrays = [_array(group, entry) for entry in image["datasets"]]
            scales = [
                _scale(image, entry, len(self._axes)) for entry in image["datasets"]
            ]
        except BackendRefusal:
            raise
        except FileNotFoundError as err:
            msg = "no zarr group and arrays where an OME-Zarr image has them"
            raise BackendRefusal(msg) from err
        except _connection_errors() as err:
            raise BackendRefusal(_no_answer(err)) from err
        except (AttributeError, TypeError, ValueError, LookupError) as err:
            msg = f"its OME-Zarr metadata cannot be understood ({_first_line(err)})"
            raise BackendRefusal(msg) from err
        if not self._arrays:
            msg = "the OME-Zarr image lists no level; at least one is expected"
            raise BackendRefusal(msg)
        for array in self._arrays:
            self._check(array)
        self._y, self._x = self._axes.index("y"), self._axes.index("x")
        shapes = [(a.shape[self._y], a.shape[self._x]) for a in self._arrays]
        # The specification wants the largest first, but not every writer obeys.
        order = sorted(range(len(shapes)), key=lambda n: -shapes[n][0] * shapes[n][1])
        self._arrays = [self._arrays[number] for number in order]
        scales = [scales[number] for number in order]
        self.levels = self._levels([shapes[number] for number in order], scales)
        refuse_misfits(self.levels)
        chunks = [(a.chunks[self._y], a.chunks[self._x]) for a in self._arrays]
        # Whole-image chunks are legal; a tile never needs to exceed its level.
        self.tile_shapes = tuple(
            (min(chunk[0], level.shape[0]), min(chunk[1], level.shape[1]))
            for chunk, level in zip(chunks, self.levels, strict=True)
        )
        self.pixel_size = self._pixel_size(image, scales[0])
        self.mpp_source = (
            MppSource.NONE if self.pixel_size is None else MppSource.VENDOR
        )
        self.compression = ", ".join(
            type(codec).__name__.lower().removesuffix("codec")
            for codec in self._arrays[0].compressors
        )
        attributes: dict[str, Any] = dict(group.attrs.asdict())
        version = attributes.get("ome", image).get("version", "")
        self.properties = {"ome.version": str(version), "ome.axes": "".join(self._axes)}

    def read_tile(self, level: int, row: int, col: int) -> NDArray[np.uint8]:
        """Decode one chunk.

        Parameters
        ----------
        level : int
            Index of the level.
        row, col : int
            Place of the chunk.

        Returns
        -------
        ndarray of uint8, shape (y, x, 3)
            RGB.

        Raises
        ------
        SlideReadError
            If the web server no longer answers, or the folder or store is gone.
        """
        tile_h, tile_w = self.tile_shapes[level]
        where: list[int | slice] = [0] * len(self._axes)
        where[self._y] = slice(row * tile_h, (row + 1) * tile_h)
        where[self._x] = slice(col * tile_w, (col + 1) * tile_w)
        kept = [axis for axis in self._axes if axis in "yx"]
        if "c" in self._axes:
            where[self._axes.index("c")] = slice(None)
            kept = [axis for axis in self._axes if axis in "cyx"]
        samples = self._read(level, tuple(where))
        if "c" not in kept:
            samples, kept = samples[None], ["c", *kept]
        samples = samples.transpose([kept.index(axis) for axis in "yxc"])
        return to_rgb(samples, alpha=samples.shape[2] == 4)

    def _read(self, level: int, where: tuple[int | slice, ...]) -> NDArray[Any]:
        """Read samples, or say that what holds them is out of reach."""
        array = self._arrays[level]
        try:
            samples = np.asarray(array[where])
            # A chunk that is not there counts as blank; so would all of a lost store.
            if (samples == array.fill_value).all():
                zarr.open_group(self._store, mode="r")
        except FileNotFoundError as err:
            msg = (
                f"the OME-Zarr {self._path!r} is gone since it was opened; bring it "
                "back, or open it where it is now"
            )
            raise SlideReadError(msg) from err
        except _connection_errors() as err:
            if not self._path.startswith(WEB_SCHEMES):
                raise
            raise SlideReadError(f"{self._path!r}: {_no_answer(err)}") from err
        return samples

    def close(self) -> None:
        """Close the store; a second call does nothing."""
        self._store.close()

    def _check(self, array: zarr.Array[Any]) -> None:
        """Refuse stacks, channels that are no RGB, and odd sample types."""
        if len(array.shape) != len(self._axes) or not set("yx") <= set(self._axes):
            msg = f"axes {self._axes} do not describe an array of shape {array.shape}"
            raise BackendRefusal(msg)
        for axis, length in zip(self._axes, array.shape, strict=True):
            if axis not in ("c", "y", "x") and length != 1:
                msg = f"{length} planes along {axis!r}; a single plane is expected"
                raise BackendRefusal(msg)
            if axis == "c" and length not in (1, 3, 4):
                msg = (
                    f"{length} channels, as fluorescence has; a brightfield image in "
                    "RGB or grey is expected"
                )
                raise BackendRefusal(msg)
        if array.dtype not in (np.bool_, np.uint8, np.uint16):
            msg = f"samples of type {array.dtype}; 8 or 16 bits unsigned expected"
            raise BackendRefusal(msg)
        if min(array.shape) < 1 or max(array.shape) > LARGEST_SIDE_PX:
            msg = f"a shape of {array.shape}; 1 to {LARGEST_SIDE_PX:,} px expected"
            raise BackendRefusal(msg)
        if min(array.chunks) < 1:
            msg = f"chunks of {array.chunks}; at least 1 px along each axis expected"
            raise BackendRefusal(msg)

    def _levels(
        self, shapes: list[tuple[int, int]], scales: list[list[float] | None]
    ) -> tuple[Level, ...]:
        """Take the factors from the scales where they fit the shapes."""
        levels, before = [Level(shapes[0], 1.0)], 1.0
        for shape, scale in zip(shapes[1:], scales[1:], strict=True):
            factor = by_shape = true_downsample(shapes[0], shape)
            if scale is not None and scales[0] is not None and scales[0][self._y] > 0:
                factor = scale[self._y] / scales[0][self._y]
                if factor < before * 0.95:
                    msg = (
                        f"a level of {shape[0]} x {shape[1]} px is told to be finer "
                        "than a larger one; a smaller image of the same is coarser"
                    )
                    raise BackendRefusal(msg)
                before = factor
            fits = abs(factor / by_shape - 1) < 0.05
            levels.append(Level(shape, factor if fits else by_shape))
        return tuple(levels)

    def _pixel_size(
        self, image: Mapping[str, Any], scale: list[float] | None
    ) -> PixelSize | None:
        """Read the scale of level 0 where it is told and its unit is a length."""
        if scale is None:
            return None
        lengths = []
        for index in (self._y, self._x):
            axis = image["axes"][index]
            unit = axis.get("unit", "") if isinstance(axis, dict) else ""
            factor = MICRONS_PER_UNIT.get(str(unit).lower())
            lengths.append(None if factor is None else scale[index] * factor)
        return measured(*lengths)


def _connection_errors() -> tuple[type[Exception], ...]:
    """Give the errors that a lost connection may end in."""
    try:
        import aiohttp
    except ImportError:
        return (OSError,)
    return (OSError, aiohttp.ClientError)


def _no_answer(err: Exception) -> str:
    """Say that a server or disk does not answer."""
    return (
        f"no answer from the server or disk that holds it ({_first_line(err)}); check "
        "the connection and try again"
    )


def _first_line(err: Exception) -> str:
    """Give the beginning of an error's message, or its name where it has none."""
    lines = str(err).strip().splitlines() or [type(err).__name__]
    return lines[0][:160]


def _open_store(address: str) -> Store:
    """Open a folder, zip or web address that may hold zarr metadata."""
    if address.startswith(WEB_SCHEMES):
        return _open_web_store(address)
    path = Path(address)
    if path.is_dir():
        if not any((path / name).is_file() for name in METADATA_FILES):
            msg = "the folder holds no zarr metadata (zarr.json or .zattrs)"
            raise BackendRefusal(msg)
        return LocalStore(path, read_only=True)
    if not zipfile.is_zipfile(path):
        msg = "neither a folder nor a zip"
        raise BackendRefusal(msg)
    with zipfile.ZipFile(path) as archive:
        names = set(archive.namelist())
    if not names & set(METADATA_FILES):
        msg = "the zip holds no zarr metadata at its top"
        raise BackendRefusal(msg)
    return ZipStore(path, mode="r")


def _open_web_store(address: str) -> Store:
    """Open a store behind a web server; nothing is asked of the server yet."""
    try:
        import aiohttp
        from zarr.storage import FsspecStore
    except ImportError as err:
        msg = (
            f"reading {address!r} over the web needs aiohttp and fsspec ({err}); "
            "install them with: pip install 'napari-mmsubtype[remote]'"
        )
        raise MissingDependencyError(msg) from err
    limits = aiohttp.ClientTimeout(sock_connect=CONNECT_S, sock_read=READ_S)
    return FsspecStore.from_url(
        address.rstrip("/"),
        read_only=True,
        storage_options={"client_kwargs": {"timeout": limits}},
    )


def _image_group(group: zarr.Group) -> zarr.Group:
    """Step into the first image of a bioformats2raw collection."""
    attributes: dict[str, Any] = dict(group.attrs.asdict())
    attributes = attributes.get("ome", attributes)
    if "multiscales" in attributes or "bioformats2raw.layout" not in attributes:
        return group
    inner = group["0"]
    if not isinstance(inner, zarr.Group):
        msg = "the collection's first image is no group"
        raise BackendRefusal(msg)
    return inner


def _multiscale(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """Find the description of the image: under ``ome`` since 0.5, at the top before."""
    found = attributes.get("ome", attributes).get("multiscales")
    if not found:
        msg = (
            "the zarr group has no OME-Zarr 'multiscales' metadata; it begins with "
            + json.dumps(sorted(attributes))[:120]
        )
        raise BackendRefusal(msg)
    return dict(found[0])


def _axis_names(image: Mapping[str, Any]) -> list[str]:
    """Give the names of the axes in order."""
    return [
        str(axis["name"] if isinstance(axis, dict) else axis) for axis in image["axes"]
    ]


def _array(group: zarr.Group, entry: Mapping[str, Any]) -> zarr.Array[Any]:
    """Open the array of one level."""
    array = group.get(entry["path"])
    if not isinstance(array, zarr.Array):
        msg = f"level {entry['path']!r} of the OME-Zarr image is missing or no array"
        raise BackendRefusal(msg)
    return array


def _scale(
    image: Mapping[str, Any], entry: Mapping[str, Any], axes: int
) -> list[float] | None:
    """Multiply the scales of a level and of the whole image, where they are told."""
    total, is_told = np.ones(axes), False
    for holder in (entry, image):
        told = [
            np.asarray(transform["scale"], dtype=float)
            for transform in holder.get("coordinateTransformations") or ()
            if transform.get("type") == "scale"
        ]
        if len(told) > 1:
            msg = f"{len(told)} scales of one level or image; one is expected"
            raise BackendRefusal(msg)
        for scale in told:
            if scale.shape != (axes,):
                msg = f"a scale of {scale.size} numbers for {axes} axes"
                raise BackendRefusal(msg)
            total, is_told = total * scale, True
    return [float(value) for value in total] if is_told else None
