"""Tell whether a result without a call is still being made."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING

from napari_mmsubtype.core.result_words import INTERRUPTED, elsewhere_words
from napari_mmsubtype.results.store_lock import read_owner

if TYPE_CHECKING:
    from pathlib import Path

    from napari_mmsubtype.results.store_lock import LockOwner


def live_owner(store: Path) -> LockOwner | None:
    """Find the process that may be writing to a store.

    Parameters
    ----------
    store : Path
        Path that a user gave, perhaps of no store. Asked before it is opened, as
        between both the analysis may end.

    Returns
    -------
    LockOwner or None
        None where nobody holds the store, or its process has surely ended.
    """
    store = store.expanduser().absolute()
    owner = read_owner(store) if store.name else None
    return None if owner is None or owner.is_gone else owner


def place_elsewhere(owner: LockOwner | None) -> str:
    """Name process and machine of an owner that is not of this machine.

    Parameters
    ----------
    owner : LockOwner or None
        Of `live_owner`.

    Returns
    -------
    str
        Empty for this machine: there, it is known whether it lives.
    """
    if owner is None or owner.host == platform.node():
        return ""
    return f"process {owner.pid} on {owner.host}, since {owner.started}"


def unfinished_words(store: Path, owner: LockOwner | None) -> str:
    """Say of a result without a call whether it is being made, and what to do.

    Parameters
    ----------
    store : Path
        ``<slide>.mmsubtype.zarr``.
    owner : LockOwner or None
        Of `live_owner`, asked before the store was opened.

    Returns
    -------
    str
        One or two sentences.
    """
    if owner is None:
        return INTERRUPTED
    if elsewhere := place_elsewhere(owner):
        return elsewhere_words(elsewhere, str(store))
    return (
        f"Running: process {owner.pid} has written to it since {owner.started}; the "
        "call comes at its end."
    )


__all__ = ["live_owner", "place_elsewhere", "unfinished_words"]
