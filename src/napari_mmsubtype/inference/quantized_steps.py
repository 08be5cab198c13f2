"""Steps of a network in 8-bit whole numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from napari_mmsubtype.inference.fused_graph import FusedConv

if TYPE_CHECKING:
    from torch import Tensor

_OPERATION = "qconv2d_pointwise"
"""Private to PyTorch: another version may name it, or what it takes, differently."""
_PACKING = "qconv_prepack"


@dataclass(frozen=True, slots=True)
class Scale:
    """What the whole numbers of a map stand for.

    Attributes
    ----------
    step : float
        Between two neighbors, > 0.
    zero : int
        The number that stands for zero, 0 to 255.
    """

    step: float
    zero: int

    @classmethod
    def of_range(cls, low: float, high: float) -> Scale:
        """Spread the numbers over the values of a map.

        Parameters
        ----------
        low, high : float
            Least and largest value. Zero is always among them: it is what borders
            are filled with.

        Returns
        -------
        Scale
            Where 0 stands for ``low`` and 255 for ``high``.
        """
        low, high = min(low, 0.0), max(high, 0.0)
        step = (high - low) / 255 or 1.0
        return cls(step, round(-low / step))


class Quantize(nn.Module):
    """Round a map to whole numbers.

    Parameters
    ----------
    scale : Scale
        What they stand for.
    """

    def __init__(self, scale: Scale) -> None:
        super().__init__()
        self.scale = scale

    def forward(self, values: Tensor) -> Tensor:
        """Round; what is out of range becomes the nearest that is in it.

        Parameters
        ----------
        values : Tensor of float, shape (n, c, y, x)
            A map.

        Returns
        -------
        Tensor of uint8, shape (n, c, y, x)
            In the order of memory that convolutions like best.
        """
        values = values.contiguous(memory_format=torch.channels_last)
        numbers = torch.empty_like(values, dtype=torch.uint8)
        # Map by map: what lies between the two is still in the cache.
        for value, number in zip(values, numbers, strict=True):
            step = value.float().mul(1 / self.scale.step).add_(self.scale.zero)
            number.copy_(step.round_().clamp_(0, 255))
        return numbers


class Dequantize(nn.Module):
    """Turn whole numbers back into the values that they stand for.

    Parameters
    ----------
    scale : Scale
        What they stand for.
    kind : torch.dtype
        Of the values.
    """

    def __init__(self, scale: Scale, kind: torch.dtype) -> None:
        super().__init__()
        self.scale, self.kind = scale, kind

    def forward(self, numbers: Tensor) -> Tensor:
        """Look the values up.

        Parameters
        ----------
        numbers : Tensor of uint8, shape (n, c, y, x)
            A map.

        Returns
        -------
        Tensor, shape (n, c, y, x)
            Of the kind asked for.
        """
        values = numbers.to(torch.float32).sub_(self.scale.zero).mul_(self.scale.step)
        return values.to(self.kind)


class QuantizedConv(nn.Module):
    """A convolution of whole numbers, with the sum and the clipping that follow it.

    Weights have a scale for each channel they make, the map has one. Products are
    summed exactly, in 32 bits.

    Parameters
    ----------
    conv : torch.nn.Conv2d or FusedConv
        In float32.
    source : Scale
        Of the map that is convolved.
    target : Scale or None
        Of the map that comes out; None gives values instead of whole numbers.
    kind : torch.dtype
        Of these values.
    other : Scale or None
        Of the map that is added, where that is in whole numbers.

    Attributes
    ----------
    keeps_other : bool
        Whether that map is left as it is; else the sum is written over it.
    """

    keeps_other = True

    def __init__(
        self,
        conv: nn.Conv2d | FusedConv,
        source: Scale,
        target: Scale | None,
        kind: torch.dtype,
        other: Scale | None = None,
    ) -> None:
        super().__init__()
        clips = isinstance(conv, FusedConv) and conv.clips
        self._after = "relu" if clips else "none"
        plain = conv.conv if isinstance(conv, FusedConv) else conv
        weight = plain.weight.detach().float()
        top = weight.abs().amax((1, 2, 3)).clamp_min(torch.finfo(torch.float32).tiny)
        self._steps = top / 127
        numbers = (weight / self._steps[:, None, None, None]).round()
        self._numbers: Tensor | None = numbers.to(torch.int8)
        self._packed: Tensor | None = None
        self._zeros = torch.zeros(len(weight), dtype=torch.int32)
        bias = plain.bias
        self.bias = torch.zeros(len(weight)) if bias is None else bias.detach().float()
        self._shape: tuple[Any, ...] = (plain.stride, plain.padding, plain.dilation)
        self._groups = plain.groups
        self.source, self.target, self.other, self._kind = source, target, other, kind

    def correct(self, numbers: Tensor, expected: Tensor) -> None:
        """Take away what rounding adds to every channel on average.

        Parameters
        ----------
        numbers : Tensor of uint8, shape (n, c, y, x)
            A map, with the errors of all steps before this one.
        expected : Tensor of float32, shape (d,)
            Mean of what the convolution alone makes of it in float32.
        """
        found = self._convolve(numbers, None, torch.float32, "none")
        self.bias = self.bias + (expected - found.mean((0, 2, 3)))

    def forward(self, numbers: Tensor, other: Tensor | None = None) -> Tensor:
        """Convolve, add and clip.

        Parameters
        ----------
        numbers : Tensor of uint8, shape (n, c, y, x)
            What is convolved.
        other : Tensor, shape (n, d, h, w), optional
            What is added: whole numbers where this makes whole numbers, else values.

        Returns
        -------
        Tensor, shape (n, d, h, w)
            Of uint8, or values.
        """
        kind = self._kind if self.target is None else torch.uint8
        return self._convolve(numbers, other, kind, self._after)

    def _convolve(
        self, numbers: Tensor, other: Tensor | None, kind: torch.dtype, after: str
    ) -> Tensor:
        if self._packed is None:
            pack: Any = getattr(torch.ops.onednn, _PACKING)
            self._packed = pack(
                self._numbers,
                self._steps,
                self.source.step,
                self.source.zero,
                *self._shape,
                self._groups,
                list(numbers.shape),
            )
            self._numbers = None
        step: Any = getattr(torch.ops.onednn, _OPERATION)
        head = (
            numbers,
            self.source.step,
            self.source.zero,
            self._packed,
            self._steps,
            self._zeros,
        )
        # Values come out as they are: a scale of one.
        target = self.target if kind is torch.uint8 and self.target else Scale(1.0, 0)
        shape = (*self._shape, self._groups, target.step, target.zero, kind)
        if other is None:
            found = step.default(*head, self.bias, *shape, after, [], "")
        else:
            other = other.to(kind).contiguous(memory_format=torch.channels_last)
            other = other.clone() if self.keeps_other else other
            added = self.other or Scale(1.0, 0)
            rest: tuple[Any, ...] = (added.step, added.zero, "sum", 1.0, after, [], "")
            found = step.binary(*head, other, self.bias, *shape, *rest)
        result: Tensor = found
        return result


def can_quantize() -> bool:
    """Tell whether this build of PyTorch has the operations.

    Returns
    -------
    bool
        False without oneDNN, or where a version calls them by other names.
    """
    step = getattr(torch.ops.onednn, _OPERATION, None)
    has_step = step is not None and {"default", "binary"} <= set(step.overloads())
    return (
        bool(torch._C._has_mkldnn) and has_step and hasattr(torch.ops.onednn, _PACKING)
    )


__all__ = [
    "Dequantize",
    "Quantize",
    "QuantizedConv",
    "Scale",
    "can_quantize",
]
