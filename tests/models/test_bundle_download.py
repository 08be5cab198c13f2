from __future__ import annotations

import hashlib

import pytest

from builders.bundles import tiny_bundle
from builders.web import serve
from napari_mmsubtype.errors import BundleError, BundleIntegrityError
from napari_mmsubtype.models import bundle_download
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_download import fetch_bundle
from napari_mmsubtype.models.bundle_pack import pack_bundle


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path / "cache" / "bundles"


@pytest.fixture
def web(tmp_path):
    folder = tmp_path / "web"
    folder.mkdir()
    (folder / "m.zip").write_bytes(b"content")
    with serve(folder) as address:
        yield address, folder


DIGEST = hashlib.sha256(b"content").hexdigest()


def test_a_zip_is_downloaded_once_and_that_is_said(web, cache):
    address, folder = web
    said = []
    first = fetch_bundle(f"{address}/m.zip", tell=said.append)
    assert first.path.read_bytes() == b"content"
    assert first.path.parent == cache
    assert first.revision == DIGEST
    (folder / "m.zip").write_bytes(b"another")
    second = fetch_bundle(f"{address}/m.zip", tell=said.append)
    assert second == first
    assert said == [
        f"downloading bundle {address}/m.zip over an open connection",
        f"using bundle {address}/m.zip as downloaded before ({first.path})",
    ]


def test_a_download_is_never_silent(web, caplog):
    fetch_bundle(f"{web[0]}/m.zip")
    assert "downloading bundle" in caplog.text


def test_a_folder_of_ones_own_gets_what_is_there_now(web, tmp_path, cache):
    address, folder = web
    fetch_bundle(f"{address}/m.zip", tell=str)
    (folder / "m.zip").write_bytes(b"another")
    fresh = fetch_bundle(f"{address}/m.zip", folder=tmp_path, tell=str)
    assert fresh.path.read_bytes() == b"another"
    assert fresh.path.parent == tmp_path


def test_a_digest_is_held_to(web, cache):
    address, _ = web
    said = []
    fetch_bundle(f"{address}/m.zip#sha256={DIGEST.upper()}", tell=said.append)
    assert said == [f"downloading bundle {address}/m.zip"]
    wrong = "0" * 64
    with pytest.raises(BundleIntegrityError, match=f"{DIGEST}, not {wrong}"):
        fetch_bundle(f"{address}/m.zip#sha256={wrong}", tell=str)
    # The good copy of before is still there.
    assert [path.read_bytes() for path in cache.iterdir()] == [b"content"]


@pytest.mark.parametrize(
    "address",
    ["https://", "https:///x.zip", "https://h/x.zip#md5=1", "https://h/x.zip#sha256=1"],
)
def test_what_is_no_address_is_refused(address):
    with pytest.raises(BundleError, match="no address of a bundle"):
        fetch_bundle(address, tell=str)


def test_a_missing_file_is_one_sentence(web, cache):
    with pytest.raises(BundleError, match=r"answers 404.*check the address"):
        fetch_bundle(f"{web[0]}/none.zip", tell=str)
    assert list(cache.iterdir()) == []


def test_no_connection_is_one_sentence(cache):
    with pytest.raises(BundleError, match=r"cannot be downloaded.*give the file"):
        fetch_bundle("http://127.0.0.1:9/m.zip", tell=str)
    assert list(cache.iterdir()) == []


def test_a_download_that_is_too_large_is_stopped(web, cache, monkeypatch):
    monkeypatch.setattr(bundle_download, "MAX_TOTAL_BYTES", 6)
    with pytest.raises(BundleError, match=r"7 bytes or more; expected.*at most 6"):
        fetch_bundle(f"{web[0]}/m.zip", tell=str)
    assert list(cache.iterdir()) == []


class Answer:
    """What a server gives that lies about the length, or says nothing of it."""

    def __init__(self, length, content):
        self.headers = {} if length is None else {"Content-Length": length}
        self._blocks = [content, b""]

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def read(self, _):
        return self._blocks.pop(0)


@pytest.mark.parametrize(
    ("length", "match"),
    [("100", "broke after 7 of 100"), (None, "7 bytes or more"), ("3", "7 bytes or")],
)
def test_a_server_that_lies_is_not_believed(cache, monkeypatch, length, match):
    monkeypatch.setattr(
        bundle_download.urllib.request,
        "urlopen",
        lambda *_, **__: Answer(length, b"content"),
    )
    monkeypatch.setattr(
        bundle_download, "MAX_TOTAL_BYTES", 6 if length != "100" else 1000
    )
    with pytest.raises(BundleError, match=match):
        fetch_bundle("https://host/m.zip", tell=str)
    assert list(cache.iterdir()) == []


def test_no_place_for_downloads_is_one_sentence(monkeypatch):
    monkeypatch.setattr(bundle_download, "cache_folder", lambda: None)
    with pytest.raises(BundleError, match="MMSUBTYPE_CACHE_DIR"):
        fetch_bundle("https://host/m.zip", tell=str)


def test_a_model_is_loaded_from_an_address(tmp_path, cache):
    folder = tiny_bundle(tmp_path / "b")
    (tmp_path / "web").mkdir()
    pack_bundle(folder, tmp_path / "web" / "m.zip")
    with serve(tmp_path / "web") as address:
        bundle = load_bundle(f"{address}/m.zip")
    assert bundle.digest == load_bundle(folder).digest
    assert bundle.path.parent == cache
    # From now on without the server.
    assert load_bundle(f"{address}/m.zip").digest == bundle.digest
