from __future__ import annotations

import hashlib
import json

import pytest
import torch
from safetensors.torch import save_file

from builders.bundles import modality_spec, tiny_bundle
from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.patch_grid import PatchSpec
from napari_mmsubtype.core.subtypes import BASAL_HER2, LUMINAL
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models import bundle_writer
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_writer import save_bundle
from napari_mmsubtype.models.class_heads import ClassHead, OrdinalHead
from napari_mmsubtype.models.fusion import create_fusion
from napari_mmsubtype.models.heads import Heads
from napari_mmsubtype.models.registry import create_encoder
from napari_mmsubtype.models.survival_heads import CoxHead


@pytest.fixture
def parts():
    torch.manual_seed(0)
    spec = modality_spec(Modality.RNA)
    return {
        "name": "small",
        "version": "1",
        "classes": (LUMINAL, BASAL_HER2),
        "encoder": create_encoder("demo-cnn"),
        "fusion": create_fusion(
            "evidence", dim=96, classes=2, omics={"rna": len(spec.features)}
        ),
        "patch": PatchSpec(128, 1.0, 128),
        "modalities": {Modality.RNA: spec},
    }


def test_it_writes_every_part_and_hashes_it(tmp_path):
    folder = tiny_bundle(tmp_path / "b")
    files = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert files == {
        "bundle.json",
        "weights.safetensors",
        "selftest.safetensors",
        "calibration.json",
        "reference.npz",
        "MODEL_CARD.md",
        "README.md",
        "features/rna.parquet",
        "features/methylation.parquet",
        "features/clinical.parquet",
    }
    manifest = json.loads((folder / "bundle.json").read_text())
    assert (manifest["schema"], manifest["needs"]) == (2, "0.1.0")
    # Model hubs show the card under its second name.
    assert (folder / "README.md").read_text() == (folder / "MODEL_CARD.md").read_text()
    assert set(manifest["files"]) == files - {"bundle.json", "README.md"}
    for name, digest in manifest["files"].items():
        content = (folder / name).read_bytes()
        assert hashlib.sha256(content).hexdigest() == digest


def test_the_same_model_gives_the_same_bytes(tmp_path):
    first, second = tiny_bundle(tmp_path / "a"), tiny_bundle(tmp_path / "b")
    for path in first.rglob("*"):
        if path.is_file():
            twin = second / path.relative_to(first)
            assert path.read_bytes() == twin.read_bytes(), path.name


def test_an_older_bundle_is_replaced_and_nothing_else_is_left(tmp_path):
    folder = tiny_bundle(tmp_path / "b", name="old")
    (folder / "stray.txt").write_text("x")
    tiny_bundle(folder, name="new")
    assert json.loads((folder / "bundle.json").read_text())["name"] == "new"
    assert not (folder / "stray.txt").exists()
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_folder_of_something_else_is_left_alone(tmp_path, parts):
    (tmp_path / "thesis.txt").write_text("years of work")
    with pytest.raises(BundleError, match="exists and is not a bundle"):
        save_bundle(tmp_path, **parts)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.txt"]


def test_a_failure_half_way_leaves_the_older_bundle(tmp_path, parts, monkeypatch):
    folder = tiny_bundle(tmp_path / "b", name="old")

    def fail(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_writer, "_write_tables", fail)
    with pytest.raises(OSError, match="No space left"):
        save_bundle(folder, **parts)
    assert json.loads((folder / "bundle.json").read_text())["name"] == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_a_failed_swap_brings_the_older_bundle_back(tmp_path, parts, monkeypatch):
    folder = tiny_bundle(tmp_path / "b", name="old")
    rename = type(folder).rename

    def fail(path, target):
        if path.parent.suffix == ".draft" and path.suffix != ".old":
            raise OSError(13, "Permission denied")
        return rename(path, target)

    monkeypatch.setattr(type(folder), "rename", fail)
    with pytest.raises(OSError, match="Permission denied"):
        save_bundle(folder, **parts)
    assert json.loads((folder / "bundle.json").read_text())["name"] == "old"
    assert [path.name for path in tmp_path.iterdir()] == ["b"]


def test_the_models_given_are_not_changed(tmp_path, parts):
    parts["fusion"].train()
    save_bundle(tmp_path / "b", **parts)
    assert parts["fusion"].training
    assert all(p.requires_grad for p in parts["fusion"].parameters())


def test_a_model_that_diverged_is_not_written(tmp_path, parts):
    with torch.no_grad():
        parts["fusion"].query.fill_(float("nan"))
    with pytest.raises(BundleError, match="not finite; train it again"):
        save_bundle(tmp_path / "b", **parts)
    assert not list(tmp_path.iterdir())


def test_parts_that_do_not_fit_are_not_written(tmp_path, parts):
    parts["classes"] = (LUMINAL,)
    with pytest.raises(BundleError, match=r"heads take \{'class': 1\} logits"):
        save_bundle(tmp_path / "b", **parts)
    assert not list(tmp_path.iterdir())


def test_facts_that_json_cannot_hold_leave_nothing_behind(tmp_path, parts):
    with pytest.raises(TypeError, match="JSON"):
        save_bundle(tmp_path / "b", **parts, info={"data": object()})
    assert not list(tmp_path.iterdir())


def test_every_file_is_as_readable_as_any_other(tmp_path):
    folder = tiny_bundle(tmp_path / "b")
    plain = tmp_path / "plain"
    plain.write_bytes(b"")
    modes = {p.stat().st_mode for p in folder.rglob("*") if p.is_file()}
    assert modes == {plain.stat().st_mode}


def test_every_head_is_written(tmp_path, parts):
    labels = tuple(subtype.name for subtype in parts["classes"])
    heads = Heads(
        {
            "subtype": ClassHead(labels),
            "stage": OrdinalHead(("I", "II", "III"), late="III"),
            "risk": CoxHead(event="death", center=-0.25),
        }
    )
    with pytest.raises(BundleError, match=r"heads take .*'stage': 2, 'risk': 1"):
        save_bundle(tmp_path / "b", **parts, heads=heads)
    assert not (tmp_path / "b").exists()
    fusion = parts["fusion"]
    parts["fusion"] = create_fusion(
        fusion.name, dim=fusion.dim, classes=heads.size, omics=fusion.omics
    )
    bundle = load_bundle(save_bundle(tmp_path / "b", **parts, heads=heads))
    assert list(bundle.heads.heads.items()) == list(heads.heads.items())
    assert bundle.fusion.classes == 5
    assert "Also answers risk: the risk of death" in bundle.card


def test_it_says_what_the_encoder_began_from(tmp_path, parts):
    assert "origin" not in _manifest(save_bundle(tmp_path / "random", **parts))
    file = tmp_path / "private" / "cnn.safetensors"
    file.parent.mkdir()
    save_file(parts["encoder"].body.state_dict(), file)
    parts["encoder"] = create_encoder("demo-cnn", weights=file)
    first = save_bundle(tmp_path / "first", **parts)
    assert _manifest(first)["origin"] == "file cnn.safetensors"
    loaded = load_bundle(first)
    assert "Encoder began from: file cnn.safetensors" in loaded.card
    again = save_bundle(tmp_path / "again", **{**parts, "encoder": loaded.encoder})
    assert again.joinpath("bundle.json").read_bytes() == (
        first.joinpath("bundle.json").read_bytes()
    )


def _manifest(folder):
    return json.loads((folder / "bundle.json").read_text())["encoder"]
