"""Files are written whole or not at all."""

import os
import signal
import subprocess
import sys

import pytest

from napari_mmsubtype.core.whole_file import whole_file

KILLED = """
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file

from napari_mmsubtype.core.whole_file import whole_file

with whole_file(Path(sys.argv[1])) as draft:
    # As libraries do that rename files themselves.
    draft.with_name(".tmpqzcTUP").write_bytes(b"half")
    save_file({"weights": torch.zeros(4)}, draft)
    print("written", flush=True)
    time.sleep(600)
"""


def write(path, content):
    with whole_file(path) as draft:
        draft.write_bytes(content)
    return path


def test_a_file_that_cannot_be_finished_leaves_the_old_one(tmp_path):
    path = write(tmp_path / "deep" / "facts", b"old")

    def fail():
        with whole_file(path) as draft:
            draft.write_bytes(b"new")
            msg = "disk full"
            raise OSError(msg)

    with pytest.raises(OSError, match="disk full"):
        fail()
    assert path.read_bytes() == b"old"
    assert [p.name for p in path.parent.iterdir()] == ["facts"]
    assert write(path, b"new").read_bytes() == b"new"
    assert [p.name for p in path.parent.iterdir()] == ["facts"]


@pytest.mark.skipif(sys.platform == "win32", reason="kills with SIGKILL")
def test_what_a_killed_process_began_is_gone_after_the_next_write(tmp_path):
    path = write(tmp_path / "fold[1].safetensors", b"old")
    process = subprocess.Popen(
        [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "written\n"
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert path.read_bytes() == b"old"
    (begun,) = (p for p in tmp_path.iterdir() if p != path)
    # Whoever goes on started afterwards; this process did not.
    os.utime(begun, (1, 1))
    write(path, b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_what_another_process_is_writing_stays(tmp_path):
    path = tmp_path / "facts"
    with whole_file(path) as other:
        other.write_bytes(b"slow")
        write(path, b"fast")
        assert path.read_bytes() == b"fast"
    assert path.read_bytes() == b"slow"
    assert list(tmp_path.iterdir()) == [path]
