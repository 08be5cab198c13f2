from __future__ import annotations

import os
import subprocess
import sys
from importlib.util import find_spec

import pytest

from napari_mmsubtype.models.triton_shield import is_llvm_loaded, shield_from_triton

_SHIELDED = """
import sys
from pathlib import Path
from napari_mmsubtype.models.triton_shield import shield_from_triton
assert shield_from_triton(Path(sys.argv[1])) is (sys.argv[2] == "llvm")
assert sys.modules.get("triton", "absent") is not None
import torchvision
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
    done = _run(_SHIELDED, str(maps), driver)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[-1] == str(driver == "other")


@pytest.mark.gui
def test_an_encoder_of_torchvision_loads_beside_an_open_window():
    assert os.environ.get("DISPLAY")
    done = _run(_IN_A_WINDOW)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "alive"


def test_a_system_without_maps_has_no_llvm(tmp_path):
    assert not is_llvm_loaded(tmp_path / "absent")
    assert not shield_from_triton(tmp_path / "absent")


# The registry imports these behind the shield, once an encoder is asked for.
_ENCODERS = (
    "dinov2_weights",
    "foundation",
    "resnet",
    "resvit",
    "seresnet",
    "squeezenet",
    "timm_encoder",
    "vit",
)
_EVERY_OTHER_MODULE = f"""
import importlib, pkgutil, sys
import napari_mmsubtype
heavy = {{"torchvision", "timm", "torch._dynamo", "triton"}}
for found in pkgutil.walk_packages(napari_mmsubtype.__path__, "napari_mmsubtype."):
    if found.name.rpartition(".")[2] not in {_ENCODERS!r}:
        importlib.import_module(found.name)
        if heavy & set(sys.modules):
            sys.exit(f"{{found.name}} loads {{heavy & set(sys.modules)}}")
print("done")
"""


@pytest.mark.slow
def test_only_encoders_load_what_loads_triton():
    # Beside an open window this would end the process before any encoder is chosen.
    done = _run(_EVERY_OTHER_MODULE)
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
