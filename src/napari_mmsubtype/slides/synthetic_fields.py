"""Where a synthetic slide has which tissue: smooth fields, thresholds, phenotypes."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

import numpy as np

from napari_mmsubtype.slides.synthetic_noise import (
    Doubles,
    Floats,
    derive_key,
    fractal_noise,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

BACKGROUND: Final = 0
STROMA: Final = 1
FAT: Final = 2
LUMINAL: Final = 3
BASAL: Final = 4
NECROSIS: Final = 5
LYMPHOCYTES: Final = 6

PHENOTYPES: Final = MappingProxyType(
    {
        "background": BACKGROUND,
        "stroma": STROMA,
        "fat": FAT,
        "luminal": LUMINAL,
        "basal": BASAL,
        "necrosis": NECROSIS,
        "lymphocytes": LYMPHOCYTES,
    }
)
"""Codes of the ground truth by name; ``luminal`` and ``basal`` are the tumour."""

TISSUE_SHARE = 0.58  # of the slide
TUMOR_SHARE = 0.5  # of the tissue
NECROSIS_SHARE = 0.12  # of the basal-like tumour, at most
LYMPHOCYTE_SHARE = 0.12  # of what is not tumour
FAT_SHARE = 0.25  # of what is not tumour

_FINEST_PX = 90.0
_SAMPLES = 168  # per axis, for the thresholds
_OUTLINE, _TUMOR, _BASAL, _NECROSIS, _LYMPH, _FAT, _WARP = range(7)


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where each field is cut, and how soft the cut is.

    Attributes
    ----------
    outline, tumor, basal, necrosis, lymphocytes, fat : float
        A field above its threshold has the tissue.
    """

    outline: float
    tumor: float
    basal: float
    necrosis: float
    lymphocytes: float
    fat: float


@dataclass(frozen=True, slots=True)
class TissueFields:
    """The fields of one slide.

    Attributes
    ----------
    seed : int
        Everything random about the slide follows from it.
    shape : tuple of int
        Height and width in level-0 px.
    basal : float
        Share of the tumour area that is basal-like, 0 to 1.
    """

    seed: int
    shape: tuple[int, int]
    basal: float

    @property
    def region_px(self) -> float:
        """Typical extent of one phenotype, in level-0 px."""
        return min(max(math.sqrt(self.shape[0] * self.shape[1]) / 3, 500.0), 6000.0)

    def _noise(
        self, field: int, y: Doubles, x: Doubles, wavelength_px: float
    ) -> Floats:
        key = derive_key(self.seed, field)
        return fractal_noise(key, y, x, wavelength_px, _FINEST_PX)

    def outline(self, y: Doubles, x: Doubles) -> Floats:
        """Evaluate the field that is high in tissue and low on glass.

        Parameters
        ----------
        y, x : ndarray of float64, shape (n, m)
            Where, in level-0 px.

        Returns
        -------
        ndarray of float32, shape (n, m)
            Unitless.
        """
        height, width = self.shape
        wavelength_px = 0.4 * math.sqrt(height * width)
        noise = self._noise(_OUTLINE, y, x, wavelength_px)
        # Tissue keeps clear of the slide's edge, as a technician would mount it.
        v = np.abs(2 * (y + 0.5) / height - 1)
        u = np.abs(2 * (x + 0.5) / width - 1)
        edge = (v**6 + u**6).astype(np.float32)
        return np.asarray(noise - np.float32(1.6) * edge, np.float32)

    def tumor(self, y: Doubles, x: Doubles, outline: Floats) -> Floats:
        """Evaluate the field that is high in tumour.

        Parameters
        ----------
        y, x : ndarray of float64, shape (n, m)
            Where, in level-0 px.
        outline : ndarray of float32, shape (n, m)
            The outline field there: tumour prefers the depth of the tissue.

        Returns
        -------
        ndarray of float32, shape (n, m)
            Unitless.
        """
        noise = self._noise(_TUMOR, y, x, self.region_px)
        return noise + np.float32(0.35) * outline

    def basal_like(self, y: Doubles, x: Doubles) -> Floats:
        """Evaluate the field that tells basal-like from luminal-like tumour.

        Parameters
        ----------
        y, x : ndarray of float64, shape (n, m)
            Where, in level-0 px.

        Returns
        -------
        ndarray of float32, shape (n, m)
            Unitless; high is basal-like.
        """
        return self._noise(_BASAL, y, x, 0.8 * self.region_px)

    def necrosis(self, y: Doubles, x: Doubles) -> Floats:
        """Evaluate the field that is high where basal-like tumour is necrotic.

        Parameters
        ----------
        y, x : ndarray of float64, shape (n, m)
            Where, in level-0 px.

        Returns
        -------
        ndarray of float32, shape (n, m)
            Unitless.
        """
        return self._noise(_NECROSIS, y, x, 0.5 * self.region_px)

    def lymphocytes(self, y: Doubles, x: Doubles, margin: Floats) -> Floats:
        """Evaluate the field that is high in lymphocyte aggregates.

        Parameters
        ----------
        y, x : ndarray of float64, shape (n, m)
            Where, in level-0 px.
        margin : ndarray of float32, shape (n, m)
            Tumour field minus its threshold: aggregates sit along the margin.

        Returns
        -------
        ndarray of float32, shape (n, m)
            Unitless.
        """
        noise = self._noise(_LYMPH, y, x, 420.0)
        away = np.abs(margin + np.float32(0.25))
        return np.asarray(noise - np.float32(1.2) * away, np.float32)

    def fat(self, y: Doubles, x: Doubles, margin: Floats) -> Floats:
        """Evaluate the field that is high in fat.

        Parameters
        ----------
        y, x : ndarray of float64, shape (n, m)
            Where, in level-0 px.
        margin : ndarray of float32, shape (n, m)
            Tumour field minus its threshold: fat lies away from tumour.

        Returns
        -------
        ndarray of float32, shape (n, m)
            Unitless.
        """
        noise = self._noise(_FAT, y, x, 0.7 * self.region_px)
        return noise - np.float32(0.8) * margin

    def warp(self, y: Doubles, x: Doubles) -> Floats:
        """Evaluate how far fibres bend sideways.

        Parameters
        ----------
        y, x : ndarray of float64, shape (n, m)
            Where, in level-0 px.

        Returns
        -------
        ndarray of float32, shape (n, m)
            In level-0 px.
        """
        slow = fractal_noise(derive_key(self.seed, _WARP, 0), y, x, 900.0, 800.0)
        quick = fractal_noise(derive_key(self.seed, _WARP, 1), y, x, 160.0, 80.0)
        return np.float32(260) * slow + np.float32(26) * quick


@lru_cache(maxsize=64)
def thresholds(fields: TissueFields) -> Thresholds:
    """Choose the cuts so that every tissue has its share of the slide.

    Parameters
    ----------
    fields : TissueFields
        The slide; the work does not depend on its size.

    Returns
    -------
    Thresholds
        Found on a regular grid of sample points; cached.
    """
    height, width = fields.shape
    steps = (np.arange(_SAMPLES) + 0.5) / _SAMPLES
    y, x = np.meshgrid(steps * height - 0.5, steps * width - 0.5, indexing="ij")
    outline_field = fields.outline(y, x)
    outline = float(np.quantile(outline_field, 1 - TISSUE_SHARE))
    tissue = outline_field > outline

    tumor_field = fields.tumor(y, x, outline_field)
    tumor = float(np.quantile(tumor_field[tissue], 1 - TUMOR_SHARE))
    is_tumor = tissue & (tumor_field > tumor)
    is_other = tissue & ~is_tumor

    necrosis_field = fields.necrosis(y, x)[is_tumor]
    necrosis = float(np.quantile(necrosis_field, 1 - NECROSIS_SHARE))
    basal_field = fields.basal_like(y, x)[is_tumor]
    basal = _basal_cut(basal_field, necrosis_field > necrosis, fields.basal)

    margin = tumor_field - np.float32(tumor)
    lymph_field = fields.lymphocytes(y, x, margin)[is_other]
    lymphocytes = float(np.quantile(lymph_field, 1 - LYMPHOCYTE_SHARE))
    fat_field = fields.fat(y, x, margin)[is_other]
    fat = float(np.quantile(fat_field, 1 - FAT_SHARE))
    return Thresholds(outline, tumor, basal, necrosis, lymphocytes, fat)


def _basal_cut(field: Floats, necrotic: NDArray[np.bool_], share: float) -> float:
    """Find the cut that gives basal / (basal + luminal) = share, without necrosis."""
    order = np.argsort(-field, kind="stable")
    dead = necrotic[order]
    basal = np.cumsum(~dead)
    # Luminal-like tumour never dies, so all that is left after the cut counts.
    luminal = np.arange(field.size - 1, -1, -1)
    reached = basal / np.maximum(basal + luminal, 1)
    count = int(np.searchsorted(reached, share))
    if share <= 0:
        return math.inf
    if share >= 1 or count >= field.size:
        return -math.inf
    return float(field[order[count]])
