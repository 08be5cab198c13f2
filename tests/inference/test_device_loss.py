import gc
import weakref

import pytest
import torch

from napari_mmsubtype.errors import DeviceLostError
from napari_mmsubtype.inference.device_loss import (
    is_device_lost,
    keep_for_ever,
    watch_device,
)

DEVICE = torch.device("cuda:0")


@pytest.mark.parametrize(
    "words",
    [
        "CUDA error: unspecified launch failure",
        "CUDA error: the launch timed out and was terminated",
        "CUDA driver error: unknown error",
        "cuDNN error: CUDNN_STATUS_EXECUTION_FAILED",
        "No CUDA GPUs are available",
        "MPS backend failed to run the command buffer",
    ],
)
def test_a_lost_device_is_one_clear_error_that_says_how_to_go_on(words):
    with (
        pytest.raises(DeviceLostError, match=r"cuda:0 stopped.*device='cpu'") as caught,
        watch_device(DEVICE),
    ):
        raise RuntimeError(f"{words}\nCompile with TORCH_USE_CUDA_DSA ...")
    assert words in str(caught.value)
    assert "DSA" not in str(caught.value)


def test_the_class_of_newer_versions_counts_whatever_it_says():
    kind = getattr(torch, "AcceleratorError", None)
    if kind is None:
        pytest.skip("this PyTorch has no class for it")
    assert is_device_lost(kind("ECC error"))


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("mat1 and mat2 shapes cannot be multiplied"),
        RuntimeError("CUDA error: out of memory"),
        RuntimeError("CUDA error: CUBLAS_STATUS_NOT_INITIALIZED when calling create"),
        RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"),
        RuntimeError("CUDA error: no kernel image is available for execution"),
        torch.OutOfMemoryError("CUDA out of memory"),
        ValueError("CUDA error: wrong type"),
    ],
)
def test_other_failures_pass_as_they_are(error):
    assert not is_device_lost(error)
    with pytest.raises(type(error)) as caught, watch_device(DEVICE):
        raise error
    assert caught.value is error


def test_what_is_kept_for_ever_outlives_all_that_knew_it():
    class Held:
        pass

    one, other = Held(), Held()
    kept, gone = weakref.ref(one), weakref.ref(other)
    keep_for_ever([one])
    del one, other
    gc.collect()
    assert gone() is None
    assert isinstance(kept(), Held)
