"""Several questions to one trunk: classes, ordered stages, risk.

A head owns columns of the logits of a fusion model that is made with
``classes=heads.size``, so whatever explains a logit explains each answer too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import torch
from torch import Tensor
from torch.nn import functional as F

from napari_mmsubtype.models.ordinal import corn_loss, corn_probabilities
from napari_mmsubtype.models.survival_losses import (
    Ties,
    cox_loss,
    hazard_loss,
    survival_curve,
)

if TYPE_CHECKING:
    from collections.abc import Mapping


class Head(Protocol):
    """One question: how many logits it takes, its loss and its answer."""

    @property
    def size(self) -> int:
        """Give the number of logits."""

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Give the shape of one case's target; NaN in it means unknown."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compare logits with known targets.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.
        targets : Tensor of float
            One per case, all known.

        Returns
        -------
        Tensor of float, shape ()
            Mean.
        """

    def answer(self, logits: Tensor) -> Tensor:
        """Turn logits into what a person reads.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.

        Returns
        -------
        Tensor of float
            By case.
        """


@dataclass(frozen=True, slots=True)
class ClassHead:
    """Which class: cross-entropy; answers with probabilities.

    Targets are class indices.

    Attributes
    ----------
    classes : int
        Number of classes.
    """

    classes: int

    @property
    def size(self) -> int:
        """Give the number of logits."""
        return self.classes

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Give the shape of one case's target."""
        return ()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compare logits with known targets.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.
        targets : Tensor of float
            One per case, all known.

        Returns
        -------
        Tensor of float, shape ()
            Mean.
        """
        return F.cross_entropy(logits, targets.long())

    def answer(self, logits: Tensor) -> Tensor:
        """Give the probabilities of the classes.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.

        Returns
        -------
        Tensor of float, shape (b, classes)
            By case.
        """
        return logits.softmax(dim=1)


@dataclass(frozen=True, slots=True)
class OrdinalHead:
    """Which level of an order, e.g. stage: CORN; answers with probabilities.

    Targets are levels, from 0.

    Attributes
    ----------
    levels : int
        Number of levels.
    """

    levels: int

    @property
    def size(self) -> int:
        """Give the number of logits."""
        return self.levels - 1

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Give the shape of one case's target."""
        return ()

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compare logits with known targets.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.
        targets : Tensor of float
            One per case, all known.

        Returns
        -------
        Tensor of float, shape ()
            Mean.
        """
        return corn_loss(logits, targets.long())

    def answer(self, logits: Tensor) -> Tensor:
        """Give the probabilities of the levels.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.

        Returns
        -------
        Tensor of float, shape (b, levels)
            By case.
        """
        return corn_probabilities(logits)


@dataclass(frozen=True, slots=True)
class CoxHead:
    """How large the risk: partial likelihood; answers with the log-risk.

    Targets are time and event (1) or censoring (0).

    Attributes
    ----------
    ties : {"efron", "breslow"}
        How events at the same time share their risk set.
    """

    ties: Ties = "efron"

    @property
    def size(self) -> int:
        """Give the number of logits."""
        return 1

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Give the shape of one case's target."""
        return (2,)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compare logits with known targets.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.
        targets : Tensor of float
            One per case, all known.

        Returns
        -------
        Tensor of float, shape ()
            Mean.
        """
        time, event = targets.unbind(dim=1)
        return cox_loss(logits[:, 0], time, event > 0, ties=self.ties)

    def answer(self, logits: Tensor) -> Tensor:
        """Give the log-risk.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.

        Returns
        -------
        Tensor of float, shape (b, 1)
            By case.
        """
        return logits


@dataclass(frozen=True, slots=True)
class HazardHead:
    """When: hazards of intervals of time; answers with the survival curve.

    Targets are time and event (1) or censoring (0).

    Attributes
    ----------
    edges : tuple of float
        Rising inner edges of the intervals, see `survival_losses.interval_edges`; an
        edge belongs to the interval after it.
    alpha : float
        From 0 to 1: how much less censored cases count.
    """

    edges: tuple[float, ...]
    alpha: float = 0.0

    @property
    def size(self) -> int:
        """Give the number of logits."""
        return len(self.edges) + 1

    @property
    def target_shape(self) -> tuple[int, ...]:
        """Give the shape of one case's target."""
        return (2,)

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compare logits with known targets.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.
        targets : Tensor of float
            One per case, all known.

        Returns
        -------
        Tensor of float, shape ()
            Mean.
        """
        time, event = targets.unbind(dim=1)
        edges = torch.tensor(self.edges, dtype=time.dtype, device=time.device)
        intervals = torch.bucketize(time.contiguous(), edges, right=True)
        return hazard_loss(logits, intervals, event > 0, alpha=self.alpha)

    def answer(self, logits: Tensor) -> Tensor:
        """Give the chance to survive each interval.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of this head.

        Returns
        -------
        Tensor of float, shape (b, size)
            By case.
        """
        return survival_curve(logits)


class Heads:
    """Named heads that share the logits of one fusion model.

    Parameters
    ----------
    heads : mapping of str to Head
        In the order of their columns.

    Attributes
    ----------
    size : int
        Number of logits together.

    Raises
    ------
    ValueError
        If there is no head, or one that takes no logit.
    """

    def __init__(self, heads: Mapping[str, Head]) -> None:
        idle = [name for name, head in heads.items() if head.size < 1]
        if not heads or idle:
            msg = f"heads must take at least one logit each, found {dict(heads)}"
            raise ValueError(msg)
        self.heads = dict(heads)
        self.size = sum(head.size for head in heads.values())

    def split(self, logits: Tensor) -> dict[str, Tensor]:
        """Give each head its columns.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of the fusion model.

        Returns
        -------
        dict of str to Tensor of float, shape (b, head size)
            By name.

        Raises
        ------
        ValueError
            If the number of logits is not that of the heads.
        """
        if logits.ndim != 2 or logits.shape[1] != self.size:
            msg = f"logits must be (b, {self.size}), found {tuple(logits.shape)}"
            raise ValueError(msg)
        parts: dict[str, Tensor] = {}
        start = 0
        for name, head in self.heads.items():
            parts[name] = logits[:, start : start + head.size]
            start += head.size
        return parts

    def answers(self, logits: Tensor) -> dict[str, Tensor]:
        """Answer every question.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of the fusion model.

        Returns
        -------
        dict of str to Tensor of float
            By name; see each head.
        """
        return {
            name: self.heads[name].answer(own)
            for name, own in self.split(logits).items()
        }

    def losses(
        self, logits: Tensor, targets: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Compare logits with targets, question by question.

        Parameters
        ----------
        logits : Tensor of float, shape (b, size)
            Of the fusion model.
        targets : mapping of str to Tensor of float, shape (b, ...)
            By name; NaN where a case's target is unknown.

        Returns
        -------
        dict of str to Tensor of float, shape ()
            By name; without heads for which no target is known.

        Raises
        ------
        ValueError
            If names or shapes are not those of the heads.
        """
        if set(targets) != set(self.heads):
            msg = f"targets are for {sorted(targets)}, heads are {sorted(self.heads)}"
            raise ValueError(msg)
        losses: dict[str, Tensor] = {}
        for name, own in self.split(logits).items():
            head, target = self.heads[name], targets[name]
            if target.shape != (len(logits), *head.target_shape):
                msg = (
                    f"targets of {name!r} must be {(len(logits), *head.target_shape)}, "
                    f"found {tuple(target.shape)}"
                )
                raise ValueError(msg)
            known = ~target.isnan().view(len(logits), -1).any(dim=1)
            if bool(known.any()):
                losses[name] = head.loss(own[known], target[known])
        return losses
