from __future__ import annotations

import shutil

import pytest

from builders.bundles import tiny_bundle
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models import bundle_library
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_library import list_bundles
from napari_mmsubtype.models.bundle_pack import pack_bundle


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    return tiny_bundle(tmp_path_factory.mktemp("library") / "tiny")


@pytest.fixture
def library(tmp_path, monkeypatch):
    folder = tmp_path / "library"
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", str(folder))
    return folder


def test_without_a_library_there_is_the_demo(library):
    (entry,) = list_bundles()
    assert (entry.name, entry.problem) == ("demo", "")
    assert entry.summary.synthetic is True
    assert not library.exists()


def test_bundles_are_listed_and_load_by_name(library, pristine):
    library.mkdir()
    shutil.copytree(pristine, library / "b-folder")
    pack_bundle(pristine, library / "a-zip.zip")
    demo, zipped, folder = list_bundles()
    assert [e.name for e in (demo, zipped, folder)] == ["demo", "a-zip", "b-folder"]
    for entry in (zipped, folder):
        assert entry.problem == ""
        assert entry.summary.name == "tiny"
        bundle = load_bundle(entry.name)
        assert bundle.path == entry.path
        assert bundle.digest == entry.summary.digest


def test_broken_ones_are_named_with_their_reason(library, pristine):
    library.mkdir()
    shutil.copytree(pristine, library / "good")
    (shutil.copytree(pristine, library / "lacks") / "weights.safetensors").unlink()
    (library / "empty").mkdir()
    (shutil.copytree(pristine, library / "bad") / "bundle.json").write_text("{")
    (library / "torn.zip").write_bytes(b"PK\3\4")
    shutil.copytree(pristine, library / "demo")
    shutil.copytree(pristine, library / "with space")
    shutil.copytree(pristine, library / "twice")
    (library / "twice.zip").write_bytes(b"")
    reasons = {e.name: e.problem for e in list_bundles() if e.problem}
    assert "lacks 'weights.safetensors'" in reasons.pop("lacks")
    assert "no bundle.json" in reasons.pop("empty")
    assert "not JSON" in reasons.pop("bad")
    assert "damaged" in reasons.pop("torn")
    assert "the name of the bundle that ships" in reasons.pop("demo")
    assert "cannot name a bundle" in reasons.pop("with space")
    assert "same name; rename one" in reasons.pop("twice.zip")
    assert reasons == {}
    usable = [e.name for e in list_bundles() if not e.problem]
    assert usable == ["demo", "good", "twice"]
    assert all((e.summary is None) == bool(e.problem) for e in list_bundles())


def test_other_files_and_unfinished_imports_are_passed_over(library, pristine):
    library.mkdir()
    (library / "notes.txt").write_text("x")
    shutil.copytree(pristine, library / ".import-x" / "b")
    assert [entry.name for entry in list_bundles()] == ["demo"]


def test_a_library_that_cannot_be_read_is_one_sentence(library, monkeypatch):
    library.mkdir()

    def refuse(self):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(type(library), "iterdir", refuse)
    with pytest.raises(BundleError, match=r"library of bundles.*cannot be read"):
        list_bundles()


def test_an_installation_without_demo_says_so(library, monkeypatch):
    def absent(_):
        msg = "the demo bundle is not in this installation"
        raise BundleError(msg)

    monkeypatch.setattr(bundle_library, "find_bundle", absent)
    (entry,) = list_bundles()
    assert (entry.path, entry.summary) == (None, None)
    assert "not in this installation" in entry.problem


def test_an_unknown_name_says_how_to_list_them(library):
    with pytest.raises(BundleError, match="napari-mmsubtype bundle list"):
        load_bundle("unknown")
