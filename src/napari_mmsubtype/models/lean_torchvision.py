"""Import torchvision without PyTorch's compiler, which takes seconds to load.

``torchvision.ops.roi_align`` asks ``torch._dynamo.utils`` whether a device can compile,
but only when it is called. While torchvision is imported, two small modules stand for
these; whatever else is asked of them comes from the real ones.
"""

from __future__ import annotations

import sys
from importlib import import_module
from threading import Lock
from types import ModuleType
from typing import Any

_PACKAGE = "torch._dynamo"
_UTILS = "torch._dynamo.utils"
_lock = Lock()


class _StandIn(ModuleType):
    """A module that is loaded when more is asked of it than it has."""

    def __getattr__(self, name: str) -> Any:
        is_search = self.__name__ == _PACKAGE and name == "__path__"
        if name.startswith("__") and not is_search:
            raise AttributeError(name)
        _step_aside()
        return getattr(import_module(self.__name__), name)


def import_torchvision() -> None:
    """Import torchvision, if this has not been done."""
    with _lock:
        if "torchvision" in sys.modules:
            return
        if _PACKAGE not in sys.modules:
            package, utils = _StandIn(_PACKAGE), _StandIn(_UTILS)
            vars(package)["utils"] = utils
            vars(utils)["is_compile_supported"] = _is_compile_supported
            sys.modules |= {_PACKAGE: package, _UTILS: utils}
        try:
            import_module("torchvision")
        finally:
            _step_aside()


def _step_aside() -> None:
    """Let the next one who imports the real modules find them."""
    for name in (_PACKAGE, _UTILS):
        if isinstance(sys.modules.get(name), _StandIn):
            del sys.modules[name]


def _is_compile_supported(device_type: str) -> Any:
    """Ask the real function, now that the answer is needed."""
    return import_module(_UTILS).is_compile_supported(device_type)


__all__ = ["import_torchvision"]
