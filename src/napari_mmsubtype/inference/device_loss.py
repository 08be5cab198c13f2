"""Tell a processor that is gone from a fault of the program."""

from __future__ import annotations

import ctypes
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import DeviceLostError
from napari_mmsubtype.inference.batch_limit import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Iterator

_SIGNS = (
    "cuda error",
    "cuda driver error",
    "cudnn error",
    "cudnn_status_",
    "cublas_status_",
    "no cuda gpus are available",
    "cuda unknown error",
    "nvml",
    "mps backend",
    "hip error",
)
"""What PyTorch says once a driver was reset, a GPU fell off the bus, a remote desktop
took it away or a laptop slept. Nothing more can be done on such a device."""
_UNABLE = ("no kernel image", "not supported", "_not_supported", "_bad_param")
"""What it says where a device answers, but cannot do what it was asked for."""


def is_device_lost(error: BaseException) -> bool:
    """Tell whether a device stopped answering.

    Parameters
    ----------
    error : BaseException
        As raised by PyTorch.

    Returns
    -------
    bool
        False for a lack of memory, after which the device goes on working.
    """
    if is_out_of_memory(error) or not isinstance(error, RuntimeError):
        return False
    words = str(error).lower()
    if any(sign in words for sign in _UNABLE):
        return False
    # Newer versions of PyTorch have a class for it, older ones only words.
    kind = getattr(torch, "AcceleratorError", None)
    if kind is not None and isinstance(error, kind):
        return True
    return any(sign in words for sign in _SIGNS)


@contextmanager
def watch_device(device: torch.device) -> Iterator[None]:
    """Turn the loss of a device into one clear error.

    Parameters
    ----------
    device : torch.device
        Where the network runs.

    Yields
    ------
    None
        While the network runs.

    Raises
    ------
    DeviceLostError
        If the device stopped answering.
    """
    try:
        yield
    except RuntimeError as err:
        if not is_device_lost(err):
            raise
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
        msg = (
            f"the device {device} stopped answering ({reason}); what was done is kept: "
            "run the same request again once it is back, or "
            f"{pass_option('device', 'cpu')} to go on without it"
        )
        raise DeviceLostError(msg) from err


def keep_for_ever(*objects: object) -> None:
    """Keep objects until the process ends, and beyond its clearing up.

    As memory that a CUDA device copies from or to by itself is let go of, PyTorch asks
    the device whether it has done with it. Where the device is lost, that ends the
    whole process at once, napari with all that is open in it.

    Parameters
    ----------
    *objects : object
        What such memory is held by; some batches at most.
    """
    for one in objects:
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(one))


__all__ = ["is_device_lost", "keep_for_ever", "watch_device"]
