"""Heads about time to an event: how large the risk is, and when."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor

from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.head_temperature import check_temperature
from napari_mmsubtype.models.survival_losses import (
    Ties,
    cox_loss,
    hazard_loss,
    survival_curve,
)


@dataclass(frozen=True, slots=True)
class CoxHead:
    """How large the risk: partial likelihood; answers with the log-risk.

    Targets are time and event (1) or censoring (0).

    Attributes
    ----------
    ties : {"efron", "breslow"}
        How events at the same time share their risk set.
    event : str
        What happens to the patient, for example ``"death"``.
    center : float or None
        Mean log-risk of the training patients from all they have, which risks are
        told relative to. A log-risk has no zero of its own: where this is None, it
        orders patients and says no more.
    """

    kind: ClassVar[str] = "cox"

    ties: Ties = "efron"
    event: str = "event"
    center: float | None = None

    def __post_init__(self) -> None:
        if self.ties not in ("efron", "breslow"):
            msg = f"ties must be 'efron' or 'breslow', found {self.ties!r}"
            raise ConfigurationError(msg)
        if self.center is not None and not math.isfinite(self.center):
            msg = f"the mean log-risk must be finite, found {self.center}"
            raise ConfigurationError(msg)

    @property
    def size(self) -> int:
        """Give the number of logits."""
        return 1

    @property
    def words(self) -> str:
        """Say what is asked."""
        return f"the risk of {self.event}, compared between patients"

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
    unit : str
        Unit of time, for example ``"months"``.
    event : str
        What happens to the patient, for example ``"death"``.
    alpha : float
        From 0 to 1: how much less censored cases count.
    temperature : float or None
        Divides the logits in answers; None where it was not fitted.
    """

    kind: ClassVar[str] = "hazard"

    edges: tuple[float, ...]
    unit: str = "months"
    event: str = "event"
    alpha: float = 0.0
    temperature: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "edges", tuple(float(edge) for edge in self.edges))
        rising = all(a < b for a, b in pairwise((0.0, *self.edges)))
        if not self.edges or not rising or not math.isfinite(self.edges[-1]):
            msg = (
                "a hazard head needs edges of intervals that rise from above 0, found "
                f"{list(self.edges)}"
            )
            raise ConfigurationError(msg)
        if not 0 <= self.alpha <= 1:
            msg = f"alpha must be from 0 to 1, found {self.alpha}"
            raise ConfigurationError(msg)
        check_temperature(self.temperature)

    @property
    def size(self) -> int:
        """Give the number of logits."""
        return len(self.edges) + 1

    @property
    def words(self) -> str:
        """Say what is asked."""
        times = ", ".join(f"{edge:g}" for edge in self.edges)
        return f"the chance of no {self.event} until {times} {self.unit}"

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
        return survival_curve(logits / (self.temperature or 1.0))
