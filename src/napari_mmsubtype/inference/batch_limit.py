"""Go on with fewer patches at once where the memory of the device runs out."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, TypeVar

import torch

from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import OutOfMemoryError
from napari_mmsubtype.inference.known_numbers import KnownNumbers
from napari_mmsubtype.models.memory_shortage import is_out_of_memory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.models.encoders import Encoder

logger = logging.getLogger(__name__)

T = TypeVar("T")

FILE_NAME = "batch-sizes.json"


class BatchLimit:
    """How many patches go through the network at once.

    Parameters
    ----------
    size : int
        At most so many, to begin with.
    device : torch.device
        Where the network runs.
    what : str
        The network, for messages, for example ``"resnet50 at 224 px"``.
    keep : callable, optional
        Receives the size that held after memory had run out.
    """

    def __init__(
        self,
        size: int,
        device: torch.device,
        what: str,
        keep: Callable[[int], object] | None = None,
    ) -> None:
        self.size = size
        self._device = device
        self._what = what
        self._keep = keep
        self._is_new = False

    def run(self, work: Callable[[slice], T], count: int) -> list[T]:
        """Work through a batch, in parts that fit.

        Parameters
        ----------
        work : callable
            Does one part of the batch; it is asked again for the first half of a part
            whose memory ran out, so it must leave nothing behind then.
        count : int
            Size of the batch.

        Returns
        -------
        list
            What ``work`` gave for each part, in order; one where the batch fits.

        Raises
        ------
        OutOfMemoryError
            If not even a single patch fits.
        """
        results: list[T] = []
        start = 0
        while start < count:
            part = slice(start, min(start + self.size, count))
            done, reason = _attempt(work, part)
            if reason:
                # Only now, with the error and all that it held on to gone, is the
                # memory of the failed attempt free.
                self._halve(part.stop - part.start, reason)
            else:
                results.extend(done)
                start = part.stop
                self._remember()
        return results

    def _halve(self, tried: int, reason: str) -> None:
        release_memory(self._device)
        if tried <= 1:
            raise _shortage(self._device, f"one patch for {self._what}", reason)
        self.size = tried // 2
        self._is_new = True
        logger.warning(
            "memory of %s ran out with %d patches at once: going on with %d",
            self._device,
            tried,
            self.size,
        )

    def _remember(self) -> None:
        if self._is_new and self._keep is not None:
            self._keep(self.size)
        self._is_new = False


def _attempt(work: Callable[[slice], T], part: slice) -> tuple[list[T], str]:
    """Try one part; give its result, or why the memory ran out."""
    try:
        return [work(part)], ""
    except Exception as err:
        if not is_out_of_memory(err):
            raise
        return [], _first_line(err)


def _shortage(device: torch.device, what: str, reason: str) -> OutOfMemoryError:
    """Say what does not fit, and what to do."""
    advice = "close other programs that use it"
    if device.type != "cpu":
        advice += f", or {pass_option('device', 'cpu')}"
    return OutOfMemoryError(
        f"not even {what} fits into the memory of {device} ({reason}); {advice}; what "
        "was done is kept, and the same request resumes there"
    )


@contextmanager
def room_for(device: torch.device, what: str) -> Iterator[None]:
    """Turn a lack of memory that nothing helps against into one clear error.

    Parameters
    ----------
    device : torch.device
        Whose memory may be short.
    what : str
        What is being put there.

    Yields
    ------
    None
        While it is put there.

    Raises
    ------
    OutOfMemoryError
        If it does not fit.
    """
    try:
        yield
    except Exception as err:
        if not is_out_of_memory(err):
            raise
        raise _shortage(device, what, _first_line(err)) from err


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def release_memory(device: torch.device) -> None:
    """Give back what PyTorch keeps of the memory of a device for later.

    Parameters
    ----------
    device : torch.device
        Any.
    """
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()


def size_key(device: torch.device, model: str, precision: str) -> str:
    """Name what a batch size holds for.

    Parameters
    ----------
    device : torch.device
        Where the network runs.
    model : str
        The network and the size of its patches.
    precision : str
        Of its convolutions.

    Returns
    -------
    str
        The same in every run on the same device.
    """
    name = device.type
    if device.type == "cuda":
        facts = torch.cuda.get_device_properties(device)
        # Parts of one GPU share its name and not its memory.
        name = f"{facts.name}, {facts.total_memory // 2**20} MiB"
    return f"{name} | {model} | {precision}"


def choose_limit(
    processor: Processor, encoder: Encoder, size_px: int, batch_size: int | None
) -> BatchLimit:
    """Begin with the batch size that is asked for, is known to hold, or should.

    Parameters
    ----------
    processor : Processor
        Device and precision.
    encoder : Encoder
        The network.
    size_px : int
        Side of a patch.
    batch_size : int or None
        What the user asks for; it is tried even where less held before.

    Returns
    -------
    BatchLimit
        It remembers what holds on this device for this network.
    """
    what = f"{encoder.name} at {size_px} px"
    known = KnownNumbers.of_user(FILE_NAME)
    key = size_key(processor.device, what, processor.precision)
    size = batch_size
    if size is None:
        size = processor.default_batch_size(size_px)
        size = min(size, int(known.find(key) or size))
    return BatchLimit(size, processor.device, what, partial(known.keep, key))


__all__ = [
    "BatchLimit",
    "choose_limit",
    "is_out_of_memory",
    "release_memory",
    "room_for",
    "size_key",
]
