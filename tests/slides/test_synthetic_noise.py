"""Noise that any pixel can be asked for alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from napari_mmsubtype.slides.synthetic_noise import (
    TABLE_PX,
    derive_key,
    fractal_noise,
    grain,
    hash_cells,
    noise_table,
    uniform,
    value_noise,
)


def _splitmix64(state: int) -> int:
    mask = (1 << 64) - 1
    state = (state + 0x9E3779B97F4A7C15) & mask
    state = ((state ^ (state >> 30)) * 0xBF58476D1CE4E5B9) & mask
    state = ((state ^ (state >> 27)) * 0x94D049BB133111EB) & mask
    return state ^ (state >> 31)


def test_key_of_nothing_but_zero_is_the_first_number_of_splitmix64():
    assert derive_key(0) == 0xE220A8397B1DCDAF  # published first output for seed 0
    assert derive_key(5, 7) == _splitmix64(_splitmix64(5) + 7)


def test_keys_depend_on_the_order_of_their_parts():
    assert derive_key(1, 2) != derive_key(2, 1)


@given(
    row=st.integers(-(10**6), 10**6),
    col=st.integers(-(10**6), 10**6),
    more=st.integers(0, 5),
)
def test_hash_of_a_cell_does_not_depend_on_its_neighbours(row, col, more):
    rows = np.arange(row - more, row + 3)[:, None]
    cols = np.arange(col - more, col + 4)[None, :]
    alone = hash_cells(9, np.asarray([[row]]), np.asarray([[col]]))
    assert hash_cells(9, rows, cols)[more, more] == alone[0, 0]


def test_draws_are_uniform_and_independent_between_lanes_and_axes():
    bits = hash_cells(1, np.arange(300)[:, None], np.arange(300)[None, :])
    first, second = uniform(bits, 0), uniform(bits, 1)
    counts = np.histogram(first, bins=20, range=(0, 1))[0]
    expected = first.size / 20
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 43.8  # 0.1 % point of 19 degrees of freedom
    assert first.min() >= 0
    assert first.max() < 1
    for other in (second, np.roll(first, 1, 0), np.roll(first, 1, 1)):
        assert abs(np.corrcoef(first.ravel(), other.ravel())[0, 1]) < 0.015


@given(y=st.floats(-1e5, 1e5), x=st.floats(-1e5, 1e5), turn=st.floats(0, 3))
def test_value_noise_at_a_point_does_not_depend_on_the_region(y, x, turn):
    alone = value_noise(3, np.asarray([[y]]), np.asarray([[x]]), 50.0, turn)
    offsets = np.asarray([[-333.0, -20.0, 0.0, 71.0, 512.0]])
    among = value_noise(3, y + offsets, x - offsets, 50.0, turn)
    assert among[0, 2] == alone[0, 0]


def test_value_noise_is_smooth_and_bounded():
    x = np.linspace(0, 1000, 20001)[None, :]
    noise = value_noise(3, np.zeros_like(x), x, 100.0, 0.4)
    assert np.abs(noise).max() <= 1
    # The quintic rises at most 15/8 per cell over a step of 2, along two axes.
    assert np.abs(np.diff(noise)).max() < 2 * 2 * 15 / 8 * (0.05 / 100)


def test_fractal_noise_adds_octaves_down_to_the_finest():
    y, x = np.mgrid[0:200.0, 0:200.0]
    one = fractal_noise(4, y, x, 64.0, 64.0)
    assert np.array_equal(one, fractal_noise(4, y, x, 64.0, 33.0))
    assert not np.array_equal(one, fractal_noise(4, y, x, 64.0, 32.0))


@pytest.mark.parametrize("size", [1, 2, 8, 64])
def test_tables_are_standardized_and_wrap_without_a_seam(size):
    table = noise_table(size)
    assert table.shape == (TABLE_PX, TABLE_PX)
    assert table.mean() == pytest.approx(0, abs=1e-4)
    assert table.std() == pytest.approx(1, abs=1e-4)
    inside = np.abs(np.diff(table, axis=0)).mean()
    seam = np.abs(table[0] - table[-1]).mean()
    assert seam == pytest.approx(inside, rel=0.5)


def test_grain_looks_up_negative_and_large_pixels():
    rows, cols = np.asarray([-1, 5, TABLE_PX + 5]), np.asarray([0, 10**9])
    picked = grain(4, rows, cols)
    table = noise_table(4)
    assert picked[0, 0] == table[-1, 0]
    assert np.array_equal(picked[1], picked[2])
    assert picked[1, 1] == table[5, 10**9 % TABLE_PX]
