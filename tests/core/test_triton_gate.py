from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from napari_mmsubtype.core.triton_gate import TritonGate, is_llvm_loaded

_GATED = """
import sys
from pathlib import Path
import napari_mmsubtype
from napari_mmsubtype.core.triton_gate import TritonGate
(gate,) = [f for f in sys.meta_path if isinstance(f, TritonGate)]
gate.maps = Path(sys.argv[1])
import torch._dynamo
from torch.utils._triton import has_triton_package
print(has_triton_package())
"""

_IN_A_WINDOW = """
import os
import napari
import numpy as np
from napari_mmsubtype.models.registry import create_encoder
viewer = napari.Viewer()
viewer.add_image(np.zeros((64, 64)))
viewer.screenshot(flash=False)
create_encoder("resnet18")
print("alive", flush=True)
os._exit(0)
"""


def _run(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", code, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )


@pytest.mark.skipif(find_spec("triton") is None, reason="there is no Triton to load")
@pytest.mark.parametrize("driver", ["llvm", "other"])
def test_triton_stays_out_only_beside_another_llvm(tmp_path, driver):
    maps = tmp_path / "maps"
    library = "/usr/lib/libLLVM.so.19" if driver == "llvm" else "/usr/lib/libGL.so.1"
    maps.write_text(f"7f00-7f01 r-xp 00000000 fe:00 1 {library}\n")
    done = _run(_GATED, str(maps))
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == str(driver == "other")


_A_COMMAND = """
import sys
sys.argv = ["napari-mmsubtype", "--version"]
from napari_mmsubtype.cli.main import main
main()
import torch
weight = torch.nn.Parameter(torch.ones(2))
optimizer = torch.optim.AdamW([weight])
weight.sum().backward()
optimizer.step()
print("triton" in sys.modules, weight.detach().lt(1).all().item())
"""


def test_a_command_trains_without_triton():
    done = _run(_A_COMMAND)
    assert done.stdout.split()[-2:] == ["False", "True"], done.stderr
    assert done.stderr == ""


@pytest.mark.gui
def test_an_encoder_of_torchvision_loads_beside_an_open_window():
    assert os.environ.get("DISPLAY")
    done = _run(_IN_A_WINDOW)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "alive"


def test_a_system_without_maps_has_no_llvm(tmp_path):
    assert not is_llvm_loaded(tmp_path / "absent")
    assert TritonGate(tmp_path / "absent").find_spec("triton") is None


_EVERY_MODULE = """
import importlib, pkgutil, sys
import napari_mmsubtype
from napari_mmsubtype.models.lean_torchvision import import_torchvision
heavy = {"timm", "torch._dynamo", "triton"}
import_torchvision()
for found in pkgutil.walk_packages(napari_mmsubtype.__path__, "napari_mmsubtype."):
    if found.name.rpartition(".")[2] not in {"timm_encoder", "foundation"}:
        importlib.import_module(found.name)
        if heavy & set(sys.modules):
            sys.exit(f"{found.name} loads {heavy & set(sys.modules)}")
print("done")
"""


@pytest.mark.slow
def test_only_what_needs_timm_loads_a_compiler():
    # It takes seconds, and may end a process that has a window.
    done = _run(_EVERY_MODULE)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.strip() == "done"


@pytest.mark.parametrize(
    "module", ["workflows.analyze", "workflows.draw_cam", "workflows.patch_umap"]
)
def test_what_panels_run_starts_without_numba(module):
    code = (
        f"import sys, napari_mmsubtype.{module}\n"
        "print({'numba', 'umap'} & set(sys.modules))\n"
    )
    done = _run(code)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "set()"
