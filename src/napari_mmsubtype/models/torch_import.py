"""Import PyTorch in a thread while others go on.

Its libraries are gigabytes. The dynamic linker takes a quarter of a second for them,
and more where they come from the disk for the first time. ``import torch`` keeps the
interpreter for itself meanwhile, and a window answers nothing. A C function called
through `ctypes` does not: so the linker is asked for the libraries before.
"""

from __future__ import annotations

import ctypes
import gc
import importlib.util
import logging
import os
import sys
from importlib import import_module
from pathlib import Path

logger = logging.getLogger(__name__)

_SUFFIXES = {"linux": "so", "darwin": "dylib"}
"""Where PyTorch is imported by ``dlopen``. On Windows it calls the linker itself, in a
way that lets others go on."""


def import_torch() -> None:
    """Import PyTorch, if this has not been done.

    To be called in a thread that has nothing to do with the window, before modules are
    imported that import it.

    Raises
    ------
    ImportError
        As ``import torch``.
    """
    if sys.modules.get("torch") is not None:
        return
    load_libraries()
    # A search for cycles goes through everything that a window holds, for a fifth of a
    # second, and a hundred thousand new objects bring about several.
    was_on = gc.isenabled()
    gc.disable()
    try:
        import_module("torch")
    finally:
        if was_on:
            gc.enable()


def load_libraries(folder: Path | None = None) -> list[str]:
    """Map the libraries of PyTorch into the process, in the order that it does.

    Parameters
    ----------
    folder : Path, optional
        Where they lie; that of the installed one if left out.

    Returns
    -------
    list of str
        What was loaded, by file name. What could not be is left to ``import torch``,
        which says what is wrong.
    """
    suffix = _SUFFIXES.get(sys.platform)
    folder = folder or _find_folder()
    if suffix is None or folder is None:
        return []
    linker = ctypes.CDLL(None)
    linker.dlopen.argtypes = [ctypes.c_char_p, ctypes.c_int]
    linker.dlopen.restype = ctypes.c_void_p
    loaded = []
    for stem, scope in (
        ("libtorch_global_deps", os.RTLD_GLOBAL),
        ("libtorch", os.RTLD_LOCAL),
    ):
        path = folder / f"{stem}.{suffix}"
        if linker.dlopen(os.fsencode(path), os.RTLD_NOW | scope) is None:
            logger.debug("%s is left to PyTorch", path)
        else:
            loaded.append(path.name)
    return loaded


def _find_folder() -> Path | None:
    """Find PyTorch's libraries without importing it."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).parent / "lib"


__all__ = ["import_torch", "load_libraries"]
