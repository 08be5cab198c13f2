from __future__ import annotations

import pytest

from napari_mmsubtype.errors import BundleIntegrityError
from napari_mmsubtype.models.bundle_names import (
    is_bundle_file,
    is_left_behind,
    is_left_folder,
    refuse_collisions,
    refuse_outside,
)


@pytest.mark.parametrize(
    "name",
    [
        "../evil", "/etc/evil", "a/../../evil", "C:/evil", "..\\evil", "",
        "\\\\host\\share\\x", "//host/share/x", "\\\\?\\C:\\x", "a\0b", "file:///x",
    ],
)  # fmt: skip
def test_paths_that_leave_the_folder_are_refused(name):
    with pytest.raises(BundleIntegrityError, match="outside the bundle"):
        refuse_outside(name, "zip")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("con", "device"), ("features/NUL.parquet", "device"), ("COM1.json", "device"),
        ("lpt9", "device"), ("aux .txt", "device"), ("a./b", "dot or a space"),
        ("bundle.json ", "dot or a space"), ("a\nb", "control"),
        ("a\u202eb", "control"), ("a" * 300, "300 characters"),
    ],
)  # fmt: skip
def test_names_that_some_system_takes_for_something_else_are_refused(name, reason):
    with pytest.raises(BundleIntegrityError, match=reason):
        refuse_outside(name, "zip")


@pytest.mark.parametrize(
    "name", ["bundle.json", "features/rna.parquet", "a b.txt", "console.txt", ".x"]
)
def test_ordinary_names_pass(name):
    refuse_outside(name, "zip")


@pytest.mark.parametrize(
    "names",
    [
        ("bundle.json", "Bundle.JSON"),
        ("caf\u00e9.md", "cafe\u0301.md"),
        ("stra\u00dfe", "STRASSE"),
        ("a", "a"),
        ("features", "features/rna.parquet"),
        ("Features", "features/rna.parquet"),
    ],
)
def test_names_that_are_one_on_some_systems_are_refused(names):
    with pytest.raises(BundleIntegrityError, match="zip 'x' lists"):
        refuse_collisions(names, "zip 'x'")


def test_different_names_pass():
    refuse_collisions(["a", "b", "c/a", "c/b", "ab/c"], "zip")


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("bundle.json", True), ("weights.safetensors", True), ("README.md", True),
        ("features/rna.parquet", True), ("features/rna.reference.parquet", True),
        ("features/rna.txt", False), ("features/a/b.parquet", False), ("x.json", False),
        ("Bundle.json", False), ("features/../x.parquet", False),
        ("origin.json", False),
    ],
)  # fmt: skip
def test_files_of_a_bundle_are_known_by_name(name, expected):
    assert is_bundle_file(name) is expected


def test_what_hubs_and_desktops_leave_is_known():
    for name in (".gitattributes", "origin.json", ".git/HEAD", "__MACOSX/a/b"):
        assert is_left_behind(name), name
    for name in ("weights.safetensors", "notes.txt", "features/.git.parquet"):
        assert not is_left_behind(name), name
    assert is_left_folder(".git")
    assert not is_left_folder("features")
