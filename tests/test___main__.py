"""The package can be run as a module, as torchrun does."""

import subprocess
import sys

from builders.processes import environment
from napari_mmsubtype import __version__


def test_the_module_is_the_command_line():
    told = subprocess.run(
        [sys.executable, "-m", "napari_mmsubtype", "--version"],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (told.returncode, told.stderr) == (0, "")
    assert told.stdout == f"napari-mmsubtype {__version__}\n"
