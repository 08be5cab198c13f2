from __future__ import annotations

from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoder_weights import load_weights
from napari_mmsubtype.models.registry import create_encoder


class Custom:
    """A class that only a real unpickler would build."""


@pytest.fixture(scope="module")
def network():
    torch.manual_seed(3)
    return torchvision.models.resnet18(weights=None)


def assert_loaded(encoder, network) -> None:
    expected = network.state_dict()
    for name, value in encoder.body.state_dict().items():
        assert torch.equal(value, expected[name]), name


def test_a_pth_state_dict_with_its_classifier_loads(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "r.pth")
    encoder = create_encoder("resnet18", weights=tmp_path / "r.pth")
    assert_loaded(encoder, network)


@pytest.mark.parametrize("prefix", ["", "module.", "body.", "module.body."])
def test_safetensors_load_under_every_customary_prefix(network, tmp_path, prefix):
    state = {
        f"{prefix}{name}": value
        for name, value in network.state_dict().items()
        if not name.startswith("fc.")
    }
    save_file(state, tmp_path / "r.safetensors")
    encoder = create_encoder("resnet18", weights=str(tmp_path / "r.safetensors"))
    assert_loaded(encoder, network)


def test_a_checkpoint_that_wraps_its_state_dict_loads(network, tmp_path):
    checkpoint = {"state_dict": network.state_dict(), "epoch": 3}
    torch.save(checkpoint, tmp_path / "r.pt")
    assert_loaded(create_encoder("resnet18", weights=tmp_path / "r.pt"), network)


def test_missing_batch_counters_of_old_files_do_not_matter(network, tmp_path):
    state = {k: v for k, v in network.state_dict().items() if "num_batches" not in k}
    torch.save(state, tmp_path / "r.pth")
    create_encoder("resnet18", weights=tmp_path / "r.pth")


def test_weights_of_another_network_are_refused_and_nothing_is_loaded(tmp_path):
    save_file(
        {"conv1.weight": torch.zeros(64, 3, 3, 3), "extra": torch.zeros(1)},
        tmp_path / "w.safetensors",
    )
    encoder = create_encoder("resnet18")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(ConfigurationError) as caught:
        load_weights(encoder, tmp_path / "w.safetensors")
    message = str(caught.value)
    for part in (
        "w.safetensors",
        "'resnet18'",
        "missing",
        "1 unexpected (extra)",
        "conv1.weight (64, 3, 3, 3) instead of (64, 3, 7, 7)",
    ):
        assert part in message
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())


def test_a_pickled_object_is_never_unpickled(tmp_path):
    torch.save({"state_dict": {}, "model": Custom()}, tmp_path / "evil.pth")
    with pytest.raises(ConfigurationError, match=r"evil\.pth.*weights_only=True"):
        create_encoder("resnet18", weights=tmp_path / "evil.pth")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("w.safetensors", b"", "cannot be read as plain tensors"),
        ("w.safetensors", b"\x00" * 64, "cannot be read as plain tensors"),
        ("w.pth", b"", "cannot be read as plain tensors"),
        ("w.pth", b"not a checkpoint", "cannot be read as plain tensors"),
        ("w.h5", b"x", r"ends in '\.h5'"),
    ],
)
def test_unreadable_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ConfigurationError, match=message):
        create_encoder("demo-cnn", weights=tmp_path / name)


def test_a_file_of_something_else_than_tensors_is_refused(tmp_path):
    torch.save([1, 2, 3], tmp_path / "w.pth")
    with pytest.raises(ConfigurationError, match=r"holds a list; expected tensors"):
        create_encoder("demo-cnn", weights=tmp_path / "w.pth")


def test_a_missing_file_says_what_else_could_be_given(tmp_path):
    with pytest.raises(ConfigurationError, match=r"not a file; give a \.safetensors"):
        create_encoder("demo-cnn", weights=tmp_path / "none.pth")


def test_torchvisions_download_is_its_default_checked_and_without_pickle(
    monkeypatch, network
):
    asked = {}

    def fetch(entry, **options):
        asked.update(entry=entry, **options)
        return network.state_dict()

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", fetch)
    assert_loaded(create_encoder("resnet18", weights="torchvision"), network)
    assert asked["entry"] is torchvision.models.ResNet18_Weights.DEFAULT
    assert asked["check_hash"]
    assert asked["weights_only"]


def test_a_failed_download_says_to_give_a_file(monkeypatch):
    def fetch(entry, **options):
        raise URLError("no route to host")

    monkeypatch.setattr(torchvision.models.ResNet18_Weights, "get_state_dict", fetch)
    with pytest.raises(ConfigurationError, match=r"no route to host.*give the file"):
        create_encoder("resnet18", weights="torchvision")


def test_an_encoder_that_torchvision_lacks_has_no_download():
    with pytest.raises(ConfigurationError, match="no weights for encoder 'demo-cnn'"):
        create_encoder("demo-cnn", weights="torchvision")


def test_a_folder_of_a_hub_holds_its_weights(network, tmp_path):
    (tmp_path / "config.json").write_text("{}")
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    assert_loaded(create_encoder("resnet18", weights=tmp_path), network)
    save_file({"x": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ConfigurationError, match=r"model\.safetensors are not those"):
        create_encoder("resnet18", weights=tmp_path)


@pytest.mark.parametrize(
    ("names", "message"), [((), r"0 files .*none"), (("a.pth", "b.pth"), "2 files")]
)
def test_a_folder_without_one_file_of_weights_is_refused(tmp_path, names, message):
    for name in names:
        (tmp_path / name).write_bytes(b"x")
    with pytest.raises(ConfigurationError, match=f"{message}.*give the file itself"):
        create_encoder("demo-cnn", weights=tmp_path)


TINY_RESVIT = {
    "input_size": 64,
    "cnn": "resnet18",
    "vit_dim": 16,
    "vit_depth": 4,
    "vit_heads": 2,
    "dim": 24,
    "heads": 2,
}


def test_branches_are_filled_from_files_of_their_own(network, tmp_path):
    torch.manual_seed(5)
    vit = torchvision.models.VisionTransformer(224, 16, 4, 2, 16, 64)
    save_file(network.state_dict(), tmp_path / "cnn.safetensors")
    torch.save(vit.state_dict(), tmp_path / "vit.pth")
    files = {"cnn": tmp_path / "cnn.safetensors", "vit": str(tmp_path / "vit.pth")}
    encoder = create_encoder("resvit", weights=files, **TINY_RESVIT)
    assert_loaded(encoder.body.cnn, network)
    expected = vit.state_dict()
    loaded = encoder.body.vit.state_dict()
    assert "encoder.ln.weight" not in loaded
    assert all(torch.equal(value, expected[name]) for name, value in loaded.items())


def test_a_branch_that_is_left_out_stays_random(network, tmp_path):
    save_file(network.state_dict(), tmp_path / "cnn.safetensors")
    states = []
    for weights in ({"cnn": tmp_path / "cnn.safetensors"}, None):
        torch.manual_seed(6)
        encoder = create_encoder("resvit", weights=weights, **TINY_RESVIT)
        states.append(encoder.body.vit.state_dict())
    assert all(torch.equal(states[0][name], states[1][name]) for name in states[0])


@pytest.mark.parametrize(
    ("name", "weights", "message"),
    [
        ("resvit", {"gan": "a"}, r"no parts \['gan'\].*its parts are cnn, vit"),
        ("resvit", {}, "its parts are cnn, vit"),
        ("resvit", {"vit": "torchvision"}, "torchvision has no weights for .*'vit'"),
        ("demo-cnn", {"cnn": "a"}, "its parts are none: give one source"),
    ],
)
def test_parts_that_do_not_exist_are_refused(name, weights, message):
    options = TINY_RESVIT if name == "resvit" else {}
    with pytest.raises(ConfigurationError, match=message):
        create_encoder(name, weights=weights, **options)
