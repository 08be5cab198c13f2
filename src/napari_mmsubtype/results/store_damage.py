"""Notice that parts of a store were lost or damaged, and say so in one way."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np
import zarr

from napari_mmsubtype.errors import StoreError, StoreOutOfReachError
from napari_mmsubtype.results import schema
from napari_mmsubtype.slides.system_fault import is_system_fault

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

_FAULTS = (AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
"""What zarr and its codecs raise where a file is not what it was, or out of reach."""

_ADVICE = "bring it back from a copy, or delete it and analyze anew"
_OPENING = Lock()


def damaged(store: object, part: str, found: object) -> StoreError:
    """Make the error for a store of which a part cannot be read.

    Parameters
    ----------
    store : object
        Its path.
    part : str
        What is damaged.
    found : object
        What was found there.

    Returns
    -------
    StoreError
        To be raised.
    """
    reason = " ".join(str(found).split())[:160]
    return StoreError(
        f"the result {str(store)!r} is damaged at {part}: {reason}; {_ADVICE}"
    )


def unreadable(store: object, part: str, err: Exception) -> StoreError:
    """Make the error for a store that was not read, damaged or out of reach.

    Parameters
    ----------
    store : object
        Its path.
    part : str
        What was to be read.
    err : Exception
        What was raised.

    Returns
    -------
    StoreError
        To be raised.
    """
    if isinstance(err, StoreError):
        return err
    if is_system_fault(err):
        reason = getattr(err, "strerror", None) or err
        msg = (
            f"cannot read {part} of the result {str(store)!r}: {reason}; the drive, "
            "network or system that holds it did not give it, which is no damage: "
            "check it and try again"
        )
        return StoreOutOfReachError(msg)
    return damaged(
        store, part, f"{err} is missing" if isinstance(err, KeyError) else err
    )


@contextmanager
def telling_damage(store: object, part: str) -> Iterator[None]:
    """Turn what reading a damaged part raises into one clear error.

    Parameters
    ----------
    store : object
        Path of the store.
    part : str
        What is read.

    Yields
    ------
    None
        Read it inside.

    Raises
    ------
    StoreError
        If it cannot be read; a `StoreOutOfReachError` where that tells nothing of it.
    """
    try:
        yield
    except StoreError:
        raise
    except _FAULTS as err:
        raise unreadable(store, part, err) from err


def read_array(root: zarr.Group, name: str, part: Any = ...) -> NDArray[Any]:
    """Read an array of a store.

    Parameters
    ----------
    root : zarr.Group
        The store, or a group of it.
    name : str
        Of the array.
    part : object, default: ...
        What of it.

    Returns
    -------
    ndarray
        As stored.

    Raises
    ------
    StoreError
        If it is missing or damaged.
    """
    return read_part(find_array(root, name), part)


def find_array(root: zarr.Group, name: str) -> zarr.Array[Any]:
    """Give access to an array of a store.

    Parameters
    ----------
    root : zarr.Group
        The store, or a group of it.
    name : str
        Of the array.

    Returns
    -------
    zarr.Array
        Not read yet; what is written to it is on disk also where it is zero.

    Raises
    ------
    StoreError
        If it is missing or damaged.
    """
    with (
        telling_damage(place_of(root), f"{root.path}/{name}".lstrip("/")),
        # Taken over when an array is opened, and not for arrays of others. Of two
        # threads, the first would set it back before the second has opened its own.
        _OPENING,
        zarr.config.set({"array.write_empty_chunks": True}),
    ):
        array = root[name]
        if isinstance(array, zarr.Array):
            return array
        msg = "it is no array"
        raise TypeError(msg)


def holds(root: zarr.Group, name: str) -> bool:
    """Tell whether a store has an array or group that not all stores have.

    Parameters
    ----------
    root : zarr.Group
        The store, or a group of it.
    name : str
        Of the array or group.

    Returns
    -------
    bool
        Whether it is there.

    Raises
    ------
    StoreError
        If it is there and damaged.
    """
    path = f"{root.path}/{name}".lstrip("/")
    with telling_damage(place_of(root), path):
        if name in root:
            return True
        # One without a key that it must have is absent for zarr.
        if Path(str(place_of(root)), path, "zarr.json").exists():
            msg = "its zarr.json says too little"
            raise ValueError(msg)
    return False


def read_part(array: zarr.Array[Any], part: Any = ...) -> NDArray[Any]:
    """Read from an array of a store.

    Parameters
    ----------
    array : zarr.Array
        Of a store.
    part : object, default: ...
        What of it.

    Returns
    -------
    ndarray
        As stored.

    Raises
    ------
    StoreError
        If it is damaged there.
    """
    with telling_damage(place_of(array), array.path):
        return np.asarray(array[part])


def place_of(node: zarr.Group | zarr.Array[Any]) -> object:
    """Say where a store lies.

    Parameters
    ----------
    node : zarr.Group or zarr.Array
        The store, or a part of it.

    Returns
    -------
    object
        Its folder, where it is one.
    """
    return getattr(node.store, "root", node.store)


def read_root(folder: Path) -> tuple[zarr.Group, dict[str, Any]]:
    """Open the group of a store and read its attributes.

    Parameters
    ----------
    folder : Path
        It exists.

    Returns
    -------
    root : zarr.Group
        Open for reading.
    body : dict
        Attributes of a version that can be read.

    Raises
    ------
    StoreError
        If it is no store, comes from a newer version, or is damaged.
    """
    place = repr(str(folder))
    try:
        root = zarr.open_group(folder, mode="r")
        body: Any = root.attrs.get(schema.ATTRIBUTE)
    except _FAULTS as err:
        if is_system_fault(err) and not isinstance(err, PermissionError):
            raise unreadable(folder, "zarr.json", err) from err
        if isinstance(err, PermissionError):
            found = "may not be read; change the permissions of the folder"
        elif (folder / "zarr.json").exists():
            found = f"is cut short or no JSON: if this was a result, {_ADVICE}"
        else:
            found = f"is missing: if this was a result, {_ADVICE}"
        msg = f"{place} is not a readable result store: its zarr.json {found}"
        raise StoreError(msg) from err
    if not isinstance(body, dict):
        msg = (
            f"{place} is a zarr group but not a result store (no {schema.ATTRIBUTE!r} "
            f"attribute); open it as an image instead, or if this was a result, "
            f"{_ADVICE}"
        )
        raise StoreError(msg)
    version = body.get("schema_version")
    if not isinstance(version, int):
        raise damaged(folder, "its attributes", f"schema_version is {version!r}")
    if version not in schema.READABLE_VERSIONS:
        known = " and ".join(map(str, schema.READABLE_VERSIONS))
        msg = (
            f"{place} has schema version {version!r}; this program reads {known}: "
            "update napari-mmsubtype"
        )
        raise StoreError(msg)
    return root, body


__all__ = [
    "damaged",
    "find_array",
    "holds",
    "place_of",
    "read_array",
    "read_part",
    "read_root",
    "telling_damage",
    "unreadable",
]
