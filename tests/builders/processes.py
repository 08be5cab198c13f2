"""Two processes of one run: as threads of this one, or as torchrun starts them."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

from torch.distributed import HashStore

from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.shared_work import SharedWork

if TYPE_CHECKING:
    from collections.abc import Callable

TORCHRUN = [
    *(sys.executable, "-m", "torch.distributed.run"),
    *("--standalone", "--nproc-per-node", "2"),
]
"""Words before a script, or ``-m`` and a module, that start it twice."""

QUICK = """
import sys

import pytest

from builders.crossval import quick_scoring
from napari_mmsubtype.cli.main import main

with pytest.MonkeyPatch.context() as monkeypatch:
    quick_scoring(monkeypatch)
    code = main(sys.argv[1:])
sys.exit(code)
"""
"""The command line, but that scoring is quick."""


def two_processes() -> tuple[SharedWork, SharedWork]:
    """Make the two sides of a run."""
    store = HashStore()
    return SharedWork(store, 0, 2), SharedWork(store, 1, 2)


def run_together(make_job: Callable[[SharedWork], Any]) -> list[Any]:
    """Run the jobs of two processes at the same time; give what each returns."""
    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(lambda work: run_job(make_job(work)), two_processes()))


def environment() -> dict[str, str]:
    """Give processes the import path of this one, and a thread each."""
    tests = str(Path(__file__).parents[1])
    paths = os.pathsep.join([tests, *filter(None, sys.path)])
    return {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
