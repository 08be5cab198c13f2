"""Every door refuses every bundle that was made to do harm, in one sentence."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from builders.bundles import tiny_bundle
from builders.hostile_bundles import FOLDERS, LINKS, MARK, ZIPS, zip_folder
from napari_mmsubtype.cli.main import main
from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_details import describe_bundle
from napari_mmsubtype.models.bundle_import import import_bundle
from napari_mmsubtype.models.bundle_library import list_bundles
from napari_mmsubtype.models.bundle_manifest import load_features
from napari_mmsubtype.models.bundle_pack import pack_bundle
from napari_mmsubtype.models.bundle_verify import verify_bundle

DOORS = {
    "load": load_bundle,
    "import": import_bundle,
    "verify": verify_bundle,
    "show": describe_bundle,
    "features": load_features,
}
# What only running the model tells, these doors cannot know: they do not run it.
UNSEEN = {("self-test of nothing", "show"), ("self-test of nothing", "features")}


@pytest.fixture(scope="module")
def pristine(tmp_path_factory):
    place = tmp_path_factory.mktemp("hostile") / "tiny"
    return tiny_bundle(place, modalities=("rna",))


@pytest.fixture(scope="module")
def zipped(pristine, tmp_path_factory):
    return zip_folder(pristine, tmp_path_factory.mktemp("hostile") / "tiny.zip")


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    """A folder for temporary files, and a library, in which every trace is seen."""
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", str(tmp_path / "library"))
    return folder


def refused(door, source: Path, temporary: Path, match: str) -> None:
    around = set(source.parent.iterdir())
    with pytest.raises(BundleError, match=match) as caught:
        DOORS[door](source)
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text
    assert len(text) < 700
    # Nothing ran, nothing was left, nothing appeared.
    assert not (temporary / MARK).exists()
    assert list(temporary.iterdir()) == []
    library = source.parent / "library"
    assert not library.exists() or list(library.iterdir()) == []
    assert set(source.parent.iterdir()) - around <= {library}


@pytest.fixture
def folder(pristine, tmp_path):
    return shutil.copytree(pristine, tmp_path / "tiny")


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", FOLDERS)
def test_a_hostile_folder_is_refused(folder, temporary, case, door):
    if (case, door) in UNSEEN:
        pytest.skip("this door does not run the model")
    change, match = FOLDERS[case]
    change(folder)
    refused(door, folder, temporary, match)


@pytest.mark.parametrize("case", FOLDERS)
def test_a_hostile_folder_in_a_zip_is_refused(folder, temporary, case):
    change, match = FOLDERS[case]
    change(folder)
    source = zip_folder(folder, folder.parent / "tiny.zip")
    refused("import", source, temporary, match)


@pytest.mark.parametrize("door", ["load", "import"])
@pytest.mark.parametrize("case", ZIPS)
def test_a_hostile_zip_is_refused(zipped, tmp_path, temporary, case, door):
    source = Path(shutil.copy(zipped, tmp_path / "tiny.zip"))
    change, match = ZIPS[case]
    change(source)
    refused(door, source, temporary, match)


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("case", LINKS)
def test_a_link_is_refused(folder, temporary, case, door):
    change, match = LINKS[case]
    try:
        change(folder)
    except OSError:
        pytest.skip("this system lets no one make links")
    refused(door, folder, temporary, match)


@pytest.mark.parametrize("case", FOLDERS)
def test_a_hostile_folder_is_not_packed(folder, tmp_path, temporary, case):
    if case == "self-test of nothing":
        pytest.skip("packing does not run the model")
    change, _ = FOLDERS[case]
    change(folder)
    with pytest.raises(BundleError):
        pack_bundle(folder, tmp_path / "out.zip")
    assert not (tmp_path / "out.zip").exists()


def test_the_list_survives_hostile_neighbors(pristine, zipped, tmp_path, temporary):
    library = tmp_path / "library"
    library.mkdir()
    shutil.copytree(pristine, library / "good")
    for number, (change, _) in enumerate(FOLDERS.values()):
        change(shutil.copytree(pristine, library / f"folder{number}"))
    for number, (change, _) in enumerate(ZIPS.values()):
        change(Path(shutil.copy(zipped, library / f"zip{number}.zip")))
    names = {f"zip{number}": case for number, case in enumerate(ZIPS)}
    found = {entry.name: entry.problem for entry in list_bundles()}
    assert found["good"] == found["demo"] == ""
    # A list reads tables of contents and manifests; files wait until one is used.
    unseen = [case for name, case in names.items() if not found[name]]
    assert unseen == ["zip in the zip"]
    assert all("\n" not in problem for problem in found.values())
    assert len(found) == 2 + len(FOLDERS) + len(ZIPS)
    assert list(temporary.iterdir()) == []


def test_the_command_line_ends_with_two_and_one_line(folder, temporary, capsys):
    change, _ = FOLDERS["objects in an array"]
    change(folder)
    assert main(["bundle", "verify", str(folder)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: 'reference.npz' in bundle 'tiny'")
    assert captured.err.count("\n") == 1


def test_the_bundle_they_are_all_made_from_is_good(pristine, tmp_path, temporary):
    for source in (pristine, zip_folder(pristine, tmp_path / "tiny.zip")):
        for name, door in DOORS.items():
            if name != "import":
                door(source)
    assert import_bundle(tmp_path / "tiny.zip").name == "tiny"
    assert list(temporary.iterdir()) == []
