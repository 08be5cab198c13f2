from __future__ import annotations

import os
import subprocess
import sys

import pytest

BEGIN = (
    "import sys, time\n"
    "from napari_mmsubtype.core.child_process import (\n"
    "    end_with_parent, private_stdout, step_back)\n"
)


def start(code: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", BEGIN + code],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def test_what_a_library_prints_does_not_reach_the_answer():
    with start(
        "answer = private_stdout()\n"
        "print('chatter', flush=True)\n"
        "answer.write(b'answer')\n"
        "answer.close()\n"
    ) as process:
        said, chatter = process.communicate(timeout=60)
    assert said == b"answer"
    assert chatter.strip() == b"chatter"


def test_it_ends_when_nobody_holds_its_stdin():
    with start(
        f"end_with_parent({os.getpid()})\nprint('up', flush=True)\ntime.sleep(600)\n"
    ) as process:
        assert process.stdout.readline().strip() == b"up"
        process.stdin.close()
        assert process.wait(30) == 1


@pytest.mark.skipif(sys.platform != "linux", reason="Linux tells who the parent is")
def test_it_does_not_begin_without_its_parent():
    with start("end_with_parent(1)\nprint('up')\n") as process:
        said, _ = process.communicate(timeout=60)
    assert said == b""
    assert process.returncode == 1


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no nice value")
def test_it_steps_back_behind_who_started_it():
    with start("import os; step_back(); print(os.nice(0))") as process:
        said, _ = process.communicate(timeout=60)
    assert int(said) == min(os.nice(0) + 5, 19)
