from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.vit_names import from_timm_vit


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A ViT-S of timm with random weights, as it would be published."""
    torch.manual_seed(2)
    network = timm.create_model("deit_small_patch16_224").eval()
    # Zeros, as at the start, would hide a position or an offset that is mixed up.
    with torch.no_grad():
        for value in network.parameters():
            value.add_(0.02 * torch.randn_like(value))
    path = tmp_path_factory.mktemp("vit") / "model.safetensors"
    save_file(network.state_dict(), path)
    return network, path


def test_weights_of_timm_give_the_same_tokens(published):
    network, path = published
    encoder = create_encoder("vit_s_16", weights=path)
    images = torch.randn(2, 3, 224, 224)
    with torch.inference_mode():
        tokens = network.forward_features(images)[:, 1:]
        maps = encoder.feature_map(images)
    torch.testing.assert_close(
        maps.flatten(2).transpose(1, 2), tokens, atol=1e-4, rtol=1e-4
    )


def test_they_fill_the_transformer_of_resvit(published):
    network, path = published
    encoder = create_encoder(
        "resvit", weights={"vit": path}, input_size=64, cnn="resnet18"
    )
    found = encoder.body.vit.state_dict()
    assert torch.equal(found["class_token"], network.cls_token)
    query = found["encoder.layers.encoder_layer_11.self_attention.in_proj_weight"]
    assert torch.equal(query, network.blocks[11].attn.qkv.weight)
    assert encoder.origin == f"vit: file {path.name}"


def test_names_of_torchvision_stay(published):
    state = create_encoder("vit_s_16").body.state_dict()
    assert from_timm_vit(state) is state


def test_a_network_of_another_width_is_refused(published):
    _, path = published
    with pytest.raises(ConfigurationError, match="of another shape"):
        create_encoder("vit_b_16", weights=path)
