"""The way of patches to the device that runs the network, and of its numbers back."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Arrival = Callable[[], list[NDArray[Any]]]

logger = logging.getLogger(__name__)


def stream_of(device: torch.device, purpose: str) -> torch.cuda.Stream:
    """Give the stream of a device for a purpose, the same one each time.

    PyTorch keeps freed memory for the stream that it was taken on: with a new stream
    for each slide, what the last slides took would be kept for nobody.

    Parameters
    ----------
    device : torch.device
        A CUDA device.
    purpose : str
        What is done on it.

    Returns
    -------
    torch.cuda.Stream
        Its work goes before that of the current one, which waits for it.
    """
    with torch.cuda.device(device):
        return _stream(torch.cuda.current_device(), purpose)


@cache
def _stream(index: int, purpose: str) -> torch.cuda.Stream:
    # Streams of this priority are not those that PyTorch hands out unasked, which it
    # does in turns: no other work is ever put onto them.
    return torch.cuda.Stream(index, priority=-1)  # type: ignore[no-untyped-call]


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

    def fetch(self, tensors: Sequence[torch.Tensor], sent: torch.Tensor) -> Arrival:
        """Ask for what was computed.

        Parameters
        ----------
        tensors : sequence of Tensor
            On the device.
        sent : Tensor
            What `send` gave, from which they were made.

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
        self._copies = stream_of(device, "copies")

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
            To be held and left alone until the numbers made from them have arrived. A
            tensor is on the device already, and its stream has finished it.

        Returns
        -------
        Tensor of uint8, shape (n, y, x, 3)
            What is done with it on the current stream waits for the copy.
        """
        current = torch.cuda.current_stream(self.device)
        if isinstance(pixels, torch.Tensor):
            return pixels
        with torch.cuda.stream(self._copies):
            moved = torch.from_numpy(pixels).to(self.device, non_blocking=True)
        current.wait_stream(self._copies)
        return moved

    def fetch(self, tensors: Sequence[torch.Tensor], sent: torch.Tensor) -> Arrival:
        """Ask for what was computed; the device goes on with what comes next.

        Parameters
        ----------
        tensors : sequence of Tensor
            On the device.
        sent : Tensor
            What `send` gave. Its memory belongs to another stream than the network's,
            so it is held until the numbers are there. (Of a tensor that was told of
            the network by `record_stream`, PyTorch asks the device as it lets go of
            it, and where the device is lost that ends the process.)

        Returns
        -------
        callable
            Waits for them, no longer than for these, and gives them as arrays.
        """
        # To the CPU without blocking, PyTorch copies into pinned memory.
        copies = [tensor.to("cpu", non_blocking=True) for tensor in tensors]
        there = torch.cuda.Event()  # type: ignore[no-untyped-call]
        there.record(torch.cuda.current_stream(self.device))
        held = [sent]

        def _arrive() -> list[NDArray[Any]]:
            there.synchronize()
            held.clear()
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


__all__ = ["CudaLane", "Lane", "open_lane", "stream_of"]
