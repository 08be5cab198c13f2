from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import platformdirs
import pytest

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_address import (
    HubAddress,
    find_local,
    is_device,
    is_remote,
    library_folder,
    library_name_problem,
    library_places,
    located,
    parse_hub_address,
)


@pytest.fixture
def library(tmp_path, monkeypatch):
    folder = tmp_path / "library"
    (folder / "mine").mkdir(parents=True)
    (folder / "packed.zip").write_bytes(b"")
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", str(folder))
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    return folder


@pytest.mark.parametrize(
    ("text", "repository", "revision"),
    [
        ("hf://org/name", "org/name", None),
        ("hf://org/name@v1.0", "org/name", "v1.0"),
        ("hf://Org-1/na.me_x@refs/pr/3", "Org-1/na.me_x", "refs/pr/3"),
    ],
)
def test_addresses_of_the_hub(text, repository, revision):
    address = parse_hub_address(text)
    assert address == HubAddress(repository, revision)
    assert str(address) == text


@pytest.mark.parametrize(
    "text",
    [
        "hf://", "hf://name", "hf://a/b/c", "hf://a/b@", "hf://../b", "hf://a/..",
        "hf://a/b@../c", "hf://a/b@x y", "hf://a/b?x", "hf:///a/b", "hf://a/b.",
    ],
)  # fmt: skip
def test_what_is_no_address_of_the_hub(text):
    with pytest.raises(BundleError, match="expected hf://organisation/name"):
        parse_hub_address(text)


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("hf://a/b", True), ("https://x/y.zip", True), ("http://x/y.zip", True),
        ("demo", False), ("/a/b", False), ("file:///a", False), (Path("hf://a"), False),
    ],
)  # fmt: skip
def test_what_has_to_be_downloaded(source, expected):
    assert is_remote(source) is expected


def test_the_library_is_in_the_users_data_folder(monkeypatch):
    monkeypatch.delenv("MMSUBTYPE_BUNDLE_DIR")
    data = platformdirs.user_data_path("napari-mmsubtype")
    assert library_folder() == data / "bundles"
    monkeypatch.setenv("MMSUBTYPE_BUNDLE_DIR", "~/models")
    assert library_folder() == Path.home() / "models"


def test_names_are_looked_up_in_the_library_and_paths_are_not(library):
    assert find_local("mine") == library / "mine"
    assert find_local("packed") == library / "packed.zip"
    assert find_local("unknown") == Path("unknown")
    for path in ("./mine", str(library / "mine")):
        assert find_local(path) == Path(path)
    assert find_local(Path("mine")) == Path("mine")


def test_a_name_that_is_also_a_folder_here_is_ambiguous(library):
    Path("mine").mkdir()
    assert find_local("mine") == library / "mine"  # no bundle, so nothing to confuse
    Path("mine", "bundle.json").write_text("{}")
    with pytest.raises(
        BundleError, match=r"'mine' is a bundle of the library.*'./mine"
    ):
        find_local("mine")
    assert find_local("./mine") == Path("mine")
    assert located("./mine") == str(Path.cwd() / "mine")
    (library / "mine" / "bundle.json").write_text("{}")
    assert find_local("mine") == library / "mine"  # one and the same
    Path("packed").touch()
    with pytest.raises(BundleError, match="is a bundle of the library and also here"):
        find_local("packed")


def test_what_a_recipe_keeps_means_the_same_elsewhere(library):
    for name in ("demo", "mine", "packed", "hf://a/b@c", "https://x/y.zip"):
        assert located(name) == name
    assert located("unknown") == str(Path.cwd() / "unknown")
    assert located("~/x") == str(Path.home() / "x")


@pytest.mark.parametrize("name", ["brca", "brca-1.2_x", "A", "0", "b" * 64])
def test_good_names_of_the_library(name):
    assert library_name_problem(name) == ""


@pytest.mark.parametrize(
    "name",
    ["", ".hidden", "a/b", "a\\b", "..", "a b", "é", "nul", "COM1.x", "x.", "b" * 65],
)
def test_names_that_the_library_refuses(name):
    assert repr(name)[:20] in library_name_problem(name)


@pytest.mark.parametrize(
    ("name", "expected"),
    [("nul", True), ("COM1.txt", True), ("aux .x", True), ("console", False)],
)
def test_devices_of_windows(name, expected):
    assert is_device(name) is expected


def test_places_are_listed_without_looking_into_them(library):
    (library / "mine.zip").write_bytes(b"")
    (library / ".import-x").mkdir()
    (library / "notes.txt").write_text("x")
    assert library_places() == [
        ("mine", library / "mine"),
        ("mine.zip", library / "mine.zip"),
        ("packed", library / "packed.zip"),
    ]


def test_names_are_had_without_heavy_libraries():
    script = (
        "import sys\nfrom napari_mmsubtype.models.bundle_address import located\n"
        "located('demo')\n"
        "sys.exit(any(m in sys.modules for m in ('torch', 'pandas', 'numpy')))"
    )
    assert subprocess.run([sys.executable, "-c", script], check=False).returncode == 0
