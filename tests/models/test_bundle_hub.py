from __future__ import annotations

import json
import shutil

import huggingface_hub.constants as hub_constants
import pytest

from builders.bundles import tiny_bundle
from builders.hub import COMMIT, point_client_at, serve_hub
from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models import bundle_hub
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_address import parse_hub_address
from napari_mmsubtype.models.bundle_hub import download_from_hub


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("hub") / "tiny")


@pytest.fixture
def hub(pristine, tmp_path, monkeypatch):
    """A hub with one bundle, and an empty cache."""
    folder = shutil.copytree(pristine, tmp_path / "repository")
    (folder / ".gitattributes").write_text("* text")
    (folder / "training.pt").write_bytes(b"never asked for")
    with serve_hub() as served:
        point_client_at(served.address, monkeypatch, tmp_path / "hub-cache")
        served.repositories["org/tiny"] = folder
        yield served


def fetch(address="hf://org/tiny", tell=str):
    return download_from_hub(parse_hub_address(address), tell)


def test_only_the_files_of_the_bundle_are_downloaded_and_that_is_said(hub, pristine):
    said = []
    path = fetch(tell=said.append)
    assert path.name == COMMIT
    listed = json.loads((pristine / "bundle.json").read_text())["files"]
    assert hub.downloads() == sorted(["bundle.json", *listed])
    assert "README.md" not in listed
    assert len(said) == 1
    assert said[0].startswith(f"downloading bundle hf://org/tiny at commit {COMMIT}: 8")
    for name in listed:
        assert (path / name).read_bytes() == (pristine / name).read_bytes()


def test_the_second_time_the_cache_serves(hub):
    first = fetch()
    hub.asked.clear()
    said = []
    assert fetch(tell=said.append) == first
    assert hub.downloads() == []
    assert "downloaded before" in said[0]


def test_a_bundle_of_the_hub_is_loaded_through_the_links_of_the_cache(hub, pristine):
    bundle = load_bundle("hf://org/tiny")
    assert bundle.digest == load_bundle(pristine).digest
    assert (bundle.path / "weights.safetensors").is_symlink()
    assert bundle.path.name == COMMIT


def test_a_revision_is_taken(hub):
    hub.revisions = {"v1": COMMIT}
    assert fetch("hf://org/tiny@v1").name == COMMIT
    assert fetch(f"hf://org/tiny@{COMMIT}").name == COMMIT
    with pytest.raises(BundleError, match=r"hf://org/tiny@v2 does not exist at .*'v2'"):
        fetch("hf://org/tiny@v2")


def test_an_unknown_repository_is_one_sentence(hub):
    with pytest.raises(BundleError, match=r"hf://org/none was not found.*HF_TOKEN"):
        fetch("hf://org/none")


def test_a_gated_repository_says_how_to_be_let_in(hub, monkeypatch):
    hub.gated.add("org/tiny")
    with pytest.raises(
        BundleError, match=r"is gated.*huggingface\.co/org/tiny.*HF_TOK"
    ):
        fetch()
    hub.token = "hf_test"
    monkeypatch.setenv("HF_TOKEN", "hf_test")
    assert fetch().name == COMMIT


def test_without_network_the_cache_serves_and_its_lack_is_one_sentence(
    hub, monkeypatch
):
    first = fetch()
    monkeypatch.setattr(hub_constants, "HF_HUB_OFFLINE", True)
    assert fetch() == first
    with pytest.raises(BundleError, match=r"org/other cannot be reached.*offline"):
        fetch("hf://org/other")


def test_a_hub_that_is_down_is_one_sentence(hub, monkeypatch, tmp_path):
    point_client_at("http://127.0.0.1:9", monkeypatch, tmp_path / "hub-cache")
    with pytest.raises(BundleError, match=r"cannot be reached.*copy its zip") as caught:
        fetch()
    assert "\n" not in str(caught.value)


def test_a_repository_of_something_else_is_refused(hub, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "model.bin").write_bytes(b"x")
    hub.repositories["org/other"] = other
    with pytest.raises(BundleError, match=r"not a bundle: it has no bundle\.json"):
        fetch("hf://org/other")
    assert hub.downloads() == []


@pytest.mark.parametrize(
    ("files", "match"),
    [
        (None, "lists no files"),
        ({}, "lists no files"),
        ({"../../x": "0"}, r"lists the file '\.\./\.\./x'"),
        ({"training.pt": "0"}, "lists the file 'training.pt'"),
        ({"*": "0"}, "lists the file"),
    ],
)
def test_a_manifest_cannot_ask_for_other_files(hub, files, match):
    path = hub.repositories["org/tiny"] / "bundle.json"
    manifest = json.loads(path.read_text()) | {"files": files}
    path.write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=match):
        fetch()
    assert hub.downloads() == ["bundle.json"]


def test_a_manifest_that_is_a_bomb_is_refused(hub):
    (hub.repositories["org/tiny"] / "bundle.json").write_text('{"a":' * 500)
    with pytest.raises(BundleIntegrityError, match="not JSON"):
        fetch()


def test_a_manifest_of_a_petabyte_is_not_downloaded(hub):
    hub.sizes["bundle.json"] = 10**15
    with pytest.raises(BundleError, match=r"bundle\.json of .* has 1000000000000000"):
        fetch()
    assert hub.downloads() == []


def test_sizes_are_asked_before_anything_large_is_downloaded(hub, monkeypatch):
    hub.sizes["weights.safetensors"] = 10**15
    with pytest.raises(BundleError, match=r"weights\.safetensors: 1000000000000000"):
        fetch()
    assert hub.downloads() == ["bundle.json"]
    hub.sizes.clear()
    monkeypatch.setattr(bundle_hub, "MAX_TOTAL_BYTES", 1000)
    with pytest.raises(BundleError, match="expected at most 1000"):
        fetch()


def test_a_file_that_was_not_uploaded_is_named(hub):
    (hub.repositories["org/tiny"] / "weights.safetensors").unlink()
    with pytest.raises(BundleError, match=r"lacks 'weights\.safetensors'"):
        fetch()


def test_a_file_changed_on_the_hub_is_found_when_it_is_loaded(hub):
    path = hub.repositories["org/tiny"] / "MODEL_CARD.md"
    path.write_text(path.read_text() + "and more")
    with pytest.raises(BundleIntegrityError, match=r"'MODEL_CARD\.md'.*was changed"):
        load_bundle("hf://org/tiny")


def test_a_full_disk_is_said_to_be_one(hub, monkeypatch):
    import huggingface_hub

    def refuse(*_, **__):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    with pytest.raises(BundleError, match=r"cannot be kept.*No space.*HF_HOME"):
        fetch()
