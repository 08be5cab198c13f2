from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file

from builders.hub import COMMIT, point_client_at, serve_hub
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.encoder_hub import fetch_weights, is_hub_source
from napari_mmsubtype.models.encoder_weights import load_weights
from napari_mmsubtype.models.foundation import FoundationEncoder
from napari_mmsubtype.models.foundation_table import FOUNDATION_MODELS, published_model
from napari_mmsubtype.models.registry import create_encoder

HIBOU = "histai/hibou-b"
UNI = "MahmoodLab/UNI"


class Custom:
    """A class that only a real unpickler would build."""


@pytest.fixture
def hub(tmp_path, monkeypatch):
    """A hub with the demo's network as one repository, and an empty cache."""
    torch.manual_seed(5)
    folder = tmp_path / "repository"
    folder.mkdir()
    save_file(
        create_encoder("demo-cnn").body.state_dict(), folder / "model.safetensors"
    )
    with serve_hub() as served:
        point_client_at(served.address, monkeypatch, tmp_path / "cache")
        served.repositories["org/cnn"] = folder
        yield served


def small(name, *, allow=True):
    """A foundation model with few and narrow layers."""
    model = FOUNDATION_MODELS[name]
    options = model.timm_options | {"embed_dim": 8, "depth": 1, "num_heads": 2}
    encoder = FoundationEncoder(
        replace(model, timm_options=options, dim=8), allow_noncommercial=allow
    )
    encoder.name, encoder.options = name, {"allow_noncommercial": allow}
    return encoder


def publish(hub, tmp_path, name, encoder, file):
    folder = tmp_path / name.replace("/", "--")
    folder.mkdir()
    state = encoder.body.state_dict()
    if file.endswith(".safetensors"):
        save_file(state, folder / file)
    else:
        torch.save(state, folder / file)
    hub.repositories[name] = folder
    if revision := published_model(name).revision:
        hub.revisions[revision] = revision


@pytest.mark.parametrize("address", ["hf://org/cnn", f"hf://org/cnn@{COMMIT}"])
def test_weights_of_any_repository_fill_an_encoder_and_keep_the_commit(hub, address):
    encoder = create_encoder("demo-cnn", weights=address)
    torch.manual_seed(5)
    expected = create_encoder("demo-cnn").body.state_dict()
    for name, value in encoder.body.state_dict().items():
        assert torch.equal(value, expected[name]), name
    assert encoder.origin == f"hf://org/cnn@{COMMIT}"
    assert hub.downloads() == ["model.safetensors"]


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_a_foundation_model_is_had_from_its_authors(hub, tmp_path, file):
    torch.manual_seed(1)
    published = small("uni")
    publish(hub, tmp_path, UNI, published, file)
    encoder = small("uni")
    load_weights(encoder, "hub")
    assert encoder.origin == f"hf://{UNI}@{FOUNDATION_MODELS['uni'].revision}"
    assert hub.downloads() == [file]
    loaded = encoder.body.state_dict()
    for name, value in published.body.state_dict().items():
        assert torch.equal(loaded[name], value), name


def test_the_commit_of_the_table_is_taken_though_there_is_a_newer_one(hub, tmp_path):
    publish(hub, tmp_path, UNI, small("uni"), "model.safetensors")
    newer = small("uni")
    load_weights(newer, f"hf://{UNI}")
    assert newer.origin == f"hf://{UNI}@{COMMIT}"
    pinned = small("uni")
    load_weights(pinned, "hub")
    assert pinned.origin == f"hf://{UNI}@{FOUNDATION_MODELS['uni'].revision}"


def test_a_commit_that_is_gone_is_named(hub, tmp_path):
    publish(hub, tmp_path, UNI, small("uni"), "model.safetensors")
    known = FOUNDATION_MODELS["uni"].revision
    del hub.revisions[known]
    with pytest.raises(ConfigurationError, match=f"exist at revision '{known}'"):
        load_weights(small("uni"), "hub")


def test_safetensors_are_taken_where_both_are_there(hub, tmp_path):
    publish(hub, tmp_path, HIBOU, small("hibou-b"), "model.safetensors")
    (hub.repositories[HIBOU] / "pytorch_model.bin").write_bytes(b"a pickle")
    load_weights(small("hibou-b"), "hub")
    assert hub.downloads() == ["model.safetensors"]


def test_a_pickle_of_the_hub_is_never_unpickled(hub, tmp_path):
    folder = tmp_path / "evil"
    folder.mkdir()
    torch.save({"state_dict": {}, "x": Custom()}, folder / "pytorch_model.bin")
    hub.repositories["org/evil"] = folder
    with pytest.raises(ConfigurationError, match="weights_only=True"):
        create_encoder("demo-cnn", weights="hf://org/evil")


@pytest.mark.parametrize("name", ["uni", UNI, f"hf-hub:{UNI}", f"timm:hf-hub:{UNI}"])
def test_terms_come_before_any_download(hub, name):
    with pytest.raises(ConfigurationError, match="pass allow_noncommercial=True"):
        create_encoder(name, weights="hub")
    assert hub.asked == []


def test_terms_of_a_repository_hold_for_every_encoder(hub):
    with pytest.raises(ConfigurationError, match="'uni' is gated and not for comm"):
        create_encoder("timm:test_vit", weights=f"hf://{UNI.lower()}")
    assert hub.asked == []


def test_a_gated_repository_says_how_to_be_let_in(hub, tmp_path, monkeypatch):
    publish(hub, tmp_path, UNI, small("uni"), "model.safetensors")
    hub.gated.add(UNI)
    with pytest.raises(ConfigurationError, match=r"UNI@b55a\w+ is gated: ask.*HF_TOK"):
        load_weights(small("uni"), "hub")
    hub.token = "hf_test"
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    load_weights(small("uni"), "hub")


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
def test_without_network_the_cache_serves(hub, tmp_path, monkeypatch, file):
    from huggingface_hub import constants

    publish(hub, tmp_path, HIBOU, small("hibou-b"), file)
    load_weights(small("hibou-b"), "hub")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    again = small("hibou-b")
    load_weights(again, "hub")
    assert again.origin == f"hf://{HIBOU}@{COMMIT}"
    with pytest.raises(ConfigurationError, match=r"cannot be reached.*give it as wei"):
        create_encoder("demo-cnn", weights="hf://org/cnn")


def test_without_network_it_is_asked_once(hub, monkeypatch):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError

    asked = []

    def refuse(repository, name, *, local_files_only, **_):
        asked.append((name, local_files_only))
        raise LocalEntryNotFoundError("gone" if not local_files_only else "no file")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(ConfigurationError, match=r"cannot be reached \(gone\)"):
        create_encoder("demo-cnn", weights="hf://org/cnn")
    assert asked == [("model.safetensors", False), ("pytorch_model.bin", True)]


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("hf://org/none", r"hf://org/none was not found.*HF_TOKEN"),
        ("hf://org/cnn@v9", r"does not exist at revision 'v9'"),
        ("hf://org/empty", r"has no model\.safetensors or pytorch_model\.bin"),
        ("hf://org", r"'hf://org' is no address of weights"),
        ("hub", r"'demo-cnn' has no weights on Hugging Face that are known"),
    ],
)
def test_what_cannot_be_had_is_one_sentence(hub, tmp_path, address, message):
    (tmp_path / "empty").mkdir()
    hub.repositories["org/empty"] = tmp_path / "empty"
    encoder = create_encoder("demo-cnn")
    before = {name: value.clone() for name, value in encoder.state_dict().items()}
    with pytest.raises(ConfigurationError, match=message) as caught:
        load_weights(encoder, address)
    assert "\n" not in str(caught.value)
    assert all(torch.equal(before[k], v) for k, v in encoder.state_dict().items())


def test_ctranspath_is_not_on_the_hub(hub):
    with pytest.raises(ConfigurationError, match="give hf://organisation/name or a fi"):
        create_encoder("ctranspath", weights="hub")


def test_a_file_outside_a_snapshot_is_refused(hub, tmp_path, monkeypatch):
    import huggingface_hub

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: "a/b/c")
    with pytest.raises(ConfigurationError, match="gave no commit"):
        fetch_weights(SimpleNamespace(name="x", options={}, hub_id=""), "hf://org/cnn")


def test_timm_networks_know_where_their_weights_are():
    encoder = create_encoder("timm:resnet18.a1_in1k", input_size=64)
    assert encoder.hub_id == "timm/resnet18.a1_in1k"


@pytest.mark.parametrize(
    ("weights", "expected"),
    [("hub", True), ("hf://a/b", True), ("torchvision", False), ("a/hub", False)],
)
def test_sources(weights, expected):
    assert is_hub_source(weights) is expected
