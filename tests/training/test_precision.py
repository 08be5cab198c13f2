from __future__ import annotations

import pytest
import torch

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.training import precision
from napari_mmsubtype.training.precision import autocast


@pytest.mark.parametrize(
    ("precision", "expected"),
    [
        ("float32", torch.float32),
        ("auto", torch.float32),
        ("bfloat16", torch.bfloat16),
    ],
)
def test_products_on_a_processor_take_the_format_asked_for(precision, expected) -> None:
    layer = torch.nn.Linear(3, 2)
    with autocast(precision, torch.device("cpu")):
        assert layer(torch.ones(1, 3)).dtype is expected
    assert layer.weight.dtype is torch.float32


@pytest.mark.parametrize("offered", [True, False])
def test_automatic_precision_asks_the_graphics_card(offered, monkeypatch) -> None:
    monkeypatch.setattr(precision, "has_bfloat16", lambda _: offered)
    # PyTorch asks again, and counts what is emulated.
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.amp.autocast_mode, "is_autocast_available", bool)
    device = torch.device("cuda")
    assert autocast("auto", device)._enabled is offered
    if not offered:
        with pytest.raises(ConfigurationError, match="set precision to float32"):
            autocast("bfloat16", device)
