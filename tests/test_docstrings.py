import doctest
import importlib
from pathlib import Path

import pytest

import napari_mmsubtype

PACKAGE = Path(napari_mmsubtype.__file__).parent
SHOWN = sorted(
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)
    for path in PACKAGE.rglob("*.py")
    if ">>> " in path.read_text(encoding="utf-8")
)


@pytest.mark.parametrize("name", SHOWN)
def test_examples_in_docstrings_are_true(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_examples_are_found():
    assert "napari_mmsubtype.evaluation.splits" in SHOWN
