"""Build networks whose weights are loaded afterwards, without drawing any at random."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.nn import init
from torch.overrides import TorchFunctionMode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_DRAWS = {
    torch.Tensor.normal_,
    torch.Tensor.uniform_,
    init.kaiming_normal_,
    init.kaiming_uniform_,
    init.normal_,
    init.trunc_normal_,
    init.uniform_,
    init.xavier_normal_,
    init.xavier_uniform_,
}


class UndrawnWeights(TorchFunctionMode):
    """Fills with one number what would be filled at random, while it is entered.

    Drawing takes as long as loading, half a second for a ResNet-50. Every weight must
    be replaced before the network is used. It is the mean of what is normal, and not
    whatever memory held, because PyTorch draws truncated distributions anew until
    nothing is out of bounds.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Call a function of PyTorch, unless it draws.

        Parameters
        ----------
        func : callable
            The function.
        types : sequence of type
            Not used.
        args : tuple
            Of the function; the tensor first.
        kwargs : mapping, optional
            Of the function.

        Returns
        -------
        object
            What the function gives, or the tensor, filled.
        """
        named = dict(kwargs or {})
        if func not in _DRAWS:
            return func(*args, **named)
        tensor = named["tensor"] if "tensor" in named else args[0]
        value = 0.0
        if func is torch.Tensor.normal_:
            value = args[1] if len(args) > 1 else named.get("mean", 0.0)
        with torch.no_grad():
            return tensor.fill_(value)


__all__ = ["UndrawnWeights"]
