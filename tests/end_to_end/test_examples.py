"""The examples run as their readers would run them, and the README's code with them."""

import csv
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from napari_mmsubtype.results.store import open_result

TOP = Path(__file__).resolve().parents[2]
# A source tree on the path is not an installed plugin: give its manifest to napari.
BOOT = """
import json, runpy, sys
from npe2 import PluginManager
manager = PluginManager.instance()
manager.discover()
if "napari-mmsubtype" not in manager:
    from npe2 import PluginManifest
    manager.register(PluginManifest.from_file({manifest!r}))
sys.argv = {words!r}
runpy.run_path(sys.argv[0], run_name="__main__")
qt = [m for m in ("qtpy", "PySide6", "PyQt6", "PyQt5") if m in sys.modules]
print(json.dumps(qt))
"""


def run_example(name, *words, cwd):
    script = BOOT.format(
        manifest=str(TOP / "napari.yaml"),
        words=[str(TOP / "examples" / name), *(str(word) for word in words)],
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    *lines, qt = done.stdout.splitlines()
    assert json.loads(qt) == []
    return lines


def test_tables_are_prepared(tmp_path):
    lines = run_example("prepare_tables.py", "--out", tmp_path, cwd=tmp_path)
    assert "20 test patients, 150 features" in lines
    assert lines[-1].startswith("tokens: ")
    assert "rest" in lines[-1]
    kept = {path.name for path in (tmp_path / "preprocessing").iterdir()}
    assert kept == {"rna.json", "rna.parquet", "rna.reference.parquet"}


def test_a_model_is_shared(tmp_path):
    lines = run_example("share_model.py", "--out", tmp_path, cwd=tmp_path)
    assert lines[-2:] == ["library: demo, random-model", "the same model: True"]
    assert "license: BSD-3-Clause" in lines
    assert (tmp_path / "library" / "random-model" / "origin.json").is_file()
    card = (tmp_path / "random-model" / "README.md").read_text()
    assert "it knows nothing" in card


def test_one_patient(tmp_path):
    lines = run_example("analyze_one_patient.py", "--out", tmp_path, cwd=tmp_path)
    (store,) = tmp_path.glob("*.mmsubtype.zarr")
    result = open_result(store)
    assert result.status == "complete"
    assert {"image", "rna", "image+rna+methylation+clinical"} <= set(
        result.prediction.subsets
    )
    assert any(line.endswith(f": {result.prediction.label}") for line in lines)


def test_batch_through_napari_without_a_window(tmp_path):
    slides = ["synthetic:seed=1,size=1024", "/no/such/slide.svs"]
    lines = run_example("batch_napari.py", *slides, "--out", tmp_path, cwd=tmp_path)
    with (tmp_path / "calls.csv").open(newline="") as file:
        good, bad = csv.DictReader(file)
    result = open_result(good["store"])
    assert good["label"] == result.prediction.label
    assert "/no/such/slide.svs" in bad["error"]
    assert lines[0].startswith("synthetic:seed=1")
    with Image.open(tmp_path / "000.png") as picture:
        assert len(picture.convert("RGB").getcolors(2**24)) > 1000


@pytest.mark.parametrize(
    "code",
    re.findall(
        r"```python\n(.*?)```", (TOP / "README.md").read_text("utf-8"), re.DOTALL
    ),
)
def test_code_of_the_readme_runs(code, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split()[0] in {"Luminal", "Basal/HER2"}
