"""What a graphics card and the PyTorch at hand can do together."""

from __future__ import annotations

import re
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

_AMPERE = (8, 0)
"""The first compute capability with bfloat16 in hardware."""


def has_bfloat16(device: torch.device) -> bool:
    """Tell whether a card multiplies bfloat16 numbers in hardware.

    Parameters
    ----------
    device : torch.device
        A CUDA device.

    Returns
    -------
    bool
        Elsewhere PyTorch emulates some of it, and cuDNN refuses its convolutions.
    """
    # AMD's cards have capabilities of their own; those that PyTorch supports have it.
    is_amd = torch.version.hip is not None
    return is_amd or torch.cuda.get_device_capability(device) >= _AMPERE


def lacks_kernels(device: torch.device) -> str:
    """Tell why this PyTorch cannot compute on a card, if it cannot.

    Parameters
    ----------
    device : torch.device
        A CUDA device.

    Returns
    -------
    str
        Empty where it can. PyTorch calls cards available that it was not built for,
        and fails in the first step.
    """
    if torch.version.hip is not None:
        return ""
    own = torch.cuda.get_device_capability(device)
    built = torch.cuda.get_arch_list()
    for name in built:
        found = re.fullmatch(r"(sm|compute)_(\d+)(\d)", name)
        if found is None:
            # For one kind of card only, or of a kind that is not known yet.
            continue
        kind, major, minor = found[1], int(found[2]), int(found[3])
        # Machine code runs on later cards of its generation, and what is compiled at
        # run time on all later ones.
        is_generation = kind == "compute" or major == own[0]
        if is_generation and (major, minor) <= own:
            return ""
    return (
        f"PyTorch {torch.__version__} was not built for {device}, "
        f"{torch.cuda.get_device_name(device)} of compute capability "
        f"{own[0]}.{own[1]}, but for {', '.join(built) or 'no card'}"
    )


class _WholeProducts:
    """Counts who needs float32 products unrounded, as the setting is the process'."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._users = 0
        self._before = (False, False)

    def enter(self) -> None:
        """Set it for the first."""
        matrices, convolutions = torch.backends.cuda.matmul, torch.backends.cudnn
        with self._lock:
            if self._users == 0:
                self._before = matrices.allow_tf32, convolutions.allow_tf32
                matrices.allow_tf32 = convolutions.allow_tf32 = False
            self._users += 1

    def leave(self) -> None:
        """Restore it after the last."""
        with self._lock:
            self._users -= 1
            if self._users == 0:
                torch.backends.cuda.matmul.allow_tf32 = self._before[0]
                torch.backends.cudnn.allow_tf32 = self._before[1]


_WHOLE = _WholeProducts()


@contextmanager
def whole_float32() -> Iterator[None]:
    """Keep graphics cards from rounding factors of float32 to 10 bits (TF32).

    Yields
    ------
    None
        While products are those of float32, in all threads.
    """
    _WHOLE.enter()
    try:
        yield
    finally:
        _WHOLE.leave()


__all__ = ["has_bfloat16", "lacks_kernels", "whole_float32"]
