from __future__ import annotations

import hashlib
import io
import pickle
import struct
import zipfile

import numpy as np
import pytest

from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models.bundle_files import (
    opened,
    refuse_unsafe,
    sha256_file,
    swap_folder,
    verify_files,
    verify_hashes,
)


@pytest.fixture
def folder(tmp_path):
    place = tmp_path / "bundle"
    place.mkdir()
    (place / "bundle.json").write_text("{}")
    return place


def make_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def test_a_folder_is_opened_where_it_lies(folder):
    with opened(folder) as place:
        assert place == folder


@pytest.mark.parametrize("top", ["", "my-model/"])
def test_a_zip_is_unpacked_and_cleared_away(tmp_path, top):
    source = make_zip(
        tmp_path / "b.zip", {f"{top}bundle.json": "{}", f"{top}features/a.txt": "hello"}
    )
    with opened(source) as place:
        assert (place / "features" / "a.txt").read_text() == "hello"
    assert not place.exists()


def test_a_missing_bundle_says_what_to_give(tmp_path):
    with (
        pytest.raises(BundleError, match="does not exist; give 'demo'"),
        opened(tmp_path / "none"),
    ):
        pass


def test_a_folder_without_manifest_says_what_it_holds(tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with (
        pytest.raises(BundleError, match=r"no bundle\.json \(found notes\.txt\)"),
        opened(tmp_path),
    ):
        pass


@pytest.mark.parametrize("content", [b"", b"just text"])
def test_a_file_that_is_no_zip_is_refused(tmp_path, content):
    (tmp_path / "b.zip").write_bytes(content)
    with (
        pytest.raises(BundleError, match=f"neither a folder nor a zip.*{len(content)}"),
        opened(tmp_path / "b.zip"),
    ):
        pass


def test_a_pickle_named_safetensors_is_refused(folder):
    (folder / "w.safetensors").write_bytes(pickle.dumps([1, 2, 3]))
    with pytest.raises(BundleIntegrityError, match="not a safetensors file"):
        refuse_unsafe(folder)


def test_safetensors_whose_length_looks_like_a_pickle_pass(folder):
    header = b"{" + b" " * (0x0480 - 2) + b"}"
    assert len(header) == 0x0480  # first bytes 80 04, as a pickle of protocol 4
    (folder / "w.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    refuse_unsafe(folder)


def test_plain_files_pass(folder):
    np.savez(folder / "reference.npz", a=np.zeros(3))
    (folder / "MODEL_CARD.md").write_text("# Card")
    (folder / ".gitattributes").write_text("* text")
    refuse_unsafe(folder)


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_links_are_refused_wherever_they_lead(folder, tmp_path, kind):
    target = tmp_path / "target"
    target.mkdir() if kind == "folder" else target.write_text("x")
    try:
        (folder / "link").symlink_to(target)
    except OSError:
        pytest.skip("this system lets no one make links")
    with pytest.raises(BundleIntegrityError, match=r"'link'.*is a link"):
        refuse_unsafe(folder)


def test_hashes_are_those_of_the_standard_library(tmp_path):
    content = io.BytesIO(b"abc" * 100_000).getvalue()
    (tmp_path / "f").write_bytes(content)
    assert sha256_file(tmp_path / "f") == hashlib.sha256(content).hexdigest()


def test_a_changed_or_missing_file_is_named(folder):
    (folder / "a.txt").write_text("one")
    good = sha256_file(folder / "a.txt")
    verify_hashes(folder, {"a.txt": good})
    (folder / "a.txt").write_text("two")
    with pytest.raises(BundleIntegrityError, match=rf"a\.txt.*changed.*{good[:16]}"):
        verify_hashes(folder, {"a.txt": good})
    with pytest.raises(BundleIntegrityError, match=r"lacks 'b\.txt'"):
        verify_hashes(folder, {"b.txt": good})
    with pytest.raises(BundleIntegrityError, match="outside"):
        verify_hashes(folder, {"../bundle/a.txt": good})


def test_a_file_is_looked_into_once_its_hash_is_right(folder):
    (folder / "calibration.json").write_text('{"temperature": NaN}')
    good = sha256_file(folder / "calibration.json")
    with pytest.raises(BundleIntegrityError, match=r"calibration\.json.*was changed"):
        verify_files(folder, {"calibration.json": "0" * 64})
    with pytest.raises(BundleIntegrityError, match=r"calibration\.json.*not JSON"):
        verify_files(folder, {"calibration.json": good})


@pytest.mark.parametrize("name", ["notes.txt", "features/notes"])
def test_a_pickle_in_a_folder_is_named(folder, name):
    (folder / "features").mkdir()
    (folder / name).write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(BundleIntegrityError, match=f"'{name}'.*pickle.*refused"):
        refuse_unsafe(folder)


def test_names_that_are_one_elsewhere_are_refused(folder):
    (folder / "Notes.txt").write_text("x")
    if (folder / "notes.TXT").exists():
        pytest.skip("this system takes both names for one")
    (folder / "notes.TXT").write_text("y")
    with pytest.raises(BundleIntegrityError, match="same name on some systems"):
        refuse_unsafe(folder)


def test_the_history_of_a_clone_is_passed_over(folder):
    (folder / ".git").mkdir()
    (folder / ".git" / "hook").write_text("#!/bin/sh")
    refuse_unsafe(folder)
    (folder / "hook").write_text("#!/bin/sh")
    with pytest.raises(BundleIntegrityError, match="is a script"):
        refuse_unsafe(folder)


def test_links_of_the_cache_of_a_hub_may_stay_within_it(tmp_path):
    repository = tmp_path / "models--org--tiny"
    snapshot = repository / "snapshots" / "c0ffee"
    snapshot.mkdir(parents=True)
    (repository / "blobs").mkdir()
    (repository / "blobs" / "1").write_text("{}")
    (tmp_path.parent / "outside").write_text("{}")
    try:
        (snapshot / "bundle.json").symlink_to("../../blobs/1")
    except OSError:
        pytest.skip("this system lets no one make links")
    with opened(snapshot) as place:
        assert place == snapshot
    (snapshot / "card.md").symlink_to(tmp_path.parent / "outside")
    with pytest.raises(BundleIntegrityError, match=r"'card\.md'.*is a link"):
        refuse_unsafe(snapshot)
    (snapshot / "card.md").unlink()
    (snapshot / "features").symlink_to(repository / "blobs")
    with pytest.raises(BundleIntegrityError, match=r"'features'.*is a link"):
        refuse_unsafe(snapshot)


def test_a_folder_is_swapped_or_left_as_it_was(tmp_path, monkeypatch):
    target, fresh = tmp_path / "target", tmp_path / "fresh"
    fresh.mkdir()
    swap_folder(fresh, target)
    assert target.is_dir()
    (target / "old").touch()
    fresh.mkdir()
    rename = type(target).rename

    def refuse(self, goal):
        if self == fresh:
            raise OSError(5, "Input/output error")
        return rename(self, goal)

    monkeypatch.setattr(type(target), "rename", refuse)
    with pytest.raises(OSError, match="Input/output"):
        swap_folder(fresh, target)
    assert (target / "old").exists()
    monkeypatch.undo()
    swap_folder(fresh, target)
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert not (target / "old").exists()
