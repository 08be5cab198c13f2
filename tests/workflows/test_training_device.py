"""A network is lent to the device that trains it, and comes back."""

import pytest
import torch

from builders.other_device import OTHER, other_device
from napari_mmsubtype.errors import (
    ConfigurationError,
    DeviceLostError,
    OutOfMemoryError,
)
from napari_mmsubtype.inference.device import Processor
from napari_mmsubtype.workflows import training_device
from napari_mmsubtype.workflows.training_device import lent_to


@pytest.fixture
def network():
    return torch.nn.Linear(2, 2)


def run_out(device, network, error):
    with lent_to(device, network, "fusion_training") as place:
        assert network.weight.device == place
        raise error


def test_too_large_a_step_says_how_to_make_it_smaller(network, monkeypatch):
    weights = network.weight.detach().clone()
    monkeypatch.setattr(
        training_device, "choose_processor", lambda _: Processor(OTHER, None)
    )
    error = torch.OutOfMemoryError("CUDA out of memory. Tried 2.00 GiB.\nmore")
    with pytest.raises(OutOfMemoryError) as caught, other_device():
        run_out("cuda", network, error)
    told = str(caught.value)
    assert "(CUDA out of memory. Tried 2.00 GiB.)" in told
    assert "setting fusion_training.accumulation" in told
    assert "or pass device='cpu'" in told
    assert "\n" not in told
    assert network.weight.device.type == "cpu"
    assert torch.equal(network.weight, weights)


def test_where_there_is_no_other_device_none_is_named(network):
    with pytest.raises(OutOfMemoryError) as caught:
        run_out("cpu", network, MemoryError())
    assert "memory of cpu (MemoryError); take it in more parts" in str(caught.value)
    assert "device=" not in str(caught.value)


def test_other_failures_are_told_as_they_are(network):
    with pytest.raises(RuntimeError, match=r"^other$"):
        run_out("cpu", network, RuntimeError("other"))
    if not torch.cuda.is_available():
        with pytest.raises(ConfigurationError, match="device 'cuda' is not there"):
            run_out("cuda", network, RuntimeError("never"))


def test_from_a_lost_device_nothing_is_read_back(network, monkeypatch):
    monkeypatch.setattr(network, "cpu", None)
    error = RuntimeError("CUDA error: unspecified launch failure")
    with pytest.raises(DeviceLostError, match="cpu stopped answering"):
        run_out("cpu", network, error)
