import json
import os
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from builders.pages import Page
from builders.stores import begin_store
from napari_mmsubtype.cli.main import DONE, main
from napari_mmsubtype.core.result_words import INTERRUPTED
from napari_mmsubtype.results.html_report import write_report
from napari_mmsubtype.results.run_state import (
    live_owner,
    place_elsewhere,
    unfinished_words,
)
from napari_mmsubtype.results.store_lock import StoreLock


@pytest.fixture
def store(tmp_path):
    return begin_store(tmp_path).path


def told_of(store, capsys):
    """What the commands say of a store."""
    assert main(["info", str(store)]) == DONE
    return capsys.readouterr().out, Page(write_report(store)).text


def test_what_runs_on_this_machine_is_said_to_run(store, capsys):
    with StoreLock.acquire(store):
        words = f"Running: process {os.getpid()} has written to it since "
        for text in told_of(store, capsys):
            assert words in text
            assert INTERRUPTED not in text
    for text in told_of(store, capsys):
        assert INTERRUPTED in text


def test_what_a_killed_process_left_is_interrupted(store, capsys):
    lock = StoreLock.acquire(store)
    gone = asdict(replace(lock.owner, birth="another process"))
    lock.path.write_text(json.dumps(gone))
    for text in told_of(store, capsys):
        assert INTERRUPTED in text


def test_what_another_machine_holds_may_be_freed(store):
    lock = StoreLock.acquire(store)
    lock.path.write_text(json.dumps(asdict(replace(lock.owner, host="lab-7"))))
    owner = live_owner(store)
    place = f"process {os.getpid()} on lab-7, since {owner.started}"
    assert place_elsewhere(owner) == place
    words = unfinished_words(store, owner)
    assert words.startswith(f"The analysis belongs to {place}. If it has ended there")
    assert f"unlock {str(store)!r}" in words


def test_what_is_no_store_has_no_owner(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for place in ("/", ".", "~", "none.mmsubtype.zarr"):
        assert live_owner(Path(place)) is None
    assert place_elsewhere(None) == ""
