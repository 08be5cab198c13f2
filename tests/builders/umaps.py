"""A stand-in for umap-learn, which takes many seconds to load and compile."""

from __future__ import annotations

import importlib.util
import sys

STAND_IN = '''
import time
import numpy as np

WAIT_S = {wait!r}
FAIL = {fail!r}

class UMAP:
    """Keeps the first two components, and says how it was asked."""

    def __init__(self, **options):
        self.options = options

    def fit(self, rows):
        time.sleep(WAIT_S)
        if FAIL:
            raise MemoryError(FAIL)
        self.embedding_ = self.transform(rows)
        return self

    def transform(self, rows):
        return np.ascontiguousarray(rows[:, :2]) * (1 + self.options["random_state"])
'''


def use_stand_in(folder, monkeypatch, *, wait=0.0, fail=""):
    """Let this process, and those that it starts, find the stand-in."""
    path = folder / "umap.py"
    path.write_text(STAND_IN.format(wait=wait, fail=fail))
    monkeypatch.syspath_prepend(folder)
    spec = importlib.util.spec_from_file_location("umap", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setitem(sys.modules, "umap", module)
    return module
