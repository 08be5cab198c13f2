"""Keep Triton out of a process in which loading it would end that process.

Triton brings an LLVM of its own. Where the OpenGL driver of an open window has already
loaded LLVM (Mesa's software renderer and some of its GPU drivers do), loading Triton
crashes, and torchvision and timm load it when they are imported, through
``torch._dynamo``. Nothing here compiles by Triton.
"""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

_MAPS = Path("/proc/self/maps")


def is_llvm_loaded(maps: Path = _MAPS) -> bool:
    """Tell whether something has loaded LLVM into this process.

    Parameters
    ----------
    maps : Path
        What is mapped into the process; Linux has such a file.

    Returns
    -------
    bool
        False where this cannot be known, as on other systems, which have no Triton.
    """
    try:
        return "libLLVM" in maps.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False


def shield_from_triton(maps: Path = _MAPS) -> bool:
    """Let PyTorch believe that there is no Triton, where loading it would crash.

    PyTorch asks once, when ``torch._dynamo`` is imported, and remembers the answer.
    Call this before importing what imports it.

    Parameters
    ----------
    maps : Path
        See `is_llvm_loaded`.

    Returns
    -------
    bool
        Whether it was necessary.
    """
    if "triton" in sys.modules or "torch._dynamo" in sys.modules:
        return False
    if not is_llvm_loaded(maps):
        return False
    # An entry of None makes an import fail as if the package were not installed.
    sys.modules["triton"] = None  # type: ignore[assignment]
    try:
        import_module("torch._dynamo")
    finally:
        del sys.modules["triton"]
    return True
