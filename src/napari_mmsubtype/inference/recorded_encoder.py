"""Record what a CUDA device does with a batch, and have it do the same with others.

A network asks the device for some hundred small steps one by one, and asking takes the
processor longer than some of them take the device. A CUDA graph is asked for at once:
the same steps, of the same memory, in the same order.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Protocol

import torch

from napari_mmsubtype.inference.batch_limit import size_key
from napari_mmsubtype.inference.derived_encoder import DerivedEncoder
from napari_mmsubtype.inference.known_numbers import KnownNumbers
from napari_mmsubtype.inference.trial import random_images

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.models.encoders import Encoder

    Work = Callable[[Tensor], Tensor]

logger = logging.getLogger(__name__)

DEVICES = ("cuda",)
"""Kinds of devices that can be recorded."""
FILE_NAME = "recorded-times.json"
MIN_BATCHES = 100
"""Batches of a slide that repays a trial, which costs about a dozen."""
_CLEARLY_FASTER = 0.97
"""Time over that of the plain network which speaks for a recording: it keeps memory."""
_WARM_UP = 3
"""Batches before a recording, as PyTorch advises: libraries choose their kernels."""
_TIMED = 3


class Replays(Protocol):
    """What does again what was recorded."""

    def replay(self, images: Tensor) -> Tensor:
        """Do it with other images.

        Parameters
        ----------
        images : Tensor, shape (n, 3, y, x)
            Of the shape, precision and layout that was recorded.

        Returns
        -------
        Tensor, shape (n, d, h, w)
            Feature maps, until the next call.
        """


class CudaRecording:
    """A CUDA graph of a network, for batches of one shape.

    Parameters
    ----------
    work : callable
        Takes images and gives feature maps; it does the same steps every time.
    images : Tensor, shape (n, 3, y, x)
        On the device, in the layout that batches will have.

    Raises
    ------
    RuntimeError
        If a step cannot be recorded, or memory runs out.
    """

    def __init__(self, work: Work, images: Tensor) -> None:
        self._device = images.device
        self._images = images.clone()
        with torch.cuda.device(self._device):
            current = torch.cuda.current_stream()
            aside = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]
            aside.wait_stream(current)
            with torch.cuda.stream(aside):
                for _ in range(_WARM_UP):
                    work(self._images)
            current.wait_stream(aside)
            self._graph = torch.cuda.CUDAGraph()
            # Other threads may ask the device for memory meanwhile. Without a stream of
            # this device, PyTorch takes one of the first device it ever recorded.
            with torch.cuda.graph(
                self._graph, stream=aside, capture_error_mode="thread_local"
            ):
                self._features = work(self._images)

    def replay(self, images: Tensor) -> Tensor:
        """Do it with other images.

        Parameters
        ----------
        images : Tensor, shape (n, 3, y, x)
            Of the shape, precision and layout that was recorded.

        Returns
        -------
        Tensor, shape (n, d, h, w)
            Feature maps, until the next call. What is asked of the current stream
            before that call still finds them.
        """
        with torch.cuda.device(self._device):
            self._images.copy_(images)
            self._graph.replay()
        return self._features


class RecordedEncoder(DerivedEncoder):
    """An encoder whose steps on whole batches were recorded.

    Parameters
    ----------
    encoder : Encoder
        Runs what has another shape, such as the last batch of a slide.
    recording : Replays
        Of this encoder.
    images : Tensor, shape (n, 3, y, x)
        Such as were recorded.
    """

    def __init__(self, encoder: Encoder, recording: Replays, images: Tensor) -> None:
        super().__init__(encoder, encoder.body)
        self._recording = recording
        self._kind = _kind(images)

    def _features(self, images: Tensor) -> Tensor:
        if _kind(images) == self._kind:
            return self._recording.replay(images)
        return self.plain.feature_map(images)


def _kind(images: Tensor) -> tuple[object, ...]:
    """Tell what images have to have in common to go through the same recording."""
    return (images.shape, images.stride(), images.dtype, images.device)


@torch.inference_mode()
def choose_recorded(
    encoder: Encoder,
    processor: Processor,
    *,
    size_px: int,
    batch_size: int,
    count: int,
    record: Callable[[Work, Tensor], Replays] = CudaRecording,
) -> Encoder:
    """Record an encoder where that is faster, and the same to the last bit.

    Where it was not faster, this is not tried again on this machine for 30 days.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the processor.
    processor : Processor
        Device and precision.
    size_px : int
        Side of a patch.
    batch_size : int
        Patches that go through the encoder at once.
    count : int
        How many patches there are to do.
    record : callable, optional
        Makes a recording of work, of images of one kind.

    Returns
    -------
    Encoder
        The one given where it cannot be recorded, or nothing is gained.
    """
    device = processor.device
    if device.type not in DEVICES or count < MIN_BATCHES * batch_size:
        return encoder
    what = f"{encoder.name}, {batch_size} patches of {size_px} px"
    key = size_key(device, what, processor.precision)
    known = KnownNumbers.of_user(FILE_NAME)
    if (known.find(key) or 0.0) > _CLEARLY_FASTER:
        return encoder

    def _work(images: Tensor) -> Tensor:
        # Weights that autocast keeps in lower precision would be gone at a replay.
        with processor.autocasting(keeps=False):
            return encoder.feature_map(images)

    try:
        images = random_images(encoder, batch_size, size_px, device)
        recorded = RecordedEncoder(encoder, record(_work, images), images)
        # Of the images that were recorded, features are there without a replay.
        other = images.flip(-1).contiguous(memory_format=torch.channels_last)
        with processor.autocasting():
            expected = encoder.feature_map(other).clone()
            same = torch.equal(recorded.feature_map(other), expected)
        plain_s = _seconds(encoder, images, processor)
        share = _seconds(recorded, images, processor) / plain_s
    except RuntimeError as err:
        # Also a lack of memory. A device that is gone tells so to what comes next.
        reason = (str(err).strip().splitlines() or [type(err).__name__])[0]
        logger.info("%s: step by step, because %s", what, reason)
        return encoder
    if not same:
        logger.warning(
            "encoder %s gives other numbers when it is recorded; it runs step by step",
            encoder.name,
        )
        return encoder
    known.keep(key, share)
    logger.info("%s: %.0f %% of the time when recorded", what, 100 * share)
    return recorded if share <= _CLEARLY_FASTER else encoder


def _seconds(encoder: Encoder, images: Tensor, processor: Processor) -> float:
    """Time some batches, all asked for at once, as those of a slide are."""
    _wait(images.device)
    start = time.perf_counter()
    for _ in range(_TIMED):
        # Anew for each, as in a run: within one, weights are lowered only once.
        with processor.autocasting():
            encoder.feature_map(images)
    _wait(images.device)
    return time.perf_counter() - start


def _wait(device: torch.device) -> None:
    """Wait for what a device was asked for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


__all__ = [
    "FILE_NAME",
    "MIN_BATCHES",
    "CudaRecording",
    "RecordedEncoder",
    "choose_recorded",
]
