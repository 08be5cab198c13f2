"""Nuclei and glands placed by hashing a jittered grid."""

import dataclasses
import math

import numpy as np
import pytest

from napari_mmsubtype.core.geometry import Box
from napari_mmsubtype.slides import synthetic_nuclei as nuclei_module
from napari_mmsubtype.slides.synthetic_nuclei import (
    EPITHELIUM,
    GLAND_REACH_PX,
    GRID_STYLES,
    PLEOMORPHIC,
    REACH_PX,
    SMALL_ROUND,
    Blobs,
    gland_nuclei,
    glands,
    grid_nuclei,
    nucleoli,
    stamp,
)


def _blob(y, x, long, short, *, turn=0.0, lobes=0.0, pallor=0.0, amount=1.0):
    values = (y, x, long, short, turn, lobes, pallor, amount)
    return Blobs(*(np.asarray([float(v)]) for v in values))


def _sorted(blobs):
    order = np.lexsort((blobs.x, blobs.y))
    return np.stack([getattr(blobs, f.name)[order] for f in dataclasses.fields(blobs)])


@pytest.mark.parametrize("style", GRID_STYLES, ids=lambda style: str(style.salt))
def test_nuclei_of_a_box_are_those_of_a_larger_box(style):
    large = grid_nuclei(style, 7, (-300, -300, 900, 900))
    inside = (large.y >= 13) & (large.y < 401) & (large.x >= -50) & (large.x < 333)
    small = grid_nuclei(style, 7, (13, -50, 401, 333))
    assert np.array_equal(_sorted(small), _sorted(large.chosen(inside)))


@pytest.mark.parametrize("style", GRID_STYLES, ids=lambda style: str(style.salt))
def test_density_size_and_shape_keep_to_the_style(style):
    found = grid_nuclei(style, 1, (0, 0, 2000, 2000))
    expected = style.share * (2000 / style.pitch_px) ** 2
    assert found.y.size == pytest.approx(expected, rel=0.12)
    radius = np.sqrt(found.long * found.short)
    assert style.radius_px[0] - 1e-9 <= radius.min()
    assert radius.max() <= style.radius_px[1] + 1e-9
    ratio = found.long / found.short
    assert style.elongation[0] - 1e-9 <= ratio.min()
    assert ratio.max() <= style.elongation[1] + 1e-9
    # Lobes push the outline out; nothing may reach beyond what callers pad by.
    assert found.long.max() * 1.15 + 2 <= REACH_PX


def test_basal_like_nuclei_are_larger_and_more_varied_than_lymphocytes():
    basal = grid_nuclei(PLEOMORPHIC, 1, (0, 0, 1500, 1500))
    lymph = grid_nuclei(SMALL_ROUND, 1, (0, 0, 1500, 1500))
    area = {n: math.pi * b.long * b.short for n, b in (("b", basal), ("l", lymph))}
    assert area["b"].mean() > 2 * area["l"].mean()
    variation = {name: a.std() / a.mean() for name, a in area.items()}
    assert variation["b"] > 1.8 * variation["l"]


def test_nucleoli_lie_inside_their_nuclei():
    parents = grid_nuclei(PLEOMORPHIC, 2, (0, 0, 600, 600))
    dots = nucleoli(PLEOMORPHIC, parents)
    assert dots.y.size / parents.y.size == pytest.approx(PLEOMORPHIC.nucleoli, abs=0.1)
    gap = np.hypot(dots.y[:, None] - parents.y, dots.x[:, None] - parents.x)
    assert (gap.min(axis=1) < parents.short[gap.argmin(axis=1)] * 0.36).all()


def test_tubules_are_lined_with_evenly_spaced_nuclei():
    tubules = glands(4, (0, 0, 800, 800))
    lining = gland_nuclei(4, tubules)
    assert tubules.long.max() * 1.35 + 2 <= GLAND_REACH_PX
    gap = np.hypot(lining.y[:, None] - tubules.y, lining.x[:, None] - tubules.x)
    assert (gap.min(axis=1) < tubules.long.max()).all()
    perimeter = 2 * math.pi * 0.76 * np.sqrt(tubules.long * tubules.short).sum()
    expected = perimeter / EPITHELIUM.pitch_px * EPITHELIUM.share
    assert lining.y.size == pytest.approx(expected, rel=0.08)


def test_lining_of_a_tubule_does_not_depend_on_the_others():
    tubules = glands(4, (0, 0, 500, 500))
    first = np.arange(tubules.y.size) == 0
    alone = _sorted(gland_nuclei(4, tubules.chosen(first)))
    among = {tuple(c) for c in _sorted(gland_nuclei(4, tubules)).T}
    assert {tuple(c) for c in alone.T} <= among


@pytest.mark.parametrize("turn", [0.0, 0.6, math.pi / 2])
def test_a_stamped_ellipse_has_its_area_and_direction(turn):
    canvas = np.zeros((81, 81), np.float32)
    stamp(canvas, Box(100, 200, 81, 81), 1, _blob(140, 240, 16, 8, turn=turn))
    assert canvas.sum() == pytest.approx(math.pi * 16 * 8, rel=0.03)
    y, x = np.mgrid[-40:41, -40:41]
    spread_y, spread_x = (canvas * y**2).sum(), (canvas * x**2).sum()
    cross = (canvas * x * y).sum()
    angle = 0.5 * math.atan2(2 * cross, spread_x - spread_y)
    assert math.cos(2 * (angle - turn)) == pytest.approx(1, abs=0.01)


def test_order_of_stamping_does_not_matter():
    blobs = grid_nuclei(PLEOMORPHIC, 2, (0, 0, 200, 200))
    box = Box(0, 0, 200, 200)
    forward, backward = np.zeros((2, 200, 200), np.float32)
    stamp(forward, box, 1, blobs)
    for index in reversed(range(blobs.y.size)):
        stamp(backward, box, 1, blobs.chosen(np.arange(blobs.y.size) == index))
    assert np.array_equal(forward, backward)
    assert forward.any()


def test_parts_outside_the_canvas_are_cut_off():
    whole, part = np.zeros((60, 60), np.float32), np.zeros((20, 30), np.float32)
    blob = _blob(25, 31, 14, 9, turn=0.4, lobes=0.1, pallor=0.3)
    stamp(whole, Box(0, 0, 60, 60), 1, blob)
    stamp(part, Box(20, 10, 20, 30), 1, blob)
    assert np.array_equal(part, whole[20:40, 10:40])


def test_nearness_is_one_at_the_centre_and_zero_on_the_outline():
    canvas = np.full((101, 101), -0.3, np.float32)
    blob = _blob(50, 50, 30, 20)
    stamp(canvas, Box(0, 0, 101, 101), 1, blob, nearness=True)
    assert canvas[50, 50] == pytest.approx(1)
    assert canvas[50, 80] == pytest.approx(0, abs=1e-6)
    assert canvas[70, 50] == pytest.approx(0, abs=1e-6)
    assert canvas.min() == pytest.approx(-0.3)


def test_nothing_to_stamp_changes_nothing():
    empty = Blobs(*(np.zeros(0) for _ in dataclasses.fields(nuclei_module.Blobs)))
    canvas = np.ones((4, 4), np.float32)
    stamp(canvas, Box(0, 0, 4, 4), 1, empty)
    assert (canvas == 1).all()
