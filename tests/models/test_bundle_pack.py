from __future__ import annotations

import json
import os
import pickle
import shutil
import zipfile

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_files import sha256_file
from napari_mmsubtype.models.bundle_pack import own_files, pack_bundle, plain_name


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("pack") / "tiny")


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "tiny")


def test_the_same_files_give_the_same_bytes(folder, pristine, tmp_path):
    first = pack_bundle(pristine, tmp_path / "a.zip").read_bytes()
    for path in folder.rglob("*"):
        os.utime(path, (10**9, 10**9))
        if path.is_file():
            path.chmod(0o600)
    assert pack_bundle(folder, tmp_path / "b.zip").read_bytes() == first


def test_a_packed_bundle_is_the_same_model(pristine, tmp_path):
    packed = load_bundle(pack_bundle(pristine, tmp_path / "a.zip"))
    assert packed.digest == load_bundle(pristine).digest


def test_the_zip_is_named_after_the_bundle(pristine, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert pack_bundle(pristine).name == "tiny-0.0.1.zip"
    with pytest.raises(BundleError, match=r"'tiny-0\.0\.1\.zip' exists"):
        pack_bundle(pristine)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("BRCA v1", "BRCA-v1"), ("../x", "x"), ("é/ü", "bundle"), ("", "bundle")],
)
def test_names_become_names_of_files(name, expected):
    assert plain_name(name) == expected


def test_what_hubs_and_desktops_leave_stays_out(folder, tmp_path):
    (folder / ".gitattributes").write_text("*")
    (folder / "origin.json").write_text("{}")
    (folder / ".git" / "hooks").mkdir(parents=True)
    (folder / ".git" / "hooks" / "pre-commit").write_text("#!/bin/sh\n")
    with zipfile.ZipFile(pack_bundle(folder, tmp_path / "a.zip")) as archive:
        names = set(archive.namelist())
    listed = json.loads((folder / "bundle.json").read_text())["files"]
    assert names == {"bundle.json", *listed}


def refused(folder, match):
    target = folder.parent / "out" / "a.zip"
    with pytest.raises(BundleError, match=match):
        pack_bundle(folder, target)
    assert not target.exists()
    assert not target.parent.exists() or not any(target.parent.iterdir())


def test_files_that_nobody_vouches_for_are_refused(folder):
    (folder / "features" / "notes.txt").write_text("x")
    refused(folder, r"'features/notes\.txt'.*not listed")


def test_links_and_pickles_are_refused(folder):
    (folder / "notes.md").write_bytes(pickle.dumps([1]))
    refused(folder, r"'notes\.md'.*pickle")
    (folder / "notes.md").unlink()
    (folder / "notes.md").symlink_to(folder / "MODEL_CARD.md")
    refused(folder, r"'notes\.md'.*is a link")


def test_a_changed_file_is_refused(folder):
    with (folder / "MODEL_CARD.md").open("a") as stream:
        stream.write("x")
    refused(folder, r"'MODEL_CARD\.md'.*was changed")


def test_a_zip_is_not_packed_again(pristine, tmp_path):
    path = pack_bundle(pristine, tmp_path / "a.zip")
    with pytest.raises(BundleError, match="not a folder"):
        pack_bundle(path)


def test_the_hubs_card_belongs_to_a_bundle_that_lists_it(folder, tmp_path):
    (folder / "README.md").write_text("edited on the hub")
    with zipfile.ZipFile(pack_bundle(folder, tmp_path / "a.zip")) as archive:
        assert "README.md" not in archive.namelist()
    manifest = json.loads((folder / "bundle.json").read_text())
    manifest["files"]["README.md"] = sha256_file(folder / "README.md")
    (folder / "bundle.json").write_text(json.dumps(manifest))
    with zipfile.ZipFile(pack_bundle(folder, tmp_path / "b.zip")) as archive:
        assert "README.md" in archive.namelist()


def test_a_bundle_is_packed_by_name(tmp_path):
    path = pack_bundle("demo", tmp_path / "a.zip")
    assert load_bundle(path).digest == load_bundle("demo").digest
    with pytest.raises(BundleError, match="not a folder"):
        pack_bundle("hf://org/name")


def test_a_manifest_may_list_only_files_of_a_bundle(folder):
    (folder / "notes.txt").write_text("x")
    for listed in ({"notes.txt": "0"}, {"bundle.json": "0"}):
        with pytest.raises(BundleIntegrityError, match="no file of a bundle"):
            own_files(folder, listed)
    with pytest.raises(BundleIntegrityError, match="outside"):
        own_files(folder, {"../x": "0"})
