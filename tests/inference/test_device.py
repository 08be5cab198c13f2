import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference.device import (
    Processor,
    choose_processor,
    fast_in_bfloat16,
)


def test_auto_takes_the_cpu_where_there_is_nothing_else(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    processor = choose_processor("auto")
    assert (processor.device.type, processor.precision) == ("cpu", "float32")


@pytest.mark.parametrize("name", ["cuda", "cuda:3"])
def test_a_device_that_is_not_there_is_one_clear_error(monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigurationError, match="sees 0 CUDA devices"):
        choose_processor(name)


def test_an_unknown_name_is_one_clear_error():
    with pytest.raises(ConfigurationError, match="'toaster'"):
        choose_processor("toaster")


@pytest.mark.parametrize(
    ("asked", "given"),
    [("auto", "float32"), ("float32", "float32"), ("bfloat16", "bfloat16")],
)
def test_a_precision_can_be_forced(asked, given):
    assert choose_processor("cpu", asked).precision == given


def test_an_unknown_precision_is_one_clear_error():
    with pytest.raises(ConfigurationError, match="'half'"):
        choose_processor("cpu", "half")


@pytest.mark.parametrize("amx", [True, False])
@pytest.mark.parametrize("avx512", [True, False])
def test_either_instruction_set_makes_bfloat16_fast(monkeypatch, amx, avx512):
    for name, value in {
        "_is_amx_tile_supported": amx,
        "_is_avx512_bf16_supported": avx512,
    }.items():
        monkeypatch.setattr(torch.cpu, name, lambda value=value: value, raising=False)
    assert fast_in_bfloat16() is (amx or avx512)


def test_a_pytorch_that_cannot_tell_means_float32(monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert fast_in_bfloat16() is False


def test_batches_hold_about_the_same_pixels_whatever_the_patch():
    cpu = Processor(torch.device("cpu"), None)
    assert cpu.default_batch_size(224) == 16
    assert cpu.default_batch_size(4096) == 1
    assert 30 <= cpu.default_batch_size(128) <= 60


def test_autocast_lowers_the_precision_of_convolutions():
    processor = Processor(torch.device("cpu"), torch.bfloat16)
    with processor.autocasting():
        result = torch.nn.functional.conv2d(
            torch.ones(1, 1, 4, 4), torch.ones(1, 1, 1, 1)
        )
    assert result.dtype is torch.bfloat16
    assert processor.precision == "bfloat16"


@pytest.mark.gpu
def test_auto_takes_cuda_where_there_is_one():
    assert choose_processor("auto").device.type == "cuda"
