from __future__ import annotations

from dataclasses import replace

import pytest
import timm
import torch
from safetensors.torch import save_file

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoder_weights import load_weights
from napari_mmsubtype.models.foundation import FoundationEncoder
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS
from napari_mmsubtype.models.registry import create_encoder

NAMES = sorted(FOUNDATION_MODELS)
TINY = {"embed_dim": 8, "depth": 1, "num_heads": 2}

# Recorded, so that a change in what timm builds is noticed.
PARAMETERS = {
    "gigapath": 1_134_953_984,
    "h-optimus-0": 1_134_774_272,
    "uni": 303_350_784,
    "uni2-h": 681_394_176,
    "virchow2": 631_239_424,
}


@pytest.mark.parametrize("name", NAMES)
def test_the_network_has_the_map_that_is_promised(name):
    with torch.device("meta"):
        encoder = create_encoder(name, allow_noncommercial=True)
        maps = encoder.feature_map(torch.zeros(1, 3, 224, 224))
    model = FOUNDATION_MODELS[name]
    assert maps.shape == (1, model.dim, encoder.cells, encoder.cells)
    assert (encoder.mean, encoder.std) == (model.mean, model.std)
    count = sum(p.numel() for p in encoder.parameters())
    assert count == PARAMETERS.get(name, count)


@pytest.mark.parametrize("name", sorted({*NAMES} - {"ctranspath", "midnight-12k"}))
def test_restricted_models_are_not_built_without_a_word(name):
    with pytest.raises(ConfigurationError, match=r"pass allow_noncommercial=True"):
        create_encoder(name)


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ctranspath"])
def test_a_small_stand_in_loads_from_a_folder_and_takes_other_sizes(name, tmp_path):
    model = FOUNDATION_MODELS[name]
    small = replace(model, timm_options=model.timm_options | TINY, dim=8)
    torch.manual_seed(0)
    first = FoundationEncoder(small, allow_noncommercial=True).eval()
    save_file(first.body.state_dict(), tmp_path / "model.safetensors")
    size = 3 * model.patch_px
    second = FoundationEncoder(small, allow_noncommercial=True, input_size=size).eval()
    load_weights(second, tmp_path)
    images = torch.randn(1, 3, size, size)
    with torch.inference_mode():
        maps = second.feature_map(images)
        torch.testing.assert_close(first.feature_map(images), maps)
    assert maps.shape == (1, 8, 3, 3)
    assert (second.cells, second.cell_px) == (3, model.patch_px)


def test_a_stand_in_of_midnight_loads_in_its_published_names(tmp_path):
    model = FOUNDATION_MODELS["midnight-12k"]
    small = replace(model, timm_options=model.timm_options | TINY, dim=8)
    encoder = FoundationEncoder(small)
    own = encoder.body.state_dict()
    published = {
        "embeddings.cls_token": torch.randn(1, 1, 8),
        "embeddings.mask_token": torch.randn(1, 8),
        "embeddings.position_embeddings": torch.randn(1, 1 + 37 * 37, 8),
        "embeddings.patch_embeddings.projection.weight": torch.randn(8, 3, 14, 14),
        "embeddings.patch_embeddings.projection.bias": torch.randn(8),
        "layernorm.weight": torch.randn(8),
        "layernorm.bias": torch.randn(8),
    }
    top = "encoder.layer.0."
    for part in ("query", "key", "value"):
        published[f"{top}attention.attention.{part}.weight"] = torch.randn(8, 8)
        published[f"{top}attention.attention.{part}.bias"] = torch.randn(8)
    for theirs, ours in (
        ("attention.output.dense", "attn.proj"),
        ("mlp.weights_in", "mlp.fc1"),
        ("mlp.weights_out", "mlp.fc2"),
        ("norm1", "norm1"),
        ("norm2", "norm2"),
    ):
        for kind in ("weight", "bias"):
            shape = own[f"blocks.0.{ours}.{kind}"].shape
            published[f"{top}{theirs}.{kind}"] = torch.randn(shape)
    for number in "12":
        published[f"{top}layer_scale{number}.lambda1"] = torch.randn(8)
    torch.save(published, tmp_path / "pytorch_model.bin")
    load_weights(encoder, tmp_path)
    loaded = encoder.body.state_dict()
    assert torch.equal(loaded["norm.bias"], published["layernorm.bias"])
    query = published[f"{top}attention.attention.query.weight"]
    assert torch.equal(loaded["blocks.0.attn.qkv.weight"][:8], query)

    del published[f"{top}attention.attention.key.weight"]
    save_file(published, tmp_path / "broken.safetensors")
    with pytest.raises(ConfigurationError, match=r"blocks\.0\.attn\.qkv\.weight"):
        load_weights(encoder, tmp_path / "broken.safetensors")


def test_ctranspath_loads_its_published_file_and_runs(tmp_path):
    torch.manual_seed(0)
    first = create_encoder("ctranspath")
    published = {}
    for name, value in first.body.state_dict().items():
        old = name
        for stage in (1, 2, 3):
            old = old.replace(
                f"layers.{stage}.downsample.", f"layers.{stage - 1}.downsample."
            )
        published[old] = value
    published["head.weight"] = torch.zeros(2, 768)
    torch.save({"model": published}, tmp_path / "ctranspath.pth")
    second = create_encoder("ctranspath", weights=tmp_path / "ctranspath.pth")
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        maps = second.feature_map(images)
        assert torch.equal(first.feature_map(images), maps)
    assert maps.shape == (1, 768, 7, 7)


@pytest.mark.parametrize(
    ("name", "size", "message"),
    [
        ("midnight-12k", 256, "multiple of 14 px, found 256 px"),
        ("ctranspath", 256, "takes patches of 224 px, found 256 px"),
    ],
)
def test_other_sizes_are_refused(name, size, message):
    with pytest.raises(ConfigurationError, match=message):
        create_encoder(name, input_size=size)


def test_weights_of_another_model_are_refused(tmp_path):
    network = timm.create_model("test_vit", num_classes=0)
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    model = FOUNDATION_MODELS["h-optimus-0"]
    small = replace(model, timm_options=model.timm_options | TINY, dim=8)
    with pytest.raises(ConfigurationError, match="not those of encoder"):
        load_weights(FoundationEncoder(small, allow_noncommercial=True), tmp_path)
