import pytest
import torch

from napari_mmsubtype.models.memory_shortage import is_out_of_memory


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
        RuntimeError("could not create a primitive"),
        RuntimeError("can't start new thread"),
        RuntimeError("DefaultCPUAllocator: can't allocate memory"),
    ],
    ids=repr,
)
def test_a_shortage_is_known_by_kind_or_words(error):
    assert is_out_of_memory(error)


@pytest.mark.parametrize(
    "error",
    [
        RuntimeError("shape mismatch"),
        RuntimeError("could not create a primitive descriptor for a matmul"),
        ValueError("out of memory"),
        KeyError(1),
    ],
)
def test_other_failures_are_none(error):
    assert not is_out_of_memory(error)
