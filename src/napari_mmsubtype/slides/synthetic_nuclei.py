"""Nuclei and glands of a synthetic slide, placed by hashing a jittered grid."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.slides.synthetic_fields import (
    BASAL,
    FAT,
    LUMINAL,
    LYMPHOCYTES,
    NECROSIS,
    STROMA,
)
from napari_mmsubtype.slides.synthetic_noise import (
    Doubles,
    Floats,
    Ints,
    derive_key,
    hash_cells,
    uniform,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.core.geometry import Box

REACH_PX = 24
"""No nucleus reaches further than this from its centre, in level-0 px."""

_REACH_BIN_PX = 3
_CRISPNESS = 0.6  # of a nucleus' outline; 1 fades over one pixel


@dataclass(frozen=True, slots=True)
class NucleusStyle:
    """How the nuclei of one cell type look; sizes in level-0 px of 0.5 um.

    Attributes
    ----------
    salt : int
        Tells apart the grids of the styles.
    hosts : tuple of int
        Phenotypes in which these nuclei lie.
    pitch_px : float
        Distance of the grid points.
    share : float
        Share of the grid points that carry a nucleus.
    radius_px : tuple of float
        Smallest and largest mean radius.
    elongation : tuple of float
        Smallest and largest ratio of long to short axis.
    lobes : float
        How far the outline departs from an ellipse; 0 is an ellipse.
    pallor : float
        How much paler than its rim the middle is, 0 to 1.
    amount : tuple of float
        Smallest and largest haematoxylin density.
    nucleoli : float
        Share of the nuclei with a prominent nucleolus.
    """

    salt: int
    hosts: tuple[int, ...]
    pitch_px: float
    share: float
    radius_px: tuple[float, float]
    elongation: tuple[float, float]
    lobes: float
    pallor: float
    amount: tuple[float, float]
    nucleoli: float = 0.0


SPINDLE = NucleusStyle(
    11, (STROMA, LUMINAL), 44, 0.75, (3.2, 4.8), (2.2, 3.6), 0.05, 0.1, (0.8, 1.2)
)
FAT_RIM = NucleusStyle(
    12, (FAT,), 60, 0.35, (2.6, 3.4), (2.2, 3.2), 0.0, 0.0, (0.9, 1.2)
)
EPITHELIUM = NucleusStyle(
    13, (LUMINAL,), 15.5, 0.96, (5.6, 6.8), (1.05, 1.3), 0.04, 0.4, (0.6, 0.85)
)
PLEOMORPHIC = NucleusStyle(
    14, (BASAL,), 20.5, 0.95, (7.0, 11.8), (1.05, 1.6), 0.16, 0.5, (0.7, 1.35), 0.6
)
SMALL_ROUND = NucleusStyle(
    15, (LYMPHOCYTES,), 14.0, 0.92, (5.0, 6.2), (1.0, 1.15), 0.03, 0.08, (1.05, 1.4)
)
INFILTRATE = NucleusStyle(
    16, (STROMA, BASAL), 58, 0.3, (4.9, 5.8), (1.0, 1.15), 0.03, 0.08, (1.05, 1.4)
)
PYKNOTIC = NucleusStyle(
    17, (NECROSIS,), 30, 0.45, (2.2, 4.6), (1.0, 1.5), 0.15, 0.0, (1.2, 2.0)
)
GRID_STYLES = (SPINDLE, FAT_RIM, PLEOMORPHIC, SMALL_ROUND, INFILTRATE, PYKNOTIC)


@dataclass(frozen=True, slots=True)
class Blobs:
    """Ellipses with lobes; positions and sizes in level-0 px.

    Attributes
    ----------
    y, x : ndarray of float64, shape (n,)
        Centres.
    long, short : ndarray of float64, shape (n,)
        Half axes.
    turn : ndarray of float64, shape (n,)
        Direction of the long axis, in radians from x towards y.
    lobes, pallor, amount : ndarray of float64, shape (n,)
        See `NucleusStyle`.
    """

    y: Doubles
    x: Doubles
    long: Doubles
    short: Doubles
    turn: Doubles
    lobes: Doubles
    pallor: Doubles
    amount: Doubles

    def chosen(self, keep: NDArray[np.bool_]) -> Blobs:
        """Keep some.

        Parameters
        ----------
        keep : ndarray of bool, shape (n,)
            Which ones.

        Returns
        -------
        Blobs
            The chosen ones, in order.
        """
        return Blobs(*(getattr(self, name)[keep] for name in self.__slots__))


def _lattice(
    key: int, pitch_px: float, box_px: tuple[float, float, float, float], jitter: float
) -> tuple[NDArray[np.uint64], Doubles, Doubles]:
    """List the jittered grid points of a level-0 box (top, left, bottom, right)."""
    top, left, bottom, right = (math.floor(edge / pitch_px) for edge in box_px)
    rows = np.arange(top - 1, bottom + 2, dtype=np.int64)[:, None]
    cols = np.arange(left - 1, right + 2, dtype=np.int64)[None, :]
    bits = hash_cells(key, rows, cols)
    y = (rows + 0.5 + jitter * (uniform(bits, 0) - 0.5)) * pitch_px
    # Every other row is shifted by half a cell: packed like cells, not like a grid.
    x = (cols + 0.5 * (rows & 1) + jitter * (uniform(bits, 1) - 0.5)) * pitch_px
    inside = (y >= box_px[0]) & (y < box_px[2]) & (x >= box_px[1]) & (x < box_px[3])
    return bits[inside], y[inside], x[inside]


def _dressed(
    style: NucleusStyle, bits: NDArray[np.uint64], y: Doubles, x: Doubles, turn: Doubles
) -> Blobs:
    """Draw size, shape and density of nuclei at given places."""

    def between(lane: int, limits: tuple[float, float]) -> Doubles:
        return limits[0] + uniform(bits, lane) * (limits[1] - limits[0])

    radius, ratio = between(3, style.radius_px), np.sqrt(between(4, style.elongation))
    lobes = style.lobes * (2 * uniform(bits, 5) - 1)
    pallor = style.pallor * (0.5 + uniform(bits, 6))
    return Blobs(
        y,
        x,
        radius * ratio,
        radius / ratio,
        turn,
        lobes,
        pallor,
        between(7, style.amount),
    )


def grid_nuclei(
    style: NucleusStyle, seed: int, box_px: tuple[float, float, float, float]
) -> Blobs:
    """List the nuclei of one style whose centres lie in a box.

    Parameters
    ----------
    style : NucleusStyle
        What they look like and how dense they are.
    seed : int
        Of the slide.
    box_px : tuple of float
        Top, left, bottom and right, in level-0 px.

    Returns
    -------
    Blobs
        Wherever the style could lie; the caller drops those outside its hosts.
    """
    key = derive_key(seed, style.salt)
    bits, y, x = _lattice(key, style.pitch_px, box_px, 0.8)
    there = uniform(bits, 2) < style.share
    bits, y, x = bits[there], y[there], x[there]
    return _dressed(style, bits, y, x, math.pi * (uniform(bits, 8) - 0.5))


def nucleoli(style: NucleusStyle, nuclei: Blobs) -> Blobs:
    """Give some nuclei a dark dot off their centre.

    Parameters
    ----------
    style : NucleusStyle
        Says how many have one.
    nuclei : Blobs
        Nuclei of that style.

    Returns
    -------
    Blobs
        One small dot for each nucleus that has one.
    """
    # The size of a nucleus is as good a random number as any, and stays with it.
    draw = np.modf(nuclei.long * 977.0)[0]
    parents = nuclei.chosen(draw < style.nucleoli)
    angle = 2 * math.pi * np.modf(parents.short * 773.0)[0]
    offset = 0.35 * parents.short
    flat = np.zeros_like(offset)
    return Blobs(
        parents.y + offset * np.sin(angle),
        parents.x + offset * np.cos(angle),
        flat + 2.1,
        flat + 1.8,
        flat,
        flat,
        flat,
        parents.amount * 1.25,
    )


GLAND_PITCH_PX = 104.0
GLAND_REACH_PX = 98


def glands(seed: int, box_px: tuple[float, float, float, float]) -> Blobs:
    """List the tubules whose centres lie in a box.

    Parameters
    ----------
    seed : int
        Of the slide.
    box_px : tuple of float
        Top, left, bottom and right, in level-0 px.

    Returns
    -------
    Blobs
        Outer border of the epithelium of each tubule.
    """
    bits, y, x = _lattice(derive_key(seed, 21), GLAND_PITCH_PX, box_px, 0.45)
    style = NucleusStyle(
        21, (LUMINAL,), GLAND_PITCH_PX, 1, (30, 47), (1, 2.1), 0.10, 0, (1, 1)
    )
    return _dressed(style, bits, y, x, math.pi * uniform(bits, 8))


def gland_nuclei(seed: int, tubules: Blobs) -> Blobs:
    """Line tubules with one row of nuclei.

    Parameters
    ----------
    seed : int
        Of the slide.
    tubules : Blobs
        From `glands`.

    Returns
    -------
    Blobs
        Round, uniform nuclei towards the base of the epithelium.
    """
    most = 26
    place = np.arange(most, dtype=np.int64)[None, :]
    # Keyed by where the tubule is, never by its place in the list.
    rows = np.floor(tubules.y * 8).astype(np.int64)[:, None]
    cols = np.floor(tubules.x * 8).astype(np.int64)[:, None]
    bits = hash_cells(derive_key(seed, EPITHELIUM.salt), rows, cols * 32 + place)
    ring = 0.76
    mean_radius = np.sqrt(tubules.long * tubules.short)[:, None]
    count = np.floor(2 * math.pi * ring * mean_radius / EPITHELIUM.pitch_px)
    there = (place < count) & (uniform(bits, 2) < EPITHELIUM.share)
    angle = (
        2 * math.pi * (place + 0.55 * (uniform(bits, 0) - 0.5)) / np.maximum(count, 1)
    )
    depth = ring + 0.14 * (uniform(bits, 1) - 0.5)
    along = depth * tubules.long[:, None] * np.cos(angle)
    across = depth * tubules.short[:, None] * np.sin(angle)
    cosine, sine = np.cos(tubules.turn)[:, None], np.sin(tubules.turn)[:, None]
    x = tubules.x[:, None] + along * cosine - across * sine
    y = tubules.y[:, None] + along * sine + across * cosine
    turn = np.arctan2(y - tubules.y[:, None], x - tubules.x[:, None])
    return _dressed(EPITHELIUM, bits[there], y[there], x[there], turn[there])


def stamp(
    canvas: Floats,
    box: Box,
    step_px: float,
    blobs: Blobs,
    *,
    nearness: bool = False,
) -> None:
    """Draw blobs into a canvas, the darker one on top.

    Parameters
    ----------
    canvas : ndarray of float32, shape (height, width)
        Changed in place; the maximum with what is there, so order does not matter.
    box : Box
        What the canvas covers, in steps.
    step_px : float
        Level-0 px per pixel of the canvas.
    blobs : Blobs
        What to draw; parts outside the canvas are cut off.
    nearness : bool, default: False
        Draw 1 at the centre falling to 0 at the outline and below 0 outside,
        instead of densities with a crisp outline.
    """
    spread = 1.35 if nearness else 1.15
    reach = np.ceil(blobs.long * spread / step_px).astype(np.int64) + 1
    # Small blobs are not drawn on the large patch that the largest one needs.
    bins = -(-reach // _REACH_BIN_PX) * _REACH_BIN_PX
    for size in np.unique(bins):
        chosen = blobs.chosen(bins == size)
        rows, cols, value = _patches(chosen, int(size), step_px, nearness=nearness)
        rows -= box.y
        cols -= box.x
        inside = ((rows >= 0) & (rows < box.height))[:, :, None]
        inside = inside & ((cols >= 0) & (cols < box.width))[:, None, :]
        if not nearness:
            inside &= value > 0
        index = (rows * box.width)[:, :, None] + cols[:, None, :]
        np.maximum.at(canvas.reshape(-1), index[inside], value[inside])


def _patches(
    blobs: Blobs, reach: int, step_px: float, *, nearness: bool
) -> tuple[Ints, Ints, Floats]:
    """Draw every blob on a patch of its own; give rows, columns and values."""
    offset = np.arange(-reach, reach + 1)
    # A pixel's centre, not its corner, is where it is sampled.
    y = (blobs.y + 0.5) / step_px - 0.5
    x = (blobs.x + 0.5) / step_px - 0.5
    row, col = np.rint(y), np.rint(x)
    dy = (offset[None, :] + (row - y)[:, None]).astype(np.float32)[:, :, None]
    dx = (offset[None, :] + (col - x)[:, None]).astype(np.float32)[:, None, :]

    def column(values: Doubles) -> Floats:
        return values.astype(np.float32)[:, None, None]

    cosine, sine = np.cos(blobs.turn) * step_px, np.sin(blobs.turn) * step_px
    u = dx * column(cosine / blobs.long) + dy * column(sine / blobs.long)
    v = dy * column(cosine / blobs.short) - dx * column(sine / blobs.short)
    uu, vv = u * u, v * v
    squared = np.maximum(uu + vv + column(blobs.lobes) * u * (uu - 3 * vv), 0)
    value = 1 - np.sqrt(squared)
    if nearness:
        np.maximum(value, np.float32(-0.3), out=value)
    else:
        size = column(np.sqrt(blobs.long * blobs.short) * (_CRISPNESS / step_px))
        cover = np.clip(value * size + np.float32(0.5), 0, 1)
        body = 1 - column(blobs.pallor) * np.clip(1 - squared, 0, 1)
        value = cover * body * column(blobs.amount)
    rows = row.astype(np.int64)[:, None] + offset[None, :]
    cols = col.astype(np.int64)[:, None] + offset[None, :]
    return rows, cols, value
