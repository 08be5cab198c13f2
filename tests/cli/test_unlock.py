import io
import json
import os
import platform

import pytest

from napari_mmsubtype.cli.main import BAD_INPUT, DONE, main
from napari_mmsubtype.errors import StoreInUseError
from napari_mmsubtype.results.store_lock import StoreLock, lock_path


def lock_from(store, host):
    """A lock as a process on some machine writes it."""
    entry = {"pid": 4711, "birth": "b", "host": host, "started": "2026-01-02T03:04:05"}
    lock_path(store).write_text(json.dumps(entry | {"token": "t"}))


@pytest.fixture
def store(tmp_path):
    path = tmp_path / "slide.mmsubtype.zarr"
    path.mkdir()
    return path


def test_a_lock_of_another_machine_goes_when_that_is_confirmed(store, capsys):
    lock_from(store, "lab-7")
    assert main(["unlock", str(store), "--yes"]) == DONE
    assert "freed" in capsys.readouterr().out
    with StoreLock.acquire(store):
        assert lock_path(store).exists()


def test_without_a_yes_the_lock_stays(store, capsys, monkeypatch):
    lock_from(store, "lab-7")
    asked = []
    monkeypatch.setattr("typer.confirm", lambda text: asked.append(text) or False)
    assert main(["unlock", str(store)]) == DONE
    (question,) = asked
    for word in ("4711", "'lab-7'", "2026-01-02T03:04:05"):
        assert word in question
    assert "left as it is" in capsys.readouterr().out
    assert lock_path(store).exists()


def test_an_analysis_that_runs_on_this_machine_is_never_cut_off(store, capsys):
    with StoreLock.acquire(store):
        for words in (["--yes"], []):
            # Nobody is asked what is known.
            assert main(["unlock", str(store), *words]) == BAD_INPUT
            told = capsys.readouterr()
            assert "is being written to by" in told.err
            assert told.out == ""
        assert lock_path(store).exists()


def test_what_a_dead_process_of_this_machine_left_goes_unasked(store):
    lock_from(store, platform.node())
    assert main(["unlock", str(store)]) == DONE
    assert not lock_path(store).exists()


def test_where_nothing_is_held_nothing_is_done(store, tmp_path, capsys):
    assert main(["unlock", str(store)]) == DONE
    assert "nothing to do" in capsys.readouterr().out
    assert main(["unlock", str(tmp_path / "no.mmsubtype.zarr")]) == BAD_INPUT
    assert "no store at" in capsys.readouterr().err
    assert main(["unlock", str(tmp_path)]) == BAD_INPUT
    assert "no store at" in capsys.readouterr().err
    assert main(["unlock", "/"]) == BAD_INPUT


@pytest.mark.parametrize("kind", ["of the future", "folder"])
def test_a_lock_that_nobody_can_read_goes_when_that_is_confirmed(store, kind, capsys):
    path = lock_path(store)
    if kind == "folder":
        path.mkdir()
    else:
        path.write_text("")
        os.utime(path, (2**32, 2**32))
    with pytest.raises(StoreInUseError, match=f"unlock {str(store)!r}"):
        StoreLock.acquire(store)
    assert main(["unlock", str(store), "--yes"]) == DONE
    assert "freed" in capsys.readouterr().out
    StoreLock.acquire(store).release()
    assert list(store.parent.iterdir()) == [store]


def test_where_nobody_answers_the_option_is_named(store, capsys, monkeypatch):
    lock_from(store, "lab-7")
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert main(["unlock", str(store)]) == BAD_INPUT
    assert "--yes" in capsys.readouterr().err
    assert lock_path(store).exists()
