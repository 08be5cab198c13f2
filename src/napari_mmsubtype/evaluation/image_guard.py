"""Whether a slide's patches resemble those of the training slides."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from napari_mmsubtype.core.trust import TYPICAL, GuardFinding
from napari_mmsubtype.evaluation.oddness import OddnessScale, cross_fitted, fit_scale
from napari_mmsubtype.evaluation.subspace import Subspace, fit_subspace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import ArrayLike, NDArray

PATCHES_PER_SLIDE = 64
"""Patches of a training slide that the guard learns from, evenly spread."""

_ODD_PATCH = 0.99
_NAMED = 3
_STICKS_OUT = 2.0
_ROWS_AT_ONCE = 4096


@dataclass(frozen=True, slots=True, eq=False)
class ImageGuard:
    """What the embeddings of training slides look like.

    Attributes
    ----------
    slides : Subspace
        Of the mean embedding of each slide.
    patches : Subspace
        Of single patches.
    scale : OddnessScale
        Of training slides, each judged without itself, in three distances: of the mean
        embedding along and beside its directions, and of the patches on average.
    odd : float
        Distance that 99 % of the patches of training slides do not exceed.
    usual_share : float
        Share of patches beyond it that 95 % of the training slides do not exceed.
    """

    slides: Subspace
    patches: Subspace
    scale: OddnessScale
    odd: float
    usual_share: float

    def patch_distances(self, embeddings: ArrayLike) -> NDArray[np.float64]:
        """Measure how far single patches are from the training patches.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            Of the patches.

        Returns
        -------
        ndarray of float64, shape (n,)
            Mean squared distance per degree of freedom, about 1 for training patches.
        """
        return _patch_distances(self.patches, np.asarray(embeddings))

    def judge(
        self, embeddings: ArrayLike, rows: ArrayLike | None = None
    ) -> GuardFinding:
        """Compare one slide with the training slides.

        Parameters
        ----------
        embeddings : array_like of float, shape (n, d)
            Of the patches that the call is made from, at least one.
        rows : array_like of int, shape (n,), optional
            Where these patches stand in the store; 0 to n - 1 if left out.

        Returns
        -------
        GuardFinding
            With reasons and the oddest patches unless the slide is typical.
        """
        bag = np.asarray(embeddings)
        single = self.patch_distances(bag)
        distances = _slide_distances(self.slides, bag, single)
        below, verdict = self.scale.rank(distances)
        reasons: list[str] = []
        oddest: tuple[int, ...] = ()
        if verdict != TYPICAL:
            share = float((single > self.odd).mean())
            if share > 1.5 * self.usual_share:
                reasons.append(
                    f"{100 * share:.0f} % of its patches are unlike 99 % of the "
                    "patches of the training slides (usually at most "
                    f"{100 * self.usual_share:.0f} %)"
                )
            if max(self.scale.parts(distances)[:2]) >= _STICKS_OUT:
                reasons.append("its average patch differs from that of training slides")
            places = np.arange(len(bag)) if rows is None else np.asarray(rows)
            order = np.argsort(-single, kind="stable")[:_NAMED]
            oddest = tuple(int(places[i]) for i in order if single[i] > self.odd)
        return GuardFinding(
            modality="image",
            verdict=verdict,
            below=below,
            n=len(self.scale.scores),
            reasons=tuple(reasons),
            patches=oddest,
        )

    def to_arrays(self) -> dict[str, NDArray[np.generic]]:
        """Turn the guard into plain arrays.

        Returns
        -------
        dict of str to ndarray
            `from_arrays` reverses it, to the precision of float32.
        """
        return {
            **{f"slides.{k}": v for k, v in self.slides.to_arrays().items()},
            **{f"patches.{k}": v for k, v in self.patches.to_arrays().items()},
            **self.scale.to_arrays(),
            "odd": np.asarray(self.odd, np.float32),
            "usual_share": np.asarray(self.usual_share, np.float32),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[np.generic]]) -> ImageGuard:
        """Read what `to_arrays` wrote.

        Parameters
        ----------
        arrays : mapping of str to ndarray
            As written.

        Returns
        -------
        ImageGuard
            The same to the precision of float32.

        Raises
        ------
        ValueError
            If an array is missing or does not fit the others.
        """
        slides, patches = (
            Subspace.from_arrays(
                {
                    name.removeprefix(f"{part}."): value
                    for name, value in arrays.items()
                    if name.startswith(f"{part}.")
                }
            )
            for part in ("slides", "patches")
        )
        scale = OddnessScale.from_arrays(arrays)
        try:
            odd, share = (float(arrays[name]) for name in ("odd", "usual_share"))
        except KeyError as err:
            msg = f"the reference lacks {err}"
            raise ValueError(msg) from err
        if slides.mean.shape != patches.mean.shape or len(scale.center) != 3:
            msg = (
                f"the reference of the image does not fit together: slides of "
                f"{len(slides.mean)} features, patches of {len(patches.mean)}, "
                f"{len(scale.center)} distances (expected 3)"
            )
            raise ValueError(msg)
        return cls(slides, patches, scale, odd, share)


def fit_image_guard(bags: Sequence[ArrayLike]) -> ImageGuard:
    """Learn what the slides of training patients look like.

    Parameters
    ----------
    bags : sequence of array_like of float, shape (patches, d)
        Embeddings, one bag per training patient, none empty.

    Returns
    -------
    ImageGuard
        The same for the same bags.

    Raises
    ------
    ValueError
        If there are too few patients, a bag is empty or a value is not finite.
    """
    empty = [i for i, bag in enumerate(bags) if len(np.asarray(bag)) == 0]
    if empty:
        msg = f"every slide needs patches, found {len(empty)} without: {empty[:5]}"
        raise ValueError(msg)
    means = np.stack([np.asarray(bag, np.float64).mean(axis=0) for bag in bags])
    samples = [_spread(np.asarray(bag)) for bag in bags]
    singles: dict[int, NDArray[np.float64]] = {}

    def _judge(
        fit: NDArray[np.int64], others: NDArray[np.int64]
    ) -> NDArray[np.float64]:
        slides = fit_subspace(means[fit])
        patches = fit_subspace(np.concatenate([samples[i] for i in fit]))
        found = []
        for i in others:
            bag = np.asarray(bags[i])
            singles[int(i)] = _patch_distances(patches, bag)
            found.append(_slide_distances(slides, bag, singles[int(i)]))
        return np.stack(found)

    distances = cross_fitted(len(bags), _judge)
    odd = float(np.quantile(np.concatenate([*singles.values()]), _ODD_PATCH))
    shares = [float((single > odd).mean()) for single in singles.values()]
    return ImageGuard(
        slides=fit_subspace(means),
        patches=fit_subspace(np.concatenate(samples)),
        scale=fit_scale(distances),
        odd=odd,
        usual_share=float(np.quantile(shares, 0.95, method="higher")),
    )


def _spread(bag: NDArray[np.floating]) -> NDArray[np.float64]:
    """Take patches at even steps, so that a large slide does not outweigh others."""
    count = min(len(bag), PATCHES_PER_SLIDE)
    rows = np.linspace(0, len(bag) - 1, count).round().astype(np.int64)
    return np.asarray(bag[rows], dtype=np.float64)


def _patch_distances(
    patches: Subspace, bag: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Average the distances along and beside the directions by their sizes."""
    size, width = patches.basis.shape
    mixed = np.empty(len(bag))
    # Stored embeddings are float16; a whole slide of them in float64 is gigabytes.
    for start in range(0, len(bag), _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        inside, beside = patches.distances(bag[rows].astype(np.float64)).T
        mixed[rows] = (size * inside + (width - size) * beside) / width
    return mixed


def _slide_distances(
    slides: Subspace, bag: NDArray[np.floating], single: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Measure a slide: its mean embedding, and its patches by their geometric mean."""
    patches = float(np.exp(np.log(single + 1e-12).mean()))
    return np.append(
        slides.distances(bag.mean(axis=0, dtype=np.float64)[None])[0], patches
    )
