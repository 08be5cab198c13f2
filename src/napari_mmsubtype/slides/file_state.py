"""Notice that a slide changes on disk while it is open."""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

from napari_mmsubtype.errors import SlideChangedError, SlideReadError
from napari_mmsubtype.slides.slide_content import slide_content

if TYPE_CHECKING:
    from collections.abc import Hashable

SYNTHETIC_SCHEME = "synthetic:"
FOLDER_DOCUMENTS = ("zarr.json", ".zattrs", ".zgroup")

State = tuple[tuple[str, int, int], ...]
"""Name, size in bytes and time of change in ns, of each file that is looked at."""


class FileState:
    """What a file looked like when it was opened.

    Size and time of change tell one state from another. Of a folder they are its own
    and those of its OME-Zarr documents: entries that come, go or are replaced are
    noticed, a chunk that is rewritten in place is not. Web and synthetic addresses are
    never found changed.

    Parameters
    ----------
    path : str
        Path or address of a slide.
    """

    def __init__(self, path: str) -> None:
        self._shown = path
        self._path: Path | None = None
        self._opened: State = ()
        if path.startswith(SYNTHETIC_SCHEME):
            self._opened = ((path, 0, 0),)
        elif "://" not in path:
            # Absolute, because the working folder may be another one later.
            file = Path(path).absolute()
            # What is no file, such as a name for pixels in memory, does not change.
            with contextlib.suppress(OSError, ValueError):
                self._opened = _look_at(file)
                self._path = file

    @property
    def identity(self) -> Hashable | None:
        """What two openings with the same pixels share; None where nobody can tell."""
        if self._path is None:
            return self._opened or None
        return (os.path.realpath(self._path), self._opened)

    def content(self) -> str | None:
        """Fingerprint what was opened, whatever its path and time of change.

        Returns
        -------
        str or None
            As `slide_content`; None for what is no file of this machine.

        Raises
        ------
        SlideReadError
            If a file cannot be read, or the slide has changed since it was opened.
        """
        if self._path is None:
            return None
        try:
            found = slide_content(self._path)
        except OSError as err:
            self.check()
            msg = (
                f"slide {self._shown!r} cannot be read: {err.strerror or err} "
                f"({err.filename!r}); mend the file or its permissions"
            )
            raise SlideReadError(msg) from err
        self.check()
        return found

    def check(self) -> None:
        """Refuse to go on with a file that is no longer what was opened.

        Raises
        ------
        SlideChangedError
            If it was changed, replaced or removed, or can no longer be reached.
        """
        if self._path is None:
            return
        try:
            if _look_at(self._path) == self._opened:
                return
            found = "changed on disk"
            cause = None
        except OSError as err:
            found = f"can no longer be reached ({err.strerror or err})"
            cause = err
        msg = (
            f"slide {self._shown!r} {found} since it was opened, so what is read now "
            "would not fit what was read before; open it again"
        )
        raise SlideChangedError(msg) from cause


def _look_at(path: Path) -> State:
    """Give the state of a file, or of a folder and its documents."""
    own = path.stat()
    # What else a folder's size tells depends on the file system.
    is_folder = stat.S_ISDIR(own.st_mode)
    state = [("", 0 if is_folder else own.st_size, own.st_mtime_ns)]
    if is_folder:
        for name in FOLDER_DOCUMENTS:
            try:
                found = (path / name).stat()
            except FileNotFoundError:
                continue
            state.append((name, found.st_size, found.st_mtime_ns))
    return tuple(state)
