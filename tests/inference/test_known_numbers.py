import json
import time

import pytest

from napari_mmsubtype.inference.known_numbers import KEPT_DAYS, KnownNumbers


@pytest.mark.parametrize("value", [1, 6, 0.87])
def test_another_run_finds_what_was_kept(tmp_path, monkeypatch, value):
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    KnownNumbers.of_user("numbers.json").keep("k", value)
    KnownNumbers.of_user("numbers.json").keep("l", 2)
    assert KnownNumbers.of_user("numbers.json").find("k") == value
    assert KnownNumbers.of_user("other.json").find("k") is None
    assert [path.name for path in (tmp_path / "cache").iterdir()] == ["numbers.json"]


def test_nothing_is_kept_where_the_cache_is_switched_off(tmp_path, monkeypatch):
    monkeypatch.setenv("MMSUBTYPE_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("MMSUBTYPE_CACHE_MIB", "0")
    KnownNumbers.of_user("numbers.json").keep("k", 3)
    assert not (tmp_path / "cache" / "numbers.json").exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[1, 2]",
        '{"k": 4}',
        '{"k": {"value": 0, "time": 9e9}}',
        '{"k": {"value": true, "time": 9e9}}',
        '{"k": {"value": "8", "time": 9e9}}',
        '{"k": {"value": 8}}',
        '{"k": {"value": NaN, "time": 9e9}}',
        '{"k": {"value": 1e999, "time": 9e9}}',
    ],
)
def test_a_damaged_memory_counts_as_empty_and_is_made_anew(tmp_path, text):
    path = tmp_path / "numbers.json"
    path.write_text(text)
    known = KnownNumbers(path)
    assert known.find("k") is None
    known.keep("k", 6)
    assert known.find("k") == 6


def test_numbers_are_forgotten_after_a_while(tmp_path):
    path = tmp_path / "numbers.json"
    KnownNumbers(path).keep("k", 6)
    body = json.loads(path.read_text())
    body["k"]["time"] = time.time() - (KEPT_DAYS + 1) * 86_400
    path.write_text(json.dumps(body))
    assert KnownNumbers(path).find("k") is None


def test_a_memory_that_cannot_be_written_does_not_stop_the_run(tmp_path, caplog):
    (tmp_path / "file").write_text("")
    KnownNumbers(tmp_path / "file" / "numbers.json").keep("k", 6)
    assert "not remembered" in caplog.text
    KnownNumbers(None).keep("k", 6)
    assert KnownNumbers(None).find("k") is None
