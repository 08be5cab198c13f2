"""The way of patches to the device that runs the network, and of its numbers back."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Arrival = Callable[[], list[NDArray[Any]]]

logger = logging.getLogger(__name__)


class Lane:
    """Brings patches to a device and numbers back, one after the other.

    Parameters
    ----------
    device : torch.device
        Where the network runs.

    Attributes
    ----------
    ahead : int
        How many batches may be under way on the device while the numbers of an earlier
        one are waited for.
    """

    ahead = 0

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def room(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Make room for patches that are read.

        Parameters
        ----------
        shape : tuple of int
            Patches, rows, columns and colors.

        Returns
        -------
        ndarray of uint8
            Not filled.
        """
        return np.empty(shape, np.uint8)

    def send(self, pixels: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
        """Bring patches to the device.

        Parameters
        ----------
        pixels : ndarray or Tensor of uint8, shape (n, y, x, 3)
            To be left alone until the numbers made from them have arrived. A tensor is
            on the device already.

        Returns
        -------
        Tensor of uint8, shape (n, y, x, 3)
            On the device: a byte for each color, a quarter of what numbers would take.
        """
        if isinstance(pixels, torch.Tensor):
            return pixels
        return torch.from_numpy(pixels).to(self.device)

    def fetch(self, tensors: Sequence[torch.Tensor]) -> Arrival:
        """Ask for what was computed.

        Parameters
        ----------
        tensors : sequence of Tensor
            On the device.

        Returns
        -------
        callable
            Gives them as arrays once they are there.
        """
        arrays = [tensor.cpu().numpy() for tensor in tensors]
        return lambda: arrays


class CudaLane(Lane):
    """Copies to and from a CUDA device while it computes.

    Patches are read into memory that the card fetches by itself (pinned), and copied on
    a stream of their own: the next batch crosses the bus, and the numbers of the last
    one are written to disk, while the network runs.

    Parameters
    ----------
    device : torch.device
        A CUDA device.
    """

    ahead = 1

    def __init__(self, device: torch.device) -> None:
        super().__init__(device)
        self._copies = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]

    def room(self, shape: tuple[int, ...]) -> NDArray[np.uint8]:
        """Make room in pinned memory; where that is short, in ordinary memory.

        Parameters
        ----------
        shape : tuple of int
            Patches, rows, columns and colors.

        Returns
        -------
        ndarray of uint8
            Not filled. PyTorch keeps pinned memory for the next batch.
        """
        try:
            pinned = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        except RuntimeError as err:
            logger.debug("no pinned memory for %s: %s", shape, err)
            return super().room(shape)
        array: NDArray[np.uint8] = pinned.numpy()
        return array

    def send(self, pixels: NDArray[np.uint8] | torch.Tensor) -> torch.Tensor:
        """Begin to copy patches to the device.

        Parameters
        ----------
        pixels : ndarray or Tensor of uint8, shape (n, y, x, 3)
            To be left alone until the numbers made from them have arrived. A tensor is
            on the device already, and was finished on whatever stream made it.

        Returns
        -------
        Tensor of uint8, shape (n, y, x, 3)
            What is done with it on the current stream waits for the copy.
        """
        current = torch.cuda.current_stream(self.device)
        if isinstance(pixels, torch.Tensor):
            pixels.record_stream(current)
            return pixels
        with torch.cuda.stream(self._copies):
            moved = torch.from_numpy(pixels).to(self.device, non_blocking=True)
        current.wait_stream(self._copies)
        # Its memory belongs to the stream of copies, and must outlast the network.
        moved.record_stream(current)
        return moved

    def fetch(self, tensors: Sequence[torch.Tensor]) -> Arrival:
        """Ask for what was computed; the device goes on with what comes next.

        Parameters
        ----------
        tensors : sequence of Tensor
            On the device.

        Returns
        -------
        callable
            Waits for them, no longer than for these, and gives them as arrays.
        """
        # To the CPU without blocking, PyTorch copies into pinned memory.
        copies = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        there = torch.cuda.Event()  # type: ignore[no-untyped-call]
        there.record(torch.cuda.current_stream(self.device))

        def _arrive() -> list[NDArray[Any]]:
            there.synchronize()
            return [copy.numpy() for copy in copies]

        return _arrive


def open_lane(device: torch.device) -> Lane:
    """Choose the way to a device.

    Parameters
    ----------
    device : torch.device
        Where the network runs.

    Returns
    -------
    Lane
        One that overlaps copies with computing for CUDA, else the plain one.
    """
    return CudaLane(device) if device.type == "cuda" else Lane(device)


__all__ = ["CudaLane", "Lane", "open_lane"]
