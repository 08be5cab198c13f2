from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.models.volo import VOLO

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.registry import create_encoder, list_encoders
from napari_mmsubtype.models.timm_encoder import TimmEncoder, build_timm


@pytest.mark.parametrize(
    ("name", "size", "shape"),
    [
        ("test_resnet", 96, (96, 3, 3)),
        ("test_efficientnet", 64, (256, 2, 2)),
        ("test_vit", 160, (64, 10, 10)),
        ("test_vit", 64, (64, 4, 4)),
        ("convnext_atto", 64, (320, 2, 2)),
    ],
)
def test_convolutional_and_transformer_networks_have_a_map(name, size, shape):
    torch.manual_seed(0)
    encoder = create_encoder(f"timm:{name}", input_size=size)
    images = torch.randn(2, 3, size, size)
    with torch.inference_mode():
        maps = encoder.feature_map(images)
        torch.testing.assert_close(encoder(images), maps.mean(dim=(2, 3)))
    assert maps.shape == (2, *shape)
    assert (encoder.dim, encoder.cells, encoder.cells) == shape
    assert encoder.name == f"timm:{name}"
    assert encoder.options == {"input_size": size}


def test_channels_that_come_last_are_turned():
    encoder = create_encoder("timm:swin_tiny_patch4_window7_224", input_size=64)
    images = torch.randn(1, 3, 64, 64)
    with torch.inference_mode():
        maps = encoder.feature_map(images)
        raw = encoder.body.forward_features(images)
    assert maps.shape == (1, 768, 2, 2)
    assert torch.equal(maps, raw.permute(0, 3, 1, 2))


def test_tokens_keep_their_place():
    encoder = create_encoder("timm:test_vit", input_size=64)
    images = torch.zeros(1, 3, 64, 64)
    changed = images.clone()
    changed[:, :, 16:32, 48:] = 3.0
    with torch.inference_mode():
        moved = encoder.feature_map(changed) - encoder.feature_map(images)
    assert moved.norm(dim=1).flatten().argmax() == 7


def test_a_class_token_that_is_not_told_of_is_left_out():
    torch.manual_seed(0)
    network = VOLO(
        (1, 1, 1, 1), num_classes=0, embed_dims=(8, 16, 16, 16), num_heads=(2,) * 4
    )
    network.pretrained_cfg = timm.get_pretrained_cfg("volo_d1_224").to_dict()
    encoder = TimmEncoder("volo_d1_224", network=network)
    images = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        maps = encoder.feature_map(images)
        raw = network.forward_features(images)
    assert raw.shape == (1, 1 + 14 * 14, 16)
    assert maps.shape == (1, 16, 14, 14)
    assert torch.equal(maps.flatten(2).transpose(1, 2), raw[:, 1:])


def test_a_network_of_several_maps_is_refused():
    with pytest.raises(
        ConfigurationError, match=r"no square map .*gives a list of map"
    ):
        create_encoder("timm:crossvit_tiny_240")


def test_facts_are_those_of_timm():
    encoder = create_encoder("timm:test_vit")
    about = timm.get_pretrained_cfg("test_vit")
    assert (encoder.mean, encoder.std) == (about.mean, about.std)
    assert encoder.input_size == about.input_size[-1]


@pytest.mark.parametrize("name", ["test_vit", "test_resnet"])
def test_a_local_file_with_its_classifier_loads_for_any_size(tmp_path, name):
    torch.manual_seed(1)
    network = timm.create_model(name, pretrained=False).eval()
    save_file(network.state_dict(), tmp_path / "model.safetensors")
    encoder = create_encoder(f"timm:{name}", weights=tmp_path, input_size=96)
    expected = network.state_dict()
    for key, value in encoder.body.state_dict().items():
        assert torch.equal(value, expected[key])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("test_vitt", "has no network 'test_vitt'; did you mean test_vit"),
        ("hf-hub:a/b", "has no network 'hf-hub:a/b'"),
        ("local-dir:/x", "has no network 'local-dir:/x'"),
        ("qqqqqqqq", r"has no network 'qqqqqqqq'; see timm.list_models"),
    ],
)
def test_unknown_networks_and_downloads_are_refused(name, message):
    with pytest.raises(ConfigurationError, match=message):
        create_encoder(f"timm:{name}")


def test_a_size_without_a_map_is_refused():
    with pytest.raises(ConfigurationError, match=r"no square map for patches of 8 px"):
        create_encoder("timm:test_vit", input_size=8)


def test_options_that_a_network_does_not_take_are_refused():
    with pytest.raises(ConfigurationError, match=r"cannot make 'test_resnet' with"):
        build_timm("test_resnet", nonsense=1)


def test_families_are_not_among_the_names_and_unknown_ones_are_told():
    create_encoder("timm:test_resnet", input_size=64)
    assert not [name for name in list_encoders() if ":" in name]
    with pytest.raises(ConfigurationError, match=r"'tim:x'; known are .*timm:<name>"):
        create_encoder("tim:x")
