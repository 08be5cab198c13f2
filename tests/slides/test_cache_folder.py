import logging
import os

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.slides import cache_folder as module
from napari_mmsubtype.slides.cache_folder import (
    DEFAULT_LIMIT_BYTES,
    FOLDER_VARIABLE,
    LIMIT_VARIABLE,
    cache_folder,
    cache_limit,
)


@pytest.fixture(autouse=True)
def _tried_anew(monkeypatch, tmp_path):
    monkeypatch.setattr(module.tempfile, "gettempdir", lambda: str(tmp_path / "spare"))
    monkeypatch.setattr(
        module.platformdirs, "user_cache_dir", lambda name: str(tmp_path / name)
    )
    module._find_folder.cache_clear()
    yield
    module._find_folder.cache_clear()


def test_the_folder_asked_for_is_made_and_used(monkeypatch, tmp_path):
    asked = tmp_path / "with space" / "änd more"
    monkeypatch.setenv(FOLDER_VARIABLE, str(asked))
    assert cache_folder() == asked
    assert list(asked.iterdir()) == []


def test_else_it_is_the_users_cache_folder(monkeypatch, tmp_path):
    monkeypatch.delenv(FOLDER_VARIABLE)
    assert cache_folder() == tmp_path / "napari-mmsubtype"


def test_where_it_cannot_be_written_the_temporary_folder_serves(
    monkeypatch, tmp_path, caplog
):
    (tmp_path / "file").write_bytes(b"1")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "file" / "below"))
    with caplog.at_level(logging.WARNING):
        folder = cache_folder()
        assert cache_folder() == folder
    assert folder.parent == tmp_path / "spare"
    (said,) = caplog.messages
    assert str(tmp_path / "file") in said
    assert str(folder) in said


def test_where_nothing_can_be_written_there_is_no_cache_and_it_is_said_once(
    monkeypatch, tmp_path, caplog
):
    (tmp_path / "spare").write_bytes(b"1")
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "spare" / "below"))
    with caplog.at_level(logging.WARNING):
        assert cache_folder() is None
        assert cache_folder() is None
    (said,) = caplog.messages
    assert f"set {FOLDER_VARIABLE}" in said


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="needs owners of files")
def test_a_folder_of_another_user_is_not_trusted(monkeypatch, tmp_path):
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "mine"))
    (tmp_path / "mine").mkdir()
    monkeypatch.setattr(module.os, "getuid", lambda: tmp_path.stat().st_uid + 1)
    assert cache_folder() is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [("", DEFAULT_LIMIT_BYTES), ("0", 0), (" 10 ", 10 * 1024**2)],
)
def test_the_limit_comes_from_the_environment(monkeypatch, text, expected):
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    assert cache_limit() == expected


@pytest.mark.parametrize("text", ["much", "-1", "1.5"])
def test_a_limit_that_is_no_number_is_refused(monkeypatch, text):
    monkeypatch.setenv(LIMIT_VARIABLE, text)
    with pytest.raises(ConfigurationError, match=f"{LIMIT_VARIABLE} is '{text}'"):
        cache_limit()
