"""Keep Triton out of a process in which loading it would end that process.

Triton brings an LLVM of its own. Where the OpenGL driver of an open window has already
loaded LLVM (Mesa's software renderer and some of its GPU drivers do), loading Triton
crashes. PyTorch loads it with ``torch._dynamo``, which optimizers and timm import, and
does without it where it cannot be imported. Nothing here compiles by Triton.

A command keeps it out in any case: it takes a third of a second to load, and tells of
dozens of leaks when the process ends. Other programs, such as a napari with further
plugins, may want it.
"""

from __future__ import annotations

import sys
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

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


class TritonGate(MetaPathFinder, Loader):
    """Makes ``import triton`` fail, as if it were not installed, beside another LLVM.

    Parameters
    ----------
    maps : Path
        See `is_llvm_loaded`.
    always : bool, default: False
        Whether it fails in any case.
    """

    def __init__(self, maps: Path = _MAPS, *, always: bool = False) -> None:
        self.maps = maps
        self.always = always

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        """Step in where Triton is asked for and must not be loaded.

        Parameters
        ----------
        fullname : str
            What is imported.
        path : sequence of str, optional
            Of a package; not used.
        target : module, optional
            Not used.

        Returns
        -------
        ModuleSpec or None
            None leaves the import to others.
        """
        del path, target
        if fullname != "triton" or not (self.always or is_llvm_loaded(self.maps)):
            return None
        return ModuleSpec(fullname, self)

    def exec_module(self, module: ModuleType) -> None:
        """Refuse.

        Parameters
        ----------
        module : module
            That was to be filled.

        Raises
        ------
        ImportError
            Always.
        """
        msg = "Triton is not used here, and would crash beside the LLVM of a window"
        raise ImportError(msg, name=module.__name__)


def install_gate(*, always: bool = False) -> None:
    """Put the gate before whoever finds modules, once for the process.

    Parameters
    ----------
    always : bool, default: False
        Close it for good: for a process of our own, which needs no Triton.
    """
    gates = [finder for finder in sys.meta_path if isinstance(finder, TritonGate)]
    if not gates:
        sys.meta_path.insert(0, TritonGate(always=always))
    elif always:
        gates[0].always = True


__all__ = ["TritonGate", "install_gate", "is_llvm_loaded"]
