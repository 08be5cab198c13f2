"""Try an encoder on a few patches of the slide at hand, before all of them."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from napari_mmsubtype.errors import DamagedTileError
from napari_mmsubtype.inference.batch_limit import BatchLimit
from napari_mmsubtype.inference.device_loss import watch_device

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.stream import ReadsPatches, Transform
    from napari_mmsubtype.models.encoders import Encoder

logger = logging.getLogger(__name__)

TRIED = 16
"""Patches of a trial."""


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """What an encoder made of a few patches.

    Attributes
    ----------
    patches : ndarray of uint8, shape (n, y, x, 3)
        As `sample_patches` gave them, n > 0.
    rows : ndarray of float32, shape (n, d)
        Embeddings.
    seconds : float
        Per patch.
    """

    patches: NDArray[np.uint8]
    rows: NDArray[np.float32]
    seconds: float


def sample_patches(
    source: ReadsPatches, transform: Transform | None = None, count: int = TRIED
) -> NDArray[np.uint8]:
    """Read patches spread over the slide, leaving out those that are damaged.

    Parameters
    ----------
    source : ReadsPatches
        The patches to do.
    transform : callable, optional
        Change of color of the patches before they are encoded.
    count : int, default: `TRIED`
        How many.

    Returns
    -------
    ndarray of uint8, shape (n, y, x, 3)
        At most ``count``, in their order; n is 0 where none can be read.
    """
    patches = []
    places = np.linspace(0, len(source) - 1, min(count, len(source)))
    for index in places.round().astype(int).tolist():
        try:
            patches.append(source.read(index))
        except DamagedTileError as err:
            # The run itself marks the patch and counts it.
            logger.debug("patch %d left out of the trial: %s", index, err)
    if not patches:
        return np.empty((0, 0, 0, 3), np.uint8)
    pixels = np.stack(patches)
    return pixels if transform is None else transform(pixels)


@torch.inference_mode()
def random_images(
    encoder: Encoder, count: int, size_px: int, device: torch.device
) -> torch.Tensor:
    """Make images of random pixels, where no slide is to have a part in a decision.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the device.
    count : int
        How many; the same ones every time.
    size_px : int
        Side of a patch.
    device : torch.device
        Where they are needed.

    Returns
    -------
    Tensor, shape (count, 3, y, x)
        Normalized, in the layout that batches have.
    """
    shape = (count, size_px, size_px, 3)
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, shape, generator=generator, dtype=torch.uint8)
    images = encoder.normalize(pixels.to(device))
    return images.contiguous(memory_format=torch.channels_last)


@torch.inference_mode()
def try_patches(
    encoder: Encoder, patches: NDArray[np.uint8], processor: Processor
) -> tuple[NDArray[np.float32], float]:
    """Embed patches in two halves and look at the clock.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the processor.
    patches : ndarray of uint8, shape (n, y, x, 3)
        At least one.
    processor : Processor
        Device and precision.

    Returns
    -------
    rows : ndarray of float32, shape (n, d)
        Embeddings.
    seconds : float
        Per patch, of the faster half: the first one may wait for libraries.
    """
    seconds: list[float] = []

    def _embed(part: slice) -> NDArray[np.float32]:
        with watch_device(processor.device):
            start = time.perf_counter()
            pixels = torch.from_numpy(patches[part]).to(processor.device)
            with processor.autocasting():
                images = encoder.normalize(pixels)
                images = images.contiguous(memory_format=torch.channels_last)
                features = encoder.feature_map(images)
            found: NDArray[np.float32] = features.float().mean((2, 3)).cpu().numpy()
            seconds.append((time.perf_counter() - start) / len(found))
        return found

    limit = BatchLimit(-(-len(patches) // 2), processor.device, encoder.name)
    rows = limit.run(_embed, len(patches))
    return np.concatenate(rows), min(seconds)
