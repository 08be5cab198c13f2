import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference import device
from napari_mmsubtype.inference.device import (
    Processor,
    choose_processor,
    fast_in_bfloat16,
    fast_in_int8,
    has_tiles,
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
    assert has_tiles() is amx


def test_a_pytorch_that_cannot_tell_means_float32(monkeypatch):
    for name in ("_is_amx_tile_supported", "_is_avx512_bf16_supported"):
        monkeypatch.delattr(torch.cpu, name, raising=False)
    assert fast_in_bfloat16() is False
    assert has_tiles() is False


@pytest.mark.parametrize(
    ("told", "is_fast"),
    [
        ({"avx512_vnni": True}, True),
        ({"avx512_vnni": False, "avx_vnni": True}, True),
        ({"avx512_vnni": False, "avx_vnni": False}, False),
        ({}, False),
    ],
)
def test_either_instruction_set_makes_int8_possible(monkeypatch, told, is_fast):
    monkeypatch.delattr(torch.cpu, "_is_vnni_supported", raising=False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: told, raising=False)
    assert fast_in_int8() is is_fast


def test_an_older_pytorch_knows_one_of_them(monkeypatch):
    monkeypatch.delattr(torch.cpu, "get_capabilities", raising=False)
    for is_fast in (True, False):
        monkeypatch.setattr(
            torch.cpu, "_is_vnni_supported", lambda told=is_fast: told, raising=False
        )
        assert fast_in_int8() is is_fast


@pytest.mark.parametrize("lowered", [True, False])
def test_int8_leaves_the_rest_to_what_is_fast(monkeypatch, lowered):
    monkeypatch.setattr(device, "fast_in_int8", lambda: True)
    monkeypatch.setattr(device, "fast_in_bfloat16", lambda: lowered)
    processor = choose_processor("cpu", "int8")
    assert processor.precision == "int8"
    assert processor.autocast is (torch.bfloat16 if lowered else None)
    whole = processor.in_float32()
    assert whole == choose_processor("cpu", "float32")
    assert whole.precision == "float32"


def test_int8_on_another_cpu_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(device, "fast_in_int8", lambda: False)
    with pytest.raises(ConfigurationError, match=r"VNNI.*lacks; use --precision auto"):
        choose_processor("cpu", "int8")


def test_int8_on_a_gpu_is_one_clear_error(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    with pytest.raises(ConfigurationError, match="would use mps; use --device cpu"):
        choose_processor("mps", "int8")


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


@pytest.fixture
def card(monkeypatch):
    def take(capability):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
        monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
        monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
        monkeypatch.setattr(torch.cuda, "get_arch_list", lambda: ["sm_75", "sm_80"])

    monkeypatch.setattr(torch.version, "hip", None)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    return take


@pytest.mark.parametrize(
    ("capability", "precision"), [((7, 5), "float16"), ((8, 6), "bfloat16")]
)
def test_a_card_runs_in_the_half_precision_of_its_hardware(card, capability, precision):
    card(capability)
    processor = choose_processor()
    assert (processor.device.type, processor.precision) == ("cuda", precision)
    assert choose_processor("cuda", "float32").precision == "float32"


def test_a_card_that_pytorch_was_not_built_for_is_not_taken(card, caplog):
    card((6, 1))
    assert choose_processor().device.type == "cpu"
    assert "compute capability 6.1, but for sm_75, sm_80: it is not used" in caplog.text
    with pytest.raises(ConfigurationError, match=r"was not built for cuda.*device cpu"):
        choose_processor("cuda")


def test_float32_on_a_card_is_not_rounded(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    with Processor(torch.device("cuda"), None).autocasting():
        assert not torch.backends.cudnn.allow_tf32
    assert torch.backends.cudnn.allow_tf32
    with Processor(torch.device("cpu"), None).autocasting():
        assert torch.backends.cudnn.allow_tf32
