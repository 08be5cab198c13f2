"""Made-up stained tissue whose stains and concentrations are known."""

import numpy as np

HEMATOXYLIN = (0.65, 0.70, 0.29)
EOSIN = (0.17, 0.85, 0.50)
DAB = (0.268, 0.570, 0.776)


def unit(vectors):
    """Vectors of unit length."""
    vectors = np.asarray(vectors, float)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def render(concentrations, stains):
    """Beer-Lambert on clear glass of intensity 256."""
    rgb = 256 * np.exp(-np.asarray(concentrations) @ np.asarray(stains)) - 1
    return rgb.round().clip(0, 255).astype(np.uint8)


def degrees(a, b):
    """Angles between rows of vectors."""
    return np.degrees(np.arccos(np.clip((unit(a) * unit(b)).sum(-1), -1, 1)))


def stained_tissue(n=30_000, seed=0, stains=(HEMATOXYLIN, EOSIN)):
    """Nuclei mostly of one stain, stroma mostly of the other, and what lies between.

    Gives concentrations (n, 2), stains (2, 3) and pixels (n, 3).
    """
    rng = np.random.default_rng(seed)
    strong, weak = rng.uniform(0.4, 1.8, n), rng.uniform(0.0, 0.02, n)
    mixed = rng.uniform(0.2, 1.2, (n, 2))
    kind = rng.integers(3, size=n)[:, None]
    nuclei = np.stack([strong, weak], 1)
    concentrations = np.select(
        [kind == 0, kind == 1], [nuclei, nuclei[:, ::-1]], default=mixed
    )
    stains = unit(stains)
    return concentrations, stains, render(concentrations, stains)
