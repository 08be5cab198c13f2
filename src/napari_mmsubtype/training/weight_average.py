"""A running average of weights, steadier than the weights of the last step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import AveragedModel

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn


class WeightAverage:
    """Average the weights of a module over the steps of its training.

    Recent steps count more: the weights of each step count ``decay`` times those of the
    next. The weights before the first step do not count at all, however few steps there
    are.

    Parameters
    ----------
    module : torch.nn.Module
        In training; it is copied.
    decay : float
        0 to below 1.

    Attributes
    ----------
    module : torch.nn.Module
        With averaged weights and buffers, such as the statistics of batch
        normalization; whole numbers among them are those of the last step.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        def mix(average: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
            if not average.is_floating_point():
                return current
            # The share of the newest in a sum of powers of the decay.
            newest = (1 - decay) / (1 - decay ** (int(steps) + 1))
            return torch.lerp(average, current, newest)

        self._averaged = AveragedModel(module, avg_fn=mix, use_buffers=True)
        self.module = self._averaged.module

    def update(self, module: nn.Module) -> None:
        """Take in the weights after a step.

        Parameters
        ----------
        module : torch.nn.Module
            The one in training.
        """
        self._averaged.update_parameters(module)

    def state_dict(self) -> dict[str, Tensor]:
        """Give all that the average is made of.

        Returns
        -------
        dict of str to Tensor
            Weights and the number of steps.
        """
        return self._averaged.state_dict()

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from an earlier average.

        Parameters
        ----------
        state : mapping of str to Tensor
            As `state_dict` gave it.
        """
        self._averaged.load_state_dict(state)
