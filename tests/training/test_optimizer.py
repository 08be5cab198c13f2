from __future__ import annotations

import os
import subprocess
import sys

import pytest
import torch

from napari_mmsubtype.training.optimizer import make_optimizer

_IN_A_WINDOW = """
import os
import napari
import numpy as np
import torch
from napari_mmsubtype.training.optimizer import make_optimizer
viewer = napari.Viewer()
viewer.add_image(np.zeros((64, 64)))
viewer.screenshot(flash=False)
make_optimizer(torch.nn.Linear(2, 2).parameters(), 0.1)
print("alive", flush=True)
os._exit(0)
"""


def test_it_is_adamw_with_the_decay_that_was_asked_for():
    layer = torch.nn.Linear(3, 2)
    made = make_optimizer(layer.parameters(), 0.25)
    assert isinstance(made, torch.optim.AdamW)
    assert [group["weight_decay"] for group in made.param_groups] == [0.25]


def test_groups_keep_their_options():
    layer = torch.nn.Linear(3, 2)
    groups = [{"params": [layer.weight], "share": 0.5}, {"params": [layer.bias]}]
    made = make_optimizer(groups, 0.1)
    assert [group.get("share") for group in made.param_groups] == [0.5, None]


@pytest.mark.gui
def test_a_training_begins_beside_an_open_window():
    assert os.environ.get("DISPLAY")
    done = subprocess.run(
        [sys.executable, "-c", _IN_A_WINDOW],
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split()[-1] == "alive"
