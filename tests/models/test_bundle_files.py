from __future__ import annotations

import hashlib
import io
import pickle
import stat
import struct
import zipfile

import numpy as np
import pytest

from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models import bundle_files
from napari_mmsubtype.models.bundle_files import (
    opened,
    refuse_outside,
    refuse_unsafe,
    sha256_file,
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


def test_a_truncated_member_is_refused(tmp_path):
    source = make_zip(tmp_path / "b.zip", {"bundle.json": "{}" * 500})
    content = bytearray(source.read_bytes())
    content[100] ^= 0xFF
    source.write_bytes(content)
    with pytest.raises(BundleIntegrityError, match="damaged"), opened(source):
        pass


@pytest.mark.parametrize(
    "name", ["../evil", "/etc/evil", "a/../../evil", "C:/evil", "..\\evil", ""]
)
def test_paths_that_leave_the_folder_are_refused(name):
    with pytest.raises(BundleIntegrityError, match="outside the bundle"):
        refuse_outside(name, "zip")


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt"])
def test_a_zip_slip_writes_nothing(tmp_path, name):
    source = make_zip(tmp_path / "b.zip", {"bundle.json": "{}", name: "x"})
    with pytest.raises(BundleIntegrityError, match="outside"), opened(source):
        pass
    assert [path.name for path in tmp_path.iterdir()] == ["b.zip"]


def test_a_link_in_a_zip_is_refused(tmp_path):
    link = zipfile.ZipInfo("bundle.json")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with (
        pytest.raises(BundleIntegrityError, match=r"link 'bundle\.json'"),
        opened(tmp_path / "b.zip"),
    ):
        pass


def test_oversized_zips_are_refused_before_unpacking(tmp_path, monkeypatch):
    source = make_zip(
        tmp_path / "b.zip",
        {"bundle.json": "0" * 600, "x": "0" * 600},
        compression=zipfile.ZIP_DEFLATED,
    )
    monkeypatch.setattr(bundle_files, "MAX_MEMBER_BYTES", 500)
    with (
        pytest.raises(BundleIntegrityError, match=r"600 bytes; .* 500"),
        opened(source),
    ):
        pass
    monkeypatch.setattr(bundle_files, "MAX_MEMBER_BYTES", 1000)
    monkeypatch.setattr(bundle_files, "MAX_TOTAL_BYTES", 1000)
    with pytest.raises(BundleIntegrityError, match="1200 bytes"), opened(source):
        pass
    monkeypatch.setattr(bundle_files, "MAX_MEMBERS", 1)
    with pytest.raises(BundleIntegrityError, match="lists 2 files"), opened(source):
        pass


def test_a_name_twice_in_a_zip_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("bundle.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("bundle.json", "[]")
    with (
        pytest.raises(BundleIntegrityError, match="2 files, 1 of them different"),
        opened(tmp_path / "b.zip"),
    ):
        pass


@pytest.mark.parametrize(
    "name", ["m.pkl", "m.pt", "m.PTH", "m.bin", "m.ckpt", "m.joblib", "m.npy"]
)
def test_kinds_of_file_that_can_run_code_are_refused_by_name(folder, name):
    (folder / "extra").mkdir()
    (folder / "extra" / name).write_bytes(b"harmless")
    with pytest.raises(BundleIntegrityError, match=f"'extra/{name}'.*is refused"):
        refuse_unsafe(folder)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_a_pickle_under_a_harmless_name_is_refused(folder, protocol):
    (folder / "notes.txt").write_bytes(pickle.dumps({"a": 1}, protocol=protocol))
    with pytest.raises(BundleIntegrityError, match=r"notes\.txt.*pickle"):
        refuse_unsafe(folder)


def test_an_archive_under_a_harmless_name_is_refused(folder):
    make_zip(folder / "weights.json", {"data.pkl": b"x"})
    with pytest.raises(BundleIntegrityError, match=r"weights\.json.*archive"):
        refuse_unsafe(folder)


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
