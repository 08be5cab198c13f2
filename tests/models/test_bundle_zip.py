from __future__ import annotations

import stat
import struct
import zipfile

import pytest

from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models import bundle_zip
from napari_mmsubtype.models.bundle_zip import checked_members, top_folder, unpack


def make_zip(path, members, **options):
    with zipfile.ZipFile(path, "w", **options) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


@pytest.fixture
def place(tmp_path):
    folder = tmp_path / "place"
    folder.mkdir()
    return folder


def refused(source, place, match):
    """The zip is refused, and nothing of it was written."""
    with pytest.raises(BundleIntegrityError, match=match):
        unpack(source, place)
    assert list(place.iterdir()) == []
    assert {path.name for path in place.parent.iterdir()} == {source.name, "place"}


def test_files_are_unpacked_with_their_folders(tmp_path, place):
    source = make_zip(tmp_path / "b.zip", {"m/bundle.json": "{}", "m/features/a": "x"})
    unpack(source, place)
    assert (place / "m" / "features" / "a").read_text() == "x"


@pytest.mark.parametrize(
    ("names", "top"),
    [
        (["bundle.json", "a/bundle.json"], ""),
        (["my/bundle.json", "my/a"], "my/"),
        (["a/b/bundle.json"], ""),
        ([], ""),
    ],
)
def test_the_manifest_is_found_at_the_top_or_one_below(names, top):
    assert top_folder([zipfile.ZipInfo(name) for name in names]) == top


def test_a_truncated_member_is_refused(tmp_path, place):
    source = make_zip(tmp_path / "b.zip", {"bundle.json": "{}" * 500})
    content = bytearray(source.read_bytes())
    content[100] ^= 0xFF
    source.write_bytes(content)
    with pytest.raises(BundleIntegrityError, match=r"damaged|not JSON"):
        unpack(source, place)


def test_a_zip_cut_short_is_refused(tmp_path, place):
    source = make_zip(tmp_path / "b.zip", {"bundle.json": "{}", "a": "x" * 5000})
    source.write_bytes(source.read_bytes()[:-30])
    refused(source, place, "damaged")


@pytest.mark.parametrize(
    "name",
    ["../evil.txt", "/evil.txt", "a/../../evil.txt", "C:/evil", "//host/share/x"],
)
def test_a_zip_slip_writes_nothing(tmp_path, place, name):
    source = make_zip(tmp_path / "b.zip", {"bundle.json": "{}", name: "x"})
    refused(source, place, "outside")


def test_a_name_behind_a_zero_byte_is_seen(tmp_path, place):
    source = make_zip(tmp_path / "b.zip", {"bundle.json": "{}", "aX../b": "x"})
    source.write_bytes(source.read_bytes().replace(b"aX../b", b"a\0../b"))
    refused(source, place, "outside")


@pytest.mark.parametrize(
    ("mode", "word"),
    [(stat.S_IFLNK, "link"), (stat.S_IFIFO, "special file"), (stat.S_IFCHR, "special")],
)
def test_links_and_devices_are_refused(tmp_path, place, mode, word):
    entry = zipfile.ZipInfo("bundle.json")
    entry.external_attr = (mode | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr(entry, "/etc/passwd")
    refused(tmp_path / "b.zip", place, rf"{word}.* 'bundle\.json'")


def test_oversized_zips_are_refused_before_unpacking(tmp_path, place, monkeypatch):
    source = make_zip(
        tmp_path / "b.zip",
        {"bundle.json": "0" * 600, "x": "0" * 600},
        compression=zipfile.ZIP_DEFLATED,
    )
    monkeypatch.setattr(bundle_zip, "MAX_MEMBER_BYTES", 500)
    refused(source, place, r"600 bytes; .* 500")
    monkeypatch.setattr(bundle_zip, "MAX_MEMBER_BYTES", 1000)
    monkeypatch.setattr(bundle_zip, "MAX_TOTAL_BYTES", 1000)
    refused(source, place, "1200 bytes")
    monkeypatch.setattr(bundle_zip, "MAX_MEMBERS", 1)
    refused(source, place, "lists 2 files")


def test_a_zip_that_grows_beyond_belief_is_refused(tmp_path, place):
    source = tmp_path / "b.zip"
    with (
        zipfile.ZipFile(source, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("weights.safetensors", "w") as member,
    ):
        for _ in range(80):
            member.write(bytes(2**20))
    assert source.stat().st_size < 100_000
    refused(source, place, "200 times its size")


def test_a_member_that_holds_more_than_it_lists_is_refused(tmp_path, place):
    source = make_zip(
        tmp_path / "b.zip",
        {"notes.txt": "0" * 5000},
        compression=zipfile.ZIP_DEFLATED,
    )
    content = source.read_bytes()
    true, false = struct.pack("<I", 5000), struct.pack("<I", 50)
    assert content.count(true) == 2  # before the file and in the table of contents
    source.write_bytes(content.replace(true, false))
    with pytest.raises(BundleIntegrityError, match=r"damaged|more than the 50"):
        unpack(source, place)
    assert all(path.stat().st_size <= 50 for path in place.rglob("*"))


def test_a_name_twice_is_refused(tmp_path, place):
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("bundle.json", "{}")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("bundle.json", "[]")
    refused(tmp_path / "b.zip", place, "2 files, 1 of them different")


def test_an_encrypted_zip_is_refused(tmp_path, place):
    source = make_zip(tmp_path / "b.zip", {"bundle.json": "{}"})
    with zipfile.ZipFile(source) as archive:
        at = archive.start_dir
    content = bytearray(source.read_bytes())
    content[at + 8] |= 1  # general purpose flag of the entry in the table of contents
    source.write_bytes(content)
    refused(source, place, "encrypted; pack it without a password")


def test_a_full_disk_is_no_fault_of_the_bundle(tmp_path, place, monkeypatch):
    source = make_zip(tmp_path / "b.zip", {"bundle.json": "{}"})

    def refuse(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(bundle_zip, "_extract", refuse)
    with pytest.raises(BundleError, match=r"could not be unpacked.*No space") as caught:
        unpack(source, place)
    assert not isinstance(caught.value, BundleIntegrityError)


def test_the_table_of_contents_leaves_out_folders(tmp_path):
    source = make_zip(tmp_path / "b.zip", {"a/": "", "a/b": "x"})
    with zipfile.ZipFile(source) as archive:
        members = checked_members(archive, source.stat().st_size, "zip")
    assert [member.filename for member in members] == ["a/b"]
