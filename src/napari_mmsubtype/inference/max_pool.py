"""Take the largest number of each window, faster than PyTorch does on a CPU."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class SeparableMaxPool(nn.Module):
    """A pool of maxima over maps that are nowhere negative, along y, then along x.

    Such maps come out of a convolution that clips, or are whole numbers. PyTorch's own
    pool has no fast way for ``uint8``, and one for ``bfloat16`` that turns every number
    into ``float32`` and notes where the largest stood.

    Parameters
    ----------
    pool : torch.nn.MaxPool2d
        Without dilation, giving no indices.

    Attributes
    ----------
    pool : torch.nn.MaxPool2d
        As given; it does the maps of other kinds.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.pool = pool
        self._size = _pair(pool.kernel_size)
        self._stride = _pair(pool.stride)
        self._border = _pair(pool.padding)

    def forward(self, images: Tensor) -> Tensor:
        """Take the maxima.

        Parameters
        ----------
        images : Tensor, shape (n, c, y, x)
            Nowhere negative where it is of ``bfloat16``.

        Returns
        -------
        Tensor, shape (n, c, h, w)
            As `torch.nn.MaxPool2d` gives it.
        """
        if images.dtype is torch.bfloat16:
            # From zero on, the bits of larger numbers are larger whole numbers.
            return self._take(images.view(torch.int16)).view(torch.bfloat16)
        if images.dtype is torch.uint8:
            return self._take(images)
        found: Tensor = self.pool(images)
        return found

    def _take(self, numbers: Tensor) -> Tensor:
        for axis in (2, 3):
            windows = _Windows(
                numbers.shape[axis],
                self._size[axis - 2],
                self._stride[axis - 2],
                self._border[axis - 2],
                ceil=self.pool.ceil_mode,
            )
            numbers = windows.take(numbers, axis)
        return numbers


def find_max_pool(module: nn.Module | None) -> nn.MaxPool2d | None:
    """Give the pool of maxima that a step of a network is.

    Parameters
    ----------
    module : torch.nn.Module or None
        What the step calls, if it calls one.

    Returns
    -------
    torch.nn.MaxPool2d or None
        One that `SeparableMaxPool` can take; None for all else.
    """
    if isinstance(module, SeparableMaxPool):
        return module.pool
    if type(module) is not nn.MaxPool2d or module.return_indices:
        return None
    return module if module.dilation in {1, (1, 1)} else None


@dataclass(frozen=True, slots=True)
class _Windows:
    """Windows along an axis, every ``stride``; the first begins ``border`` before."""

    length: int
    size: int
    stride: int
    border: int
    ceil: bool

    @property
    def count(self) -> int:
        """How many there are."""
        steps, rest = divmod(self.length + 2 * self.border - self.size, self.stride)
        # A last window that is not whole begins within the map.
        begin = (steps + 1) * self.stride
        more = self.ceil and rest > 0 and begin < self.length + self.border
        return steps + 1 + more

    def reach(self, offset: int) -> range:
        """List the windows whose number at an offset lies on the axis."""
        first = -((offset - self.border) // self.stride)
        past = (self.length - 1 + self.border - offset) // self.stride + 1
        return range(max(first, 0), min(past, self.count))

    def take(self, numbers: Tensor, axis: int) -> Tensor:
        """Take the largest of each window; no number is negative."""
        reached = {offset: self.reach(offset) for offset in range(self.size)}
        whole = [o for o, windows in reached.items() if len(windows) == self.count]
        if not whole:
            # Nothing is less than 0, so the border never is the largest.
            shape = list(numbers.shape)
            shape[axis] = self.count
            found = numbers.new_zeros(shape).contiguous(
                memory_format=torch.channels_last
            )
        else:
            parts = [self._pick(numbers, axis, o, reached[o]) for o in whole[:2]]
            found = torch.maximum(*parts) if len(parts) > 1 else parts[0].clone()
        for offset, windows in reached.items():
            if len(windows) and offset not in whole[:2]:
                part = found.narrow(axis, windows.start, len(windows))
                more = self._pick(numbers, axis, offset, windows)
                torch.maximum(part, more, out=part)
        return found

    def _pick(self, numbers: Tensor, axis: int, offset: int, windows: range) -> Tensor:
        """Give the number at an offset of some windows."""
        begin = windows.start * self.stride - self.border + offset
        part = numbers.narrow(axis, begin, (len(windows) - 1) * self.stride + 1)
        return part[:, :, :: self.stride] if axis == 2 else part[..., :: self.stride]


def _pair(value: int | tuple[int, ...]) -> tuple[int, int]:
    """Give the sizes along y and x."""
    return (value, value) if isinstance(value, int) else (value[0], value[1])


__all__ = ["SeparableMaxPool", "find_max_pool"]
