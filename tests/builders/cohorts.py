"""Patients for guards: tables with a pattern, and bags of embeddings."""

from __future__ import annotations

import numpy as np


def pattern_rows(n: int, g: int = 60, *, seed: int = 0) -> np.ndarray:
    """Standardized features that follow four shared causes, and noise of their own."""
    mix = np.random.default_rng(99).normal(size=(4, g)) * 0.5
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 4)) @ mix + 0.7 * rng.normal(size=(n, g))


def bags(n: int, dim: int = 12, *, seed: int = 0, patches: int = 30) -> list:
    """Bags of two kinds of patches in mixed shares, one bag per patient."""
    kinds = np.random.default_rng(98).normal(size=(2, dim)) * 2
    rng = np.random.default_rng(seed)
    found = []
    for _ in range(n):
        kind = rng.random(patches) < rng.uniform(0.2, 0.8)
        own = 0.3 * rng.normal(size=dim)
        noise = rng.normal(size=(patches, dim))
        found.append((kinds[kind.astype(int)] + own + noise).astype(np.float16))
    return found
