"""Test whether a map tells what the model looks at: at the level of patches."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy.stats import spearmanr

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.inference.cam import map_embedding
from napari_mmsubtype.inference.fuse import patch_gradients
from napari_mmsubtype.models.parts_downward import parts_downward

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import nn

    from napari_mmsubtype.inference.fuse import CaseTensors
    from napari_mmsubtype.inference.replay import ReplayedCase

STEPS = 20
"""Points of a curve besides the first."""
ORDERS = 10
"""Random orders that the one by evidence is held against."""
DRAWS = 10
"""Random models. Where embeddings vary mostly along one line, the map of any model runs
along it, up or down: one draw tells little, the mean of several does."""


@dataclass(frozen=True, slots=True, eq=False)
class PatchCurve:
    """How a call changes while patches are taken away or added.

    Attributes
    ----------
    share : ndarray of float64, shape (k,)
        Part of the patches taken away, or added: 0 to 1.
    by_evidence : ndarray of float64, shape (k,)
        Margin in logits where those with most evidence for the class go first, by
        the map that was drawn.
    at_random : ndarray of float64, shape (orders, k)
        The same for random orders.
    """

    share: NDArray[np.float64]
    by_evidence: NDArray[np.float64]
    at_random: NDArray[np.float64]

    @property
    def area(self) -> float:
        """Area under the curve by evidence, in logits."""
        return _area(self.by_evidence, self.share)

    @property
    def random_areas(self) -> NDArray[np.float64]:
        """Area under the curve of each random order, shape (orders,)."""
        return np.array([_area(curve, self.share) for curve in self.at_random])


@dataclass(frozen=True, slots=True)
class RandomizedMap:
    """A map after part of the model was drawn anew, again and again.

    Attributes
    ----------
    layer : str
        The last part that was drawn anew; those before stay so.
    correlations : tuple of float
        Spearman's rank correlation with the map of the trained model over patches, of
        each draw; 0 where the map has become constant.
    """

    layer: str
    correlations: tuple[float, ...]

    @property
    def mean(self) -> float:
        """Mean correlation: near 0 where the map tells of what was trained."""
        return float(np.mean(self.correlations))


def drawn_map(replayed: ReplayedCase) -> NDArray[np.float64]:
    """Sum the map in the store over each patch, for the class called.

    Parameters
    ----------
    replayed : ReplayedCase
        The analysis.

    Returns
    -------
    ndarray of float64, shape (k,)
        Against the mean of the other classes, by the method of the analysis.
    """
    sums = replayed.result.map_sums[replayed.used]
    return _against_others(sums, called(replayed))


def redrawn_map(replayed: ReplayedCase, case: CaseTensors) -> NDArray[np.float64]:
    """Draw the map that a changed model would have, summed over each patch.

    Parameters
    ----------
    replayed : ReplayedCase
        The analysis.
    case : CaseTensors
        The changed model with its tables.

    Returns
    -------
    ndarray of float64, shape (k,)
        As `drawn_map`; of Grad-CAM++ it is that divided by the cells of a patch.
    """
    embeddings = torch.from_numpy(replayed.embeddings.astype(np.float32))
    if replayed.exact:
        with torch.inference_mode():
            output = case.forward(embeddings[None], case.available)
        values = output.evidence[0, :, : case.classes]
    else:
        gradients = torch.from_numpy(patch_gradients(case, replayed.embeddings))
        # Models see the mean cell of a patch only, so one gradient holds for all its
        # cells. By every method the map of that mean cell then is what the map of all
        # cells sums to, up to their number: the encoder need not run again.
        cell = embeddings[:, :, None, None]
        values = map_embedding(cell, gradients, replayed.result.cam_method)[..., 0, 0]
    return _against_others(values.double().numpy(), called(replayed))


def called(replayed: ReplayedCase) -> int:
    """Give the index of the class called.

    Parameters
    ----------
    replayed : ReplayedCase
        The analysis.

    Returns
    -------
    int
        Of the largest logit.
    """
    prediction = replayed.result.prediction
    logits = () if prediction is None else prediction.call.logits
    return int(np.argmax(logits))


def curve_job(replayed: ReplayedCase, stage: str, *, seed: int = 0) -> Job[PatchCurve]:
    """Take patches away, or add them, and ask the model each time.

    Parameters
    ----------
    replayed : ReplayedCase
        The analysis.
    stage : {"deletion", "insertion"}
        Begin with all patches and take away, or with none and add.
    seed : int, default: 0
        Of the random orders.

    Yields
    ------
    Progress
        After each order of patches.

    Returns
    -------
    PatchCurve
        Of the logit of the class called less the mean of the others.
    """
    rng = np.random.default_rng(seed)
    by_evidence = np.argsort(-drawn_map(replayed), kind="stable")
    count = len(by_evidence)
    gone = np.unique(np.round(np.linspace(0, count, STEPS + 1)).astype(int))
    curves = []
    orders = [by_evidence, *(rng.permutation(count) for _ in range(ORDERS))]
    for number, order in enumerate(orders):
        kept = [order[k:] if stage == "deletion" else order[:k] for k in gone]
        curves.append(np.array([_margin(replayed, rows) for rows in kept]))
        yield Progress(stage, number + 1, len(orders))
    return PatchCurve(gone / count, curves[0], np.stack(curves[1:]))


def randomize_job(replayed: ReplayedCase, *, seed: int = 0) -> Job[list[RandomizedMap]]:
    """Draw the fusion model anew, part by part from its output down.

    Parameters
    ----------
    replayed : ReplayedCase
        The analysis.
    seed : int, default: 0
        Of the weights drawn.

    Yields
    ------
    Progress
        After each random model.

    Returns
    -------
    list of RandomizedMap
        One per part that the logit of the class called depends on, from the output
        down; each part stays as drawn.

    References
    ----------
    .. [1] Adebayo et al., "Sanity checks for saliency maps", NeurIPS 2018.
    """
    trained = drawn_map(replayed)
    names = parts_heard(replayed.case, replayed.embeddings, called(replayed))
    found: list[list[float]] = [[] for _ in names]
    for draw in range(DRAWS):
        case = copy.copy(replayed.case)
        case.model = copy.deepcopy(replayed.case.model)
        generator = torch.Generator().manual_seed(seed + draw)
        parts = parts_downward(case.model)
        for number, name in enumerate(names):
            for part in parts[name]:
                _draw_anew(part, generator)
            changed = redrawn_map(replayed, case)
            found[number].append(_correlation(trained, changed))
        yield Progress("randomization", draw + 1, DRAWS)
    return [
        RandomizedMap(name, tuple(values))
        for name, values in zip(names, found, strict=True)
    ]


def parts_heard(
    case: CaseTensors, embeddings: NDArray[np.float16], index: int
) -> list[str]:
    """Name the parts of the model that a logit depends on.

    Parameters
    ----------
    case : CaseTensors
        Model and tables; every modality at hand is used.
    embeddings : ndarray of float16, shape (n, d)
        The analysed patches.
    index : int
        Of the class.

    Returns
    -------
    list of str
        Of `parts_downward`, in that order. Heads that are for training only and tokens
        that stand for what is absent are not among them: no gradient reaches them.
    """
    case = copy.copy(case)
    case.model = copy.deepcopy(case.model).requires_grad_()
    bag = torch.from_numpy(embeddings.astype(np.float32))[None]
    with torch.enable_grad():
        case.forward(bag, case.available).logits[0, index].backward()  # type: ignore[no-untyped-call]
    return [
        name
        for name, parts in parts_downward(case.model).items()
        if any(
            weight.grad is not None and bool(weight.grad.any())
            for part in parts
            for weight in part.parameters(recurse=False)
        )
    ]


def _draw_anew(part: nn.Module, generator: torch.Generator) -> None:
    """Draw weights from a normal distribution of the same spread.

    What is a single number or the same throughout, such as the scale of a fresh
    normalization, has no spread to draw with and stays.
    """
    with torch.no_grad():
        for weight in part.parameters(recurse=False):
            if weight.numel() > 1:
                noise = torch.randn(weight.shape, generator=generator)
                center = weight.mean() if weight.dim() == 1 else weight.new_zeros(())
                weight.copy_(center + noise.to(weight) * weight.std())


def _margin(replayed: ReplayedCase, rows: NDArray[np.int64]) -> float:
    """Ask the model with some of the patches; without any, the image is absent."""
    case = replayed.case
    bag = torch.from_numpy(replayed.embeddings[rows].astype(np.float32))[None]
    subset = [m for m in case.available if len(rows) or m is not Modality.IMAGE]
    with torch.inference_mode():
        output = case.forward(bag, subset)
    logits = output.logits[0, : case.classes].double().numpy()
    return float(_against_others(logits[None], called(replayed))[0])


def _against_others(values: NDArray[np.float64], index: int) -> NDArray[np.float64]:
    count = values.shape[1]
    if count == 1:
        return values[:, 0]
    others = (values.sum(axis=1) - values[:, index]) / (count - 1)
    margin: NDArray[np.float64] = values[:, index] - others
    return margin


def _correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    if np.ptp(first) == 0 or np.ptp(second) == 0:
        return 0.0
    return float(spearmanr(first, second).statistic)


def _area(curve: NDArray[np.float64], share: NDArray[np.float64]) -> float:
    return float(np.trapezoid(curve, share))
