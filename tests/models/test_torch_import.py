from __future__ import annotations

import gc
import json
import subprocess
import sys
from pathlib import Path

import pytest

from napari_mmsubtype.models import torch_import
from napari_mmsubtype.models.torch_import import import_torch, load_libraries

_LOADED = """
import json, sys
from pathlib import Path
from napari_mmsubtype.models.torch_import import import_torch, load_libraries
maps = Path("/proc/self/maps")
before = "libtorch_cpu" in maps.read_text()
loaded = load_libraries()
seen = ["torch" in sys.modules, "libtorch_cpu" in maps.read_text()]
import_torch()
torch = sys.modules["torch"]
total = float((torch.ones(3, 3) @ torch.ones(3, 3)).sum())
print(json.dumps([before, loaded, seen, total]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="needs a list of what is mapped")
def test_libraries_are_there_before_the_interpreter_imports_torch():
    done = subprocess.run(
        [sys.executable, "-c", _LOADED],
        capture_output=True,
        text=True,
        check=True,
        timeout=200,
    )
    before, loaded, (imported, mapped), total = json.loads(done.stdout)
    assert not before
    assert loaded == ["libtorch_global_deps.so", "libtorch.so"]
    assert not imported
    assert mapped
    assert total == 27


def test_libraries_that_are_not_there_are_left_to_torch(tmp_path):
    assert load_libraries(tmp_path) == []


def test_torch_that_is_not_there_is_an_import_error(monkeypatch):
    def _nothing() -> Path | None:
        return None

    monkeypatch.setattr(torch_import, "_find_folder", _nothing)
    monkeypatch.setitem(sys.modules, "torch", None)
    assert load_libraries() == []
    with pytest.raises(ImportError):
        import_torch()


def test_torch_that_is_there_is_left_alone(monkeypatch):
    import torch

    def _refuse() -> list[str]:
        raise AssertionError

    monkeypatch.setattr(torch_import, "load_libraries", _refuse)
    import_torch()
    assert sys.modules["torch"] is torch


@pytest.mark.parametrize("was_on", [True, False])
def test_the_search_for_cycles_rests_meanwhile(monkeypatch, was_on):
    seen = []
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.setattr(torch_import, "load_libraries", list)
    monkeypatch.setattr(
        torch_import, "import_module", lambda name: seen.append((name, gc.isenabled()))
    )
    before = gc.isenabled()
    try:
        (gc.enable if was_on else gc.disable)()
        import_torch()
        after = gc.isenabled()
    finally:
        (gc.enable if before else gc.disable)()
    assert seen == [("torch", False)]
    assert after == was_on


def test_windows_is_left_to_torch(monkeypatch):
    monkeypatch.setattr(sys, "platform", "win32")
    assert load_libraries() == []
