from __future__ import annotations

import gc
import logging
import os
import signal
import subprocess
import sys
import tempfile
import time
from functools import partial

import anndata
import numpy as np
import pandas as pd
import psutil
import pytest

from builders.omics import log_frame, write
from builders.omics_portals import h5ad
from napari_mmsubtype.errors import ConfigurationError, TableReadError
from napari_mmsubtype.omics import reader_process
from napari_mmsubtype.omics.reader_process import (
    LIMIT_S,
    LIMIT_VARIABLE,
    read_apart,
    read_limit,
    run_to_end,
)
from napari_mmsubtype.omics.table import read_here, read_omics


@pytest.fixture
def child_does(monkeypatch):
    """Replace what the reading process does when it reads."""

    def replace(*lines):
        body = "\n    ".join(lines)
        monkeypatch.setattr(
            reader_process,
            "_BOOT",
            "import sys, json\n"
            "sys.path[:] = json.loads(sys.stdin.buffer.readline())\n"
            "import time, os, warnings\n"
            "import napari_mmsubtype.omics.table as table\n"
            "from napari_mmsubtype.omics.watched_file import open_watched\n"
            "from napari_mmsubtype.omics.reader_child import main\n"
            f"def read(path, **options):\n    {body}\n"
            "table.read_here = read\n"
            "main()\n",
        )

    return replace


@pytest.fixture(autouse=True)
def _nothing_stays(monkeypatch, tmp_path_factory):
    """Fail a test that leaves a process or a temporary file behind."""
    folder = tmp_path_factory.mktemp("temporary")
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    before = set(psutil.Process().children(recursive=True))
    yield
    gc.collect()
    assert list(folder.iterdir()) == []
    assert set(psutil.Process().children(recursive=True)) <= before


def nowhere():
    raise AssertionError("read in this process")


def apart(path, **options):
    return run_to_end(read_apart(str(path), options, nowhere))


@pytest.fixture
def hdf5(tmp_path):
    return h5ad(tmp_path / "rna.h5ad", log_frame(6))


def test_a_table_is_the_same_as_one_read_here(hdf5):
    for path, options in ((hdf5, {}), (hdf5, {"modality": "clinical"})):
        found, table = apart(path, **options), read_here(path, **options)
        np.testing.assert_array_equal(found.X, table.X)
        pd.testing.assert_frame_equal(found.obs, table.obs)
        pd.testing.assert_frame_equal(found.var, table.var)
        assert found.uns == table.uns
        assert found.X.dtype == table.X.dtype


def test_hdf5_files_are_read_apart_and_others_here(hdf5, tmp_path, child_does):
    child_does("os._exit(7)")
    with pytest.raises(TableReadError, match=r"rna\.h5ad.*code 7"):
        read_omics(hdf5)
    assert read_omics(write(log_frame(6), tmp_path / "rna.csv")).n_obs == 6
    assert read_omics(anndata.io.read_h5ad(hdf5)).n_obs == 6


def test_errors_are_those_of_reading(hdf5, tmp_path):
    damaged = tmp_path / "cut.h5ad"
    damaged.write_bytes(hdf5.read_bytes()[:5000])
    for path, options in (
        (damaged, {}),
        (hdf5, {"layer": "none"}),
        (hdf5, {"unit": "parsec"}),
        (tmp_path / "missing.csv", {}),
    ):
        with pytest.raises((TableReadError, ConfigurationError)) as here:
            read_here(path, **options)
        with pytest.raises((TableReadError, ConfigurationError)) as there:
            apart(path, **options)
        assert there.type is here.type
        assert str(there.value) == str(here.value)
        assert "in read_here" in str(there.value.__cause__)


def test_notes_and_warnings_arrive(hdf5, child_does):
    child_does(
        "warnings.warn('an old layout', FutureWarning)",
        "error = KeyError('x')",
        "error.add_note('in the rna table')",
        "raise error",
    )
    with (
        pytest.warns(FutureWarning, match="an old layout"),
        pytest.raises(KeyError) as found,
    ):
        apart(hdf5)
    assert found.value.__notes__ == ["in the rna table"]


def test_what_libraries_print_does_not_disturb(hdf5, child_does):
    child_does(
        "print('noise', flush=True)",
        "os.write(1, b'more noise')",
        "raise ValueError('heard')",
    )
    with pytest.raises(ValueError, match=r"^heard$"):
        apart(hdf5)


def test_a_hang_ends_after_the_time_without_progress(hdf5, child_does, monkeypatch):
    child_does("with open_watched(path):", "    time.sleep(600)")
    monkeypatch.setenv(LIMIT_VARIABLE, "0.5")
    with pytest.raises(TableReadError, match=r"seems damaged.*0\.5 s.*fetch it again"):
        read_omics(hdf5)


def test_progress_counts_and_not_time(tmp_path, child_does, monkeypatch):
    path = tmp_path / "slow.h5ad"
    path.write_bytes(b"\x89HDF" + bytes(10 * 2**16))
    child_does(
        "with open_watched(path) as file:",
        "    for _ in range(6):",
        "        time.sleep(0.4)",
        "        file.read(2**16)",
        "time.sleep(1.5)  # the file is read; what follows may take its time",
        "raise ValueError('came to its end')",
    )
    monkeypatch.setenv(LIMIT_VARIABLE, "1.2")
    events = []
    with pytest.raises(ValueError, match="came to its end"):
        events.extend(read_apart(str(path), {}, nowhere))
    done = [event.done for event in events]
    assert max(done) == 6 * 2**16
    assert {e.total for e in events if e.done} == {path.stat().st_size}
    assert events[-1].message == "reading slow.h5ad"


def test_closing_the_job_ends_the_process_at_once(hdf5, child_does):
    child_does("time.sleep(600)")
    job = read_apart(str(hdf5), {}, nowhere)
    for _ in range(5):
        next(job)
    (child,) = psutil.Process().children()
    begun = time.monotonic()
    job.close()
    assert time.monotonic() - begun < 5
    assert not child.is_running()


@pytest.mark.skipif(sys.platform == "win32", reason="signals")
def test_a_process_that_dies_is_told(hdf5, child_does):
    child_does(f"os.kill(os.getpid(), {int(signal.SIGSEGV)})")
    with pytest.raises(TableReadError, match=r"signal 11.*damaged, or too large"):
        apart(hdf5)


def test_without_an_interpreter_it_is_read_here(hdf5, monkeypatch, caplog):
    monkeypatch.setattr(sys, "executable", "")
    assert read_omics(hdf5).n_obs == 6
    assert "no process can be started" in caplog.text


def test_where_the_interpreter_fails_it_is_read_here(hdf5, monkeypatch, caplog):
    monkeypatch.setattr(reader_process, "_BOOT", "raise SystemExit('no such module')")
    with caplog.at_level(logging.WARNING):
        table = run_to_end(read_apart(str(hdf5), {}, partial(read_here, hdf5)))
    assert table.n_obs == 6
    assert "no such module" in caplog.text


def test_a_script_needs_no_guard(hdf5, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        "print('begin')\n"
        "from napari_mmsubtype.omics.table import read_omics\n"
        f"print(read_omics({str(hdf5)!r}).shape)\n"
    )
    # A module of the user's that is called like one of Python's stays unread.
    (tmp_path / "json.py").write_text("raise SystemExit('the wrong json')")
    done = subprocess.run(
        [sys.executable, "-P", str(script)],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("begin\n(6, 30)\n", "")


@pytest.mark.parametrize(("given", "limit"), [("", LIMIT_S), ("0", 0), ("2.5", 2.5)])
def test_the_limit_is_settable(monkeypatch, given, limit):
    monkeypatch.setenv(LIMIT_VARIABLE, given)
    assert read_limit() == limit


@pytest.mark.parametrize("given", ["soon", "-1", "nan", "inf"])
def test_a_limit_that_is_none_is_refused(monkeypatch, hdf5, given):
    monkeypatch.setenv(LIMIT_VARIABLE, given)
    with pytest.raises(ConfigurationError, match=rf"{LIMIT_VARIABLE} is '{given}'"):
        read_omics(hdf5)


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT")
def test_an_interrupt_ends_both(hdf5, tmp_path):
    script = (
        "import napari_mmsubtype.omics.reader_process as r\n"
        "r._BOOT = r._BOOT.replace('import main; main()', 'import main; import '\n"
        "    'napari_mmsubtype.omics.table as t, time; '\n"
        "    't.read_here = lambda *a, **k: time.sleep(600); main()')\n"
        "print('ready', flush=True)\n"
        f"r.run_to_end(r.read_apart({str(hdf5)!r}, {{}}, None))\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "TMPDIR": str(tmp_path)},
    ) as process:
        process.stdout.readline()
        time.sleep(2.0)
        (child,) = psutil.Process(process.pid).children()
        process.send_signal(signal.SIGINT)
        assert "KeyboardInterrupt" in process.communicate(timeout=20)[1]
    assert not child.is_running()
