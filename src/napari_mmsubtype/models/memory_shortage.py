"""Tell a lack of memory from other failures."""

from __future__ import annotations

import torch

_SIGNS = (
    "out of memory",
    "can't allocate memory",
    "not enough memory",
    # oneDNN's word where it has no room for a layer, and Python's for a thread's stack.
    "could not create a primitive",
    "can't start new thread",
    "cublas_status_alloc_failed",
    "cudnn_status_alloc_failed",
    # What these libraries say where a full device has no room for their own needs. One
    # that is lost says so to the next attempt.
    "cublas_status_not_initialized",
    "cudnn_status_not_initialized",
    "cudnn_status_internal_error",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Tell a lack of memory from other failures.

    Parameters
    ----------
    error : BaseException
        As raised by PyTorch, NumPy or Python. PyTorch has a class of its own for GPUs,
        and says so in words on the CPU.

    Returns
    -------
    bool
        Whether less work at once may succeed.
    """
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    # What it says of a layer that it cannot do on this processor begins alike.
    words = str(error).lower().replace("a primitive descriptor", "")
    return isinstance(error, RuntimeError) and any(sign in words for sign in _SIGNS)
