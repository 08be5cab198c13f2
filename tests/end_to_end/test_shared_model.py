"""A model goes from its author over a hub into another library and makes a call."""

from __future__ import annotations

import json

import pytest

from builders.bundles import tiny_bundle
from builders.hub import COMMIT, point_client_at, serve_hub
from napari_mmsubtype.cli.main import main
from napari_mmsubtype.models.bundle import load_bundle

SLIDE = "synthetic:seed=2,size=512"


@pytest.fixture
def author(tmp_path):
    return tiny_bundle(tmp_path / "author" / "tiny", modalities=())


def run(capsys, *words):
    assert main([str(word) for word in words]) == 0
    return json.loads(capsys.readouterr().out)


def test_from_a_hub_through_the_library_to_a_call(
    author, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", str(tmp_path / "library"))
    monkeypatch.chdir(tmp_path)
    expected = load_bundle(author).digest
    with serve_hub() as hub:
        hub.repositories["org/tiny"] = author
        point_client_at(hub.address, monkeypatch, tmp_path / "hub-cache")
        done = run(
            capsys, "bundle", "import", "hf://org/tiny@main", "--name", "t", "--json"
        )
        assert done["origin"]["source"] == "hf://org/tiny@main"
        assert done["origin"]["revision"] == COMMIT
        assert done["origin"]["digest"] == expected
        straight = run(
            capsys, "analyze", SLIDE, "--bundle", f"hf://org/tiny@{COMMIT}",
            "--out", "straight", "--device", "cpu", "--json",
        )  # fmt: skip
    # From here on there is no hub.
    shown = run(capsys, "bundle", "show", "t", "--json")
    assert shown["origin"] == done["origin"]
    kept = run(
        capsys, "analyze", SLIDE, "--bundle", "t",
        "--out", "kept", "--device", "cpu", "--json",
    )  # fmt: skip
    assert kept["logits"] == straight["logits"]
    replayed = run(capsys, "run", kept["store"], "--out", "again", "--json")
    assert replayed["logits"] == kept["logits"]
