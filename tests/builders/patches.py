"""Patch sources that need no slide."""

import numpy as np

from napari_mmsubtype.errors import DamagedTileError


class RandomPatches:
    """Reproducible noise patches, uint8, some of them damaged."""

    def __init__(self, count, size_px, damaged=()):
        self.count, self.size_px, self.damaged = count, size_px, set(damaged)
        self.reads = []

    def __len__(self):
        return self.count

    def read(self, index):
        self.reads.append(index)
        if index in self.damaged:
            msg = f"tile of patch {index} is damaged"
            raise DamagedTileError(msg)
        rng = np.random.default_rng(index)
        return rng.integers(0, 256, (self.size_px, self.size_px, 3), np.uint8)
