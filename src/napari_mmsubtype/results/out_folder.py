"""Refuse a place for results that can be none, before any work is done for it."""

from __future__ import annotations

from pathlib import Path

from napari_mmsubtype.errors import StoreError


def require_folder(out: str | Path) -> None:
    """Refuse a file where a folder is expected.

    Parameters
    ----------
    out : str or Path
        Folder for results, which need not exist yet; nothing is made.

    Raises
    ------
    StoreError
        If it, or what it is to lie in, is a file or a broken link.
    """
    out = Path(out).expanduser().absolute()
    for place in (out, *out.parents):
        if place.is_dir():
            return
        if place.exists() or place.is_symlink():
            found = "a file" if place.exists() else "a link to nothing"
            msg = (
                f"the results cannot go to {str(out)!r}: {str(place)!r} is {found}, "
                "and a folder is expected; give a folder with --out (the Results "
                "folder field of the panel)"
            )
            raise StoreError(msg)
