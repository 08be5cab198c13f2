from __future__ import annotations

import json
import shutil
from datetime import datetime

import pytest

from builders.bundles import tiny_bundle
from builders.web import serve
from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models import bundle_import
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_details import read_origin
from napari_mmsubtype.models.bundle_download import Fetched
from napari_mmsubtype.models.bundle_import import import_bundle
from napari_mmsubtype.models.bundle_library import list_bundles
from napari_mmsubtype.models.bundle_pack import pack_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    place = tmp_path_factory.mktemp("import") / "tiny"
    return tiny_bundle(place, modalities=("rna",))


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    place = tmp_path_factory.mktemp("import") / "other"
    return tiny_bundle(place, modalities=("rna",), seed=3)


@pytest.fixture
def library(tmp_path, monkeypatch):
    folder = tmp_path / "library"
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", str(folder))
    return folder


def names(library):
    return sorted(path.name for path in library.iterdir()) if library.exists() else []


def test_a_folder_becomes_a_bundle_of_the_library(library, pristine):
    done = import_bundle(pristine)
    assert (done.name, done.path) == ("tiny", library / "tiny")
    assert names(library) == ["tiny"]
    bundle = load_bundle("tiny")
    assert bundle.digest == load_bundle(pristine).digest == done.verification.digest
    assert read_origin(done.path) == done.origin
    assert done.origin["source"] == str(pristine)
    assert done.origin["digest"] == bundle.digest
    assert done.origin["revision"] is None
    assert datetime.fromisoformat(done.origin["imported"]).tzinfo is not None


def test_a_zip_is_taken_apart(library, pristine, tmp_path):
    done = import_bundle(pack_bundle(pristine, tmp_path / "a.zip"), name="from-zip")
    assert names(library) == ["from-zip"]
    assert load_bundle("from-zip").digest == done.verification.digest


def test_what_was_imported_can_be_packed_to_the_same_bytes(library, pristine, tmp_path):
    done = import_bundle(pristine)
    first, second = (
        pack_bundle(folder, tmp_path / f"{i}.zip").read_bytes()
        for i, folder in enumerate((pristine, done.path))
    )
    assert first == second


def test_an_address_is_downloaded_and_recorded(library, pristine, tmp_path):
    (tmp_path / "web").mkdir()
    pack_bundle(pristine, tmp_path / "web" / "m.zip")
    said = []
    with serve(tmp_path / "web") as address:
        done = import_bundle(f"{address}/m.zip", tell=said.append)
    assert done.origin["source"] == f"{address}/m.zip"
    assert len(done.origin["revision"]) == 64
    assert "downloading" in said[0]
    assert names(library) == ["tiny"]


def test_the_commit_of_a_repository_is_recorded(library, pristine, monkeypatch):
    asked = []

    def fetch(address, *, folder, tell):
        asked.append(address)
        return Fetched(pristine, "c0ffee")

    monkeypatch.setattr(bundle_import, "fetch_bundle", fetch)
    done = import_bundle("hf://org/tiny@v1")
    assert asked == ["hf://org/tiny@v1"]
    assert done.origin["source"] == "hf://org/tiny@v1"
    assert done.origin["revision"] == "c0ffee"


def test_nothing_is_overwritten_unasked(library, pristine, other):
    import_bundle(pristine)
    with pytest.raises(BundleError, match=r"another bundle as 'tiny'.*--replace"):
        import_bundle(other)
    with pytest.raises(BundleError, match="this very bundle as 'tiny'"):
        import_bundle(pristine)
    assert load_bundle("tiny").digest == load_bundle(pristine).digest
    import_bundle(other, replace=True)
    assert load_bundle("tiny").digest == load_bundle(other).digest
    import_bundle(pristine, name="first")
    assert names(library) == ["first", "tiny"]


def test_a_zip_of_the_same_name_is_replaced_too(library, pristine, other):
    library.mkdir()
    pack_bundle(pristine, library / "tiny.zip")
    with pytest.raises(BundleError, match="another bundle as 'tiny'"):
        import_bundle(other)
    import_bundle(other, replace=True)
    assert names(library) == ["tiny"]
    assert all(not entry.problem for entry in list_bundles())


@pytest.mark.parametrize("name", ["demo", "../x", "a b", "nul"])
def test_impossible_names_are_refused_before_anything_is_fetched(library, name):
    with pytest.raises(BundleError, match="give another name with --name"):
        import_bundle("https://host.invalid/m.zip", name=name)
    assert names(library) == []


def test_a_bundle_that_calls_itself_demo_needs_a_name(library, pristine, tmp_path):
    folder = tiny_bundle(tmp_path / "b", modalities=(), name="demo")
    with pytest.raises(BundleError, match="the bundle that ships"):
        import_bundle(folder)
    assert import_bundle(folder, name="mine").name == "mine"


@pytest.mark.parametrize("replace", [False, True])
def test_a_bad_bundle_never_appears_and_the_older_one_stays(
    library, pristine, tmp_path, replace
):
    if replace:
        import_bundle(pristine)
    folder = shutil.copytree(pristine, tmp_path / "bad")
    with (folder / "weights.safetensors").open("r+b") as stream:
        stream.seek(-4, 2)
        stream.write(b"\1\1\1\1")
    with pytest.raises(
        BundleIntegrityError, match=r"'weights\.safetensors' in bundle 'tiny'"
    ):
        import_bundle(folder, replace=replace)
    assert names(library) == (["tiny"] if replace else [])
    if replace:
        assert load_bundle("tiny").digest == load_bundle(pristine).digest


def test_an_import_that_is_interrupted_leaves_nothing(library, pristine, monkeypatch):
    def interrupt(_):
        raise KeyboardInterrupt

    monkeypatch.setattr(bundle_import, "verify_bundle", interrupt)
    with pytest.raises(KeyboardInterrupt):
        import_bundle(pristine)
    assert names(library) == []


def test_what_is_verified_is_the_copy_that_stays(library, pristine, monkeypatch):
    seen = []
    verify = bundle_import.verify_bundle

    def look(folder):
        seen.append(folder)
        assert names(library) == [folder.parent.name]
        return verify(folder)

    monkeypatch.setattr(bundle_import, "verify_bundle", look)
    import_bundle(pristine)
    assert seen[0].parent.parent == library
    assert names(library) == ["tiny"]


def test_a_full_disk_is_one_sentence(library, pristine, monkeypatch):
    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_import.shutil, "copyfile", refuse)
    with pytest.raises(BundleError, match=r"could not be put into.*No space"):
        import_bundle(pristine)
    assert names(library) == []


def test_files_that_nobody_vouches_for_are_refused(library, pristine, tmp_path):
    folder = shutil.copytree(pristine, tmp_path / "b")
    (folder / "notes.txt").write_text("x")
    with pytest.raises(BundleIntegrityError, match=r"'notes\.txt'.*not listed"):
        import_bundle(folder)
    assert names(library) == []


def test_a_clone_is_imported_without_its_history(library, pristine, tmp_path):
    folder = shutil.copytree(pristine, tmp_path / "b")
    (folder / ".git").mkdir()
    (folder / ".git" / "HEAD").write_text("ref: refs/heads/main")
    (folder / ".gitattributes").write_text("*")
    done = import_bundle(folder)
    listed = json.loads((folder / "bundle.json").read_text())["files"]
    found = {
        p.relative_to(done.path).as_posix() for p in done.path.rglob("*") if p.is_file()
    }
    assert found == {"bundle.json", "origin.json", *listed}
