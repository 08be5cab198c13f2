"""Noise that any pixel can be asked for alone: hashes on integer lattices.

Nothing here keeps state: a value depends on a key and on where it is, so that two
regions which overlap agree to the last bit.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

Floats: TypeAlias = NDArray[np.float32]
Doubles: TypeAlias = NDArray[np.float64]
Ints: TypeAlias = NDArray[np.int64]
Bits: TypeAlias = NDArray[np.uint64]
Window: TypeAlias = tuple[float, float, float, float]

TABLE_PX = 1024
"""Side of the periodic noise tables, in pixels; a power of two."""

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15  # splitmix64 (Steele, Lea & Flood 2014)
_MIX_1 = 0xBF58476D1CE4E5B9
_MIX_2 = 0x94D049BB133111EB
_OCTAVE_TURN = 0.77  # radians between octaves: hides the lattice's axes
_OCTAVE_GAIN = 0.5


def derive_key(*parts: int) -> int:
    """Fold integers into one 64-bit key.

    Parameters
    ----------
    *parts : int
        For example a seed and the number of a noise field.

    Returns
    -------
    int
        From 0 to ``2**64 - 1``.
    """
    key = 0
    for part in parts:
        key = (key + part + _GOLDEN) & _MASK
        key = ((key ^ (key >> 30)) * _MIX_1) & _MASK
        key = ((key ^ (key >> 27)) * _MIX_2) & _MASK
        key ^= key >> 31
    return key


def _mixed(bits: Bits) -> Bits:
    """Scramble every bit of the input into every bit of the output."""
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(_MIX_1)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(_MIX_2)
    return bits ^ (bits >> np.uint64(31))


def hash_cells(key: int, rows: Ints, cols: Ints) -> Bits:
    """Hash lattice cells.

    Parameters
    ----------
    key : int
        From `derive_key`.
    rows, cols : ndarray of int64
        Cell indices, of shapes that broadcast; negative ones are fine.

    Returns
    -------
    ndarray of uint64
        One hash per cell, in the broadcast shape.
    """
    down = _mixed(rows.astype(np.uint64) + np.asarray([key], np.uint64))
    return _mixed(down + cols.astype(np.uint64) * np.asarray([_GOLDEN], np.uint64))


def uniform(bits: Bits, lane: int) -> Doubles:
    """Draw uniform numbers from hashes.

    Parameters
    ----------
    bits : ndarray of uint64
        From `hash_cells`.
    lane : int
        Which of the independent draws of each cell.

    Returns
    -------
    ndarray of float64
        In [0, 1), of the shape of ``bits``.
    """
    offset = np.asarray([(lane * _GOLDEN + _MIX_2) & _MASK], np.uint64)
    mantissa = _mixed(bits + offset) >> np.uint64(11)
    return mantissa.astype(np.float64) * 2.0**-53


def value_noise(
    key: int,
    y: Doubles,
    x: Doubles,
    wavelength_px: float,
    turn: float,
    window: Window | None = None,
) -> Floats:
    """Evaluate smooth noise at points.

    Parameters
    ----------
    key : int
        From `derive_key`.
    y, x : ndarray of float64, shape (n, m)
        Where, in level-0 px.
    wavelength_px : float
        Distance of the lattice points, in level-0 px.
    turn : float
        Rotation of the lattice, in radians.
    window : tuple of float, optional
        Least y, least x, greatest y and greatest x of the points, where that is known.

    Returns
    -------
    ndarray of float32, shape (n, m)
        From -1 to 1, mean near 0. Memory grows with the number of lattice points
        that the points span.
    """
    cosine, sine = math.cos(turn) / wavelength_px, math.sin(turn) / wavelength_px
    u = y * cosine - x * sine
    v = y * sine + x * cosine
    row, col = np.floor(u), np.floor(v)
    across, along = _faded(u - row), _faded(v - col)
    top_y, left_x, bottom_y, right_x = window or _window(y, x)
    # The same sums at the corners of the window: rounding keeps their order.
    down = [b * cosine - a * sine for b in (top_y, bottom_y) for a in (left_x, right_x)]
    right = [
        b * sine + a * cosine for b in (top_y, bottom_y) for a in (left_x, right_x)
    ]
    first_row, first_col = math.floor(min(down)), math.floor(min(right))
    last_row, last_col = math.floor(max(down)) + 1, math.floor(max(right)) + 1
    corners = hash_cells(
        key,
        np.arange(first_row, last_row + 1, dtype=np.int64)[:, None],
        np.arange(first_col, last_col + 1, dtype=np.int64)[None, :],
    )
    values = (2 * uniform(corners, 0) - 1).astype(np.float32).ravel()
    pitch = last_col - first_col + 1
    index = (row.astype(np.int64) - first_row) * pitch
    index += col.astype(np.int64) - first_col
    top = values[index]
    top += along * (values[index + 1] - top)
    index += pitch
    bottom = values[index]
    bottom += along * (values[index + 1] - bottom)
    top += across * (bottom - top)
    return np.asarray(top, np.float32)


def _window(y: Doubles, x: Doubles) -> Window:
    """Find the extent of points."""
    return float(y.min()), float(x.min()), float(y.max()), float(x.max())


def _faded(fraction: Doubles) -> Floats:
    """Ease from 0 to 1 with flat ends (Perlin's quintic)."""
    t = fraction.astype(np.float32)
    eased = t * t * t * (t * (t * np.float32(6) - np.float32(15)) + np.float32(10))
    return np.asarray(eased, np.float32)


def fractal_noise(
    key: int, y: Doubles, x: Doubles, wavelength_px: float, finest_px: float
) -> Floats:
    """Evaluate noise that has detail at every scale down to the finest.

    Parameters
    ----------
    key : int
        From `derive_key`.
    y, x : ndarray of float64, shape (n, m)
        Where, in level-0 px.
    wavelength_px, finest_px : float
        Coarsest and finest wavelength, in level-0 px.

    Returns
    -------
    ndarray of float32, shape (n, m)
        From -2 to 2, mean near 0.
    """
    total = np.zeros(y.shape, np.float32)
    window = _window(y, x)
    gain, octave = 1.0, 0
    while octave == 0 or wavelength_px >= finest_px:
        turn = 0.3 + octave * _OCTAVE_TURN
        noise = value_noise(derive_key(key, octave), y, x, wavelength_px, turn, window)
        total += np.float32(gain) * noise
        gain *= _OCTAVE_GAIN
        wavelength_px /= 2
        octave += 1
    return total


@lru_cache(maxsize=16)
def noise_table(grain_px: int, salt: int = 0) -> Floats:
    """Make a periodic table of noise, to be looked up at integer pixels.

    Parameters
    ----------
    grain_px : int
        Size of a grain in pixels; divides `TABLE_PX`.
    salt : int, default: 0
        Tells apart tables of the same grain.

    Returns
    -------
    ndarray of float32, shape (TABLE_PX, TABLE_PX)
        Mean 0, standard deviation 1, read-only, wraps around at its edges.
    """
    cells = TABLE_PX // grain_px
    index = np.arange(cells, dtype=np.int64)
    bits = hash_cells(derive_key(grain_px, salt), index[:, None], index[None, :])
    table = (uniform(bits, 0) - 0.5).astype(np.float32)
    if grain_px > 1:
        table = _spline_rows(_spline_rows(table, grain_px).T, grain_px).T
    table = (table - table.mean()) / table.std()
    table = np.ascontiguousarray(table, dtype=np.float32)
    table.flags.writeable = False
    return table


def _spline_rows(values: Floats, factor: int) -> Floats:
    """Enlarge periodic rows with the uniform cubic B-spline."""
    t = (np.arange(factor, dtype=np.float32) / np.float32(factor))[None, :, None]
    weights = (
        (1 - t) ** 3 / 6,
        (3 * t**3 - 6 * t**2 + 4) / 6,
        (-3 * t**3 + 3 * t**2 + 3 * t + 1) / 6,
        t**3 / 6,
    )
    rows = sum(
        weight * np.roll(values, 1 - step, axis=0)[:, None, :]
        for step, weight in enumerate(weights)
    )
    return np.asarray(rows, np.float32).reshape(-1, values.shape[1])


def grain(grain_px: int, rows: Ints, cols: Ints, salt: int = 0) -> Floats:
    """Look up a noise table on a grid of pixels.

    Parameters
    ----------
    grain_px : int
        Size of a grain in level-0 px; divides `TABLE_PX`.
    rows, cols : ndarray of int64, shapes (n,) and (m,)
        Level-0 px of the grid.
    salt : int, default: 0
        Tells apart tables of the same grain.

    Returns
    -------
    ndarray of float32, shape (n, m)
        Mean 0, standard deviation 1.
    """
    table = noise_table(grain_px, salt)
    wrap = TABLE_PX - 1
    picked = table[(rows & wrap)[:, None], (cols & wrap)[None, :]]
    return np.asarray(picked, np.float32)
