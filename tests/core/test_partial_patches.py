from dataclasses import FrozenInstanceError
from pathlib import Path

import numpy as np
import pytest

from napari_mmsubtype.core.partial_patches import PartialPatches


def test_what_was_told_is_not_changed_by_who_hears_it():
    part = PartialPatches(Path("s"), np.arange(2), np.ones(2, np.uint8), None)
    with pytest.raises(FrozenInstanceError):
        part.index = np.arange(3)
