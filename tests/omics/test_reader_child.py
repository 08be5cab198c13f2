from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import psutil
import pytest

from builders.omics import log_frame, tpm_frame, write
from builders.omics_portals import h5ad
from napari_mmsubtype.omics.table_stream import receive, unpack_table

CODE = "from napari_mmsubtype.omics.reader_child import main; main()"
STUCK = (
    "import napari_mmsubtype.omics.table as t, ctypes, time; "
    "t.read_here = lambda *a, **k: {}; " + CODE
)
# PyDLL keeps the interpreter while the call lasts, as HDF5 does.
HOLDING = STUCK.format("ctypes.PyDLL(None).sleep(600)")
SLEEPING = STUCK.format("time.sleep(600)")


def start(path, code=CODE, parent=None, **options):
    process = subprocess.Popen(
        [sys.executable, "-c", code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    request = {
        "path": str(path),
        "options": options,
        "limit_s": 60.0,
        "parent": parent or os.getpid(),
    }
    process.stdin.write(json.dumps(request).encode() + b"\n")
    process.stdin.flush()
    return process


def answers(path, **options):
    with start(path, **options) as process:
        found = []
        while (message := receive(process.stdout)) is not None:
            found.append(message)
        assert process.stderr.read() == b""
        assert process.wait(20) == 0
    return found


def test_a_table_is_sent(tmp_path):
    path = write(tpm_frame(4), tmp_path / "rna.csv")
    (ready, _), (facts, blobs) = answers(path, unit="fpkm")
    assert ready == {"kind": "ready"}
    table = unpack_table(facts, blobs)
    assert table.shape == (4, 30)
    assert table.uns["mmsubtype"]["unit"] == "fpkm"


def test_an_error_is_sent(tmp_path):
    _, (facts, _) = answers(tmp_path / "missing.csv")
    assert (facts["kind"], facts["class"]) == ("error", "TableReadError")
    assert "no table at" in facts["text"]


def test_how_far_a_file_is_read_is_sent(tmp_path):
    path = h5ad(tmp_path / "rna.h5ad", log_frame(4))
    found = [facts for facts, _ in answers(path)]
    kinds = [facts["kind"] for facts in found]
    assert kinds[:2] == ["ready", "progress"]
    assert kinds[-2:] == ["read", "table"]
    assert found[1] == {"kind": "progress", "done": 0, "total": path.stat().st_size}


@pytest.mark.parametrize("code", [SLEEPING, HOLDING], ids=["sleeping", "holding"])
@pytest.mark.skipif(sys.platform != "linux", reason="kills with SIGKILL, calls libc")
def test_it_ends_with_its_parent(tmp_path, code):
    parent_code = (
        "import subprocess, sys, json, os\n"
        f"p = subprocess.Popen([sys.executable, '-c', {code!r}],\n"
        "    stdin=subprocess.PIPE, stdout=subprocess.PIPE)\n"
        "ask = {'path': 'x', 'options': {}, 'limit_s': 60, 'parent': os.getpid()}\n"
        "p.stdin.write(json.dumps(ask).encode() + b'\\n'); p.stdin.flush()\n"
        "p.stdout.read(8)\n"
        "print(p.pid, flush=True)\n"
        "p.wait()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", parent_code], stdout=subprocess.PIPE, text=True
    ) as parent:
        child = psutil.Process(int(parent.stdout.readline()))
        time.sleep(2.0)  # it imports, then it hangs
        assert child.is_running()
        parent.kill()
    gone, alive = psutil.wait_procs([child], timeout=10)
    for process in alive:
        process.kill()
    assert gone


@pytest.mark.skipif(sys.platform != "linux", reason="asks for the parent's number")
def test_it_ends_when_its_parent_is_gone_before_it_begins(tmp_path):
    with start(tmp_path, SLEEPING, parent=1) as process:
        assert process.wait(20) == 1


def test_it_ends_when_nobody_listens_any_more(tmp_path):
    with start(tmp_path, SLEEPING) as process:
        assert receive(process.stdout)[0] == {"kind": "ready"}
        process.stdin.close()
        assert process.wait(20) == 1


def test_a_timer_ends_it_where_the_interpreter_is_held(tmp_path):
    code = (
        "import napari_mmsubtype.omics.reader_child as r, ctypes\n"
        "import napari_mmsubtype.omics.table as t\n"
        "r._GRACE_S = -58.0\n"
        "def stuck(path, **k):\n"
        "    from napari_mmsubtype.omics.watched_file import open_watched\n"
        "    with open_watched(path):\n"
        "        (ctypes.PyDLL(None).sleep if hasattr(ctypes.PyDLL(None), 'sleep')\n"
        "         else ctypes.PyDLL('kernel32').Sleep)(600)\n"
        "t.read_here = stuck\n"
        "r.main()\n"
    )
    with start(write(tpm_frame(2), tmp_path / "a.csv"), code) as process:
        assert process.wait(30) == 1
