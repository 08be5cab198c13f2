from __future__ import annotations

import json
import shutil
import zipfile

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_pack import pack_bundle
from napari_mmsubtype.models.bundle_summary import readable, summarize_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    place = tmp_path_factory.mktemp("summary") / "tiny"
    return tiny_bundle(place, modalities=("rna",), info={"license": "MIT"})


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "tiny")


def test_it_says_what_the_manifest_says(pristine):
    found = summarize_bundle(pristine)
    bundle = load_bundle(pristine)
    assert (found.name, found.version, found.digest) == (
        bundle.name,
        bundle.version,
        bundle.digest,
    )
    assert (found.encoder, found.fusion) == ("demo-cnn", "evidence")
    assert found.classes == ("Luminal", "Basal/HER2")
    assert found.modalities == ("image", "rna")
    assert (found.license, found.synthetic, found.schema) == ("MIT", False, 2)
    files = {path for path in pristine.rglob("*") if path.is_file()}
    files -= {pristine / "README.md"}
    assert found.size_bytes == sum(path.stat().st_size for path in files)


def test_a_zip_says_the_same_without_being_unpacked(pristine, tmp_path):
    zipped = pack_bundle(pristine, tmp_path / "a.zip")
    assert summarize_bundle(zipped) == summarize_bundle(pristine)
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        for path in pristine.rglob("*"):
            if path.is_file():
                archive.write(path, f"top/{path.relative_to(pristine).as_posix()}")
    assert summarize_bundle(tmp_path / "b.zip") == summarize_bundle(pristine)


def test_a_missing_file_is_named(folder):
    (folder / "weights.safetensors").unlink()
    with pytest.raises(BundleIntegrityError, match=r"lacks 'weights\.safetensors'"):
        summarize_bundle(folder)


def test_what_is_no_bundle_is_said_to_be_none(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        summarize_bundle(tmp_path)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("x", "y")
    with pytest.raises(BundleError, match=r"no bundle\.json"):
        summarize_bundle(tmp_path / "a.zip")
    (tmp_path / "b.zip").write_bytes(b"no zip")
    with pytest.raises(BundleIntegrityError, match="damaged"):
        summarize_bundle(tmp_path / "b.zip")


@pytest.mark.parametrize("part", ["name", "classes", "encoder", "info"])
def test_a_manifest_that_lacks_something_is_one_sentence(folder, part):
    manifest = json.loads((folder / "bundle.json").read_text())
    del manifest[part]
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=f"does not describe a model.*{part}"):
        summarize_bundle(folder)


def test_a_newer_schema_names_the_version_to_install(folder):
    manifest = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(
        json.dumps(manifest | {"schema": 9, "needs": "2.1.0"})
    )
    with pytest.raises(BundleError, match=r"install napari-mmsubtype 2\.1\.0 or newer"):
        summarize_bundle(folder)
    (folder / "bundle.json").write_text(
        json.dumps(manifest | {"schema": 9, "needs": "rm -rf /"})
    )
    with pytest.raises(BundleError, match="update napari-mmsubtype") as caught:
        summarize_bundle(folder)
    assert "rm" not in str(caught.value)


def test_lack_of_rights_is_one_sentence(tmp_path):
    def read():
        with readable(tmp_path):
            raise PermissionError(13, "Permission denied")

    with pytest.raises(BundleError, match=r"cannot be read.*check its permissions"):
        read()
