from __future__ import annotations

import pytest
import timm
import torch
from torch.nn import functional as F

from napari_mmsubtype.models.dinov2_weights import from_dinov2

DIM, HEADS, BLOCKS, PX = 8, 2, 2, 14


def published(*, swiglu: bool, registers: int, cells: int = 4) -> dict:
    """Draw a small file in the names of Hugging Face."""
    torch.manual_seed(0)
    inner = (24, 12) if swiglu else (32, 32)
    first, second = ("weights_in", "weights_out") if swiglu else ("fc1", "fc2")
    shapes = {
        "embeddings.cls_token": (1, 1, DIM),
        "embeddings.mask_token": (1, DIM),
        "embeddings.position_embeddings": (1, 1 + cells * cells, DIM),
        "embeddings.patch_embeddings.projection.weight": (DIM, 3, PX, PX),
        "embeddings.patch_embeddings.projection.bias": (DIM,),
        "layernorm.weight": (DIM,),
        "layernorm.bias": (DIM,),
    }
    if registers:
        shapes["embeddings.register_tokens"] = (1, registers, DIM)
    for block in range(BLOCKS):
        top = f"encoder.layer.{block}."
        for norm in ("norm1", "norm2"):
            shapes |= {f"{top}{norm}.weight": (DIM,), f"{top}{norm}.bias": (DIM,)}
        for part in ("attention.query", "attention.key", "attention.value"):
            shapes[f"{top}attention.{part}.weight"] = (DIM, DIM)
            shapes[f"{top}attention.{part}.bias"] = (DIM,)
        shapes |= {
            f"{top}attention.output.dense.weight": (DIM, DIM),
            f"{top}attention.output.dense.bias": (DIM,),
            f"{top}layer_scale1.lambda1": (DIM,),
            f"{top}layer_scale2.lambda1": (DIM,),
            f"{top}mlp.{first}.weight": (inner[0], DIM),
            f"{top}mlp.{first}.bias": (inner[0],),
            f"{top}mlp.{second}.weight": (DIM, inner[1]),
            f"{top}mlp.{second}.bias": (DIM,),
        }
    return {name: torch.randn(shape) * 0.5 for name, shape in shapes.items()}


def run(state: dict, images: torch.Tensor, *, swiglu: bool) -> torch.Tensor:
    """Compute a DINOv2 from its definition, in the names of Hugging Face."""

    def linear(x, name):
        return F.linear(x, state[f"{name}.weight"], state[f"{name}.bias"])

    def norm(x, name):
        return F.layer_norm(
            x, (DIM,), state[f"{name}.weight"], state[f"{name}.bias"], 1e-6
        )

    projection = "embeddings.patch_embeddings.projection"
    cells = F.conv2d(
        images, state[f"{projection}.weight"], state[f"{projection}.bias"], stride=PX
    )
    x = cells.flatten(2).transpose(1, 2)
    first = state["embeddings.cls_token"].expand(len(x), -1, -1)
    x = torch.cat([first, x], dim=1) + state["embeddings.position_embeddings"]
    if "embeddings.register_tokens" in state:
        registers = state["embeddings.register_tokens"].expand(len(x), -1, -1)
        x = torch.cat([x[:, :1], registers, x[:, 1:]], dim=1)
    for block in range(BLOCKS):
        top = f"encoder.layer.{block}."
        y = norm(x, f"{top}norm1")
        q, k, v = (
            linear(y, f"{top}attention.attention.{part}")
            .unflatten(2, (HEADS, -1))
            .transpose(1, 2)
            for part in ("query", "key", "value")
        )
        weights = (q @ k.transpose(2, 3) / (DIM // HEADS) ** 0.5).softmax(-1)
        y = (weights @ v).transpose(1, 2).flatten(2)
        y = linear(y, f"{top}attention.output.dense")
        x = x + y * state[f"{top}layer_scale1.lambda1"]
        y = norm(x, f"{top}norm2")
        if swiglu:
            gate, value = linear(y, f"{top}mlp.weights_in").chunk(2, dim=-1)
            y = linear(F.silu(gate) * value, f"{top}mlp.weights_out")
        else:
            y = linear(F.gelu(linear(y, f"{top}mlp.fc1")), f"{top}mlp.fc2")
        x = x + y * state[f"{top}layer_scale2.lambda1"]
    return norm(x, "layernorm")


@pytest.mark.parametrize(
    ("swiglu", "registers"), [(False, 0), (True, 0), (True, 4), (False, 4)]
)
def test_the_network_of_timm_computes_what_the_file_was_made_for(swiglu, registers):
    options = {"mlp_ratio": 3.0 if swiglu else 4.0}
    if swiglu:
        options |= {"mlp_layer": timm.layers.SwiGLUPacked, "act_layer": torch.nn.SiLU}
    network = timm.create_model(
        "vit_small_patch14_reg4_dinov2" if registers else "vit_small_patch14_dinov2",
        num_classes=0,
        img_size=4 * PX,
        embed_dim=DIM,
        depth=BLOCKS,
        num_heads=HEADS,
        **options,
    ).eval()
    state = published(swiglu=swiglu, registers=registers)
    network.load_state_dict(
        from_dinov2(state, side=4, class_has_position=not registers)
    )
    images = torch.randn(2, 3, 4 * PX, 4 * PX)
    with torch.inference_mode():
        found = network.forward_features(images)
        expected = run(state, images, swiglu=swiglu)
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-4)


def test_positions_of_another_size_are_resampled():
    state = published(swiglu=False, registers=0, cells=6)
    found = from_dinov2(state, side=4, class_has_position=True)
    assert found["pos_embed"].shape == (1, 17, DIM)
    first = state["embeddings.position_embeddings"][:, :1]
    assert torch.equal(found["pos_embed"][:, :1], first)


def test_names_of_timm_are_left_alone():
    state = {"cls_token": torch.zeros(1, 1, DIM)}
    assert from_dinov2(state, side=4, class_has_position=True) is state
