from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from napari_mmsubtype.errors import BundleError
from napari_mmsubtype.models.bundle_address import (
    HubAddress,
    find_local,
    is_remote,
    library_folder,
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
    with pytest.raises(
        BundleError, match=r"'mine' is a bundle of the library.*'./mine"
    ):
        find_local("mine")
    assert find_local("./mine") == Path("mine")
    assert located("./mine") == str(Path.cwd() / "mine")


def test_what_a_recipe_keeps_means_the_same_elsewhere(library):
    for name in ("demo", "mine", "packed", "hf://a/b@c", "https://x/y.zip"):
        assert located(name) == name
    assert located("unknown") == str(Path.cwd() / "unknown")
    assert located("~/x") == str(Path.home() / "x")
