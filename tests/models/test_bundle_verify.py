from __future__ import annotations

import json
import shutil

import pytest
import torch
from safetensors.torch import load_file, save_file

from builders.bundles import first_schema_demo, tiny_bundle
from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models import bundle_verify
from napari_mmsubtype.models.bundle_files import sha256_file
from napari_mmsubtype.models.bundle_pack import pack_bundle
from napari_mmsubtype.models.bundle_verify import verify_bundle

META = torch.device("meta")


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    place = tmp_path_factory.mktemp("verify") / "tiny"
    return tiny_bundle(place, modalities=("rna",), info={"license": "MIT"})


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "tiny")


def test_a_good_bundle_is_told_check_by_check(pristine):
    found = verify_bundle(pristine)
    assert (found.name, found.version) == ("tiny", "0.0.1")
    assert found.digest == sha256_file(pristine / "bundle.json")
    assert list(found.checks) == ["files", "schema", "self-test", "license"]
    assert found.checks["files"].startswith("7, ")
    assert found.checks["license"] == "MIT"
    assert found.notes == ()


def test_a_zip_is_verified_too(pristine, tmp_path):
    zipped = pack_bundle(pristine, tmp_path / "a.zip")
    assert verify_bundle(zipped) == verify_bundle(pristine)


def test_the_shipped_bundle_and_one_of_the_first_schema_are_good(tmp_path):
    assert verify_bundle("demo").checks["schema"].startswith("2 ")
    older = verify_bundle(first_schema_demo(tmp_path / "demo"))
    assert older.checks["schema"].startswith("1 ")


@pytest.mark.parametrize(
    "name", ["weights.safetensors", "features/rna.parquet", "calibration.json"]
)
def test_the_file_that_was_changed_is_named(folder, name):
    content = bytearray((folder / name).read_bytes())
    content[-3] ^= 1
    (folder / name).write_bytes(content)
    with pytest.raises(BundleIntegrityError, match=f"'{name}'.*was changed"):
        verify_bundle(folder)


def test_a_file_that_is_not_listed_is_named(folder):
    (folder / "notes.txt").write_text("x")
    with pytest.raises(BundleIntegrityError, match=r"'notes\.txt'.*not listed"):
        verify_bundle(folder)


def test_a_forged_self_test_fails(folder):
    tensors = load_file(folder / "selftest.safetensors")
    tensors["logits"] += 1
    save_file(tensors, folder / "selftest.safetensors")
    manifest = json.loads((folder / "bundle.json").read_text())
    digest = sha256_file(folder / "selftest.safetensors")
    manifest["files"]["selftest.safetensors"] = digest
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleIntegrityError, match="fails its self-test"):
        verify_bundle(folder)


def test_a_license_that_is_missing_is_noted(tmp_path):
    found = verify_bundle(tiny_bundle(tmp_path / "b", modalities=()))
    assert found.checks["license"] == "not stated"
    assert "license of the weights is not stated" in found.notes[0]


@pytest.mark.parametrize(
    "name", ["reference.npz", "weights.safetensors", "MODEL_CARD.md"]
)
def test_a_file_that_is_missing_is_named(folder, name):
    (folder / name).unlink()
    with pytest.raises(BundleIntegrityError, match=f"lacks '{name}'"):
        verify_bundle(folder)


def test_no_bundle_is_no_integrity_error(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        verify_bundle(tmp_path)


def test_another_device_that_computes_otherwise_is_refused(pristine, monkeypatch):
    # A machine without an accelerator can only pretend that its answer differs.
    monkeypatch.setattr(bundle_verify, "_error_on", lambda *_: 0.02)
    with pytest.raises(BundleIntegrityError, match=r"on meta: logits differ by 0\.02"):
        verify_bundle(pristine, device=META)
    found = verify_bundle(pristine, device=META, tolerance=0.05)
    assert found.checks["self-test"].endswith("on meta: differs by 0.02")
    monkeypatch.setattr(bundle_verify, "_error_on", lambda *_: float("nan"))
    with pytest.raises(BundleIntegrityError, match="differ by nan"):
        verify_bundle(pristine, device=META)


def test_the_same_device_adds_no_second_run(pristine, monkeypatch):
    monkeypatch.setattr(bundle_verify, "_error_on", None)
    verify_bundle(pristine, device=torch.device("cpu"))


@pytest.mark.gpu
def test_the_self_test_holds_on_a_graphics_card(pristine):
    before = torch.backends.cudnn.allow_tf32
    found = verify_bundle(pristine, device=torch.device("cuda"), tolerance=1e-4)
    assert "on cuda" in found.checks["self-test"]
    assert torch.backends.cudnn.allow_tf32 == before
