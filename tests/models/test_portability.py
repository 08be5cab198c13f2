from __future__ import annotations

import subprocess
import sys

import pytest

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.portability import require_portable


def test_encoders_that_are_code_are_not_portable():
    for name in ("resnet18", "timm:test_vit", "wsinfer"):
        require_portable(name)
    with pytest.raises(ConfigurationError, match=r"'wsinfer:a' is code in a file"):
        require_portable("wsinfer:a")


def test_it_needs_no_network():
    script = (
        "import sys, napari_mmsubtype.models.portability\n"
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False)
    assert done.returncode == 0
