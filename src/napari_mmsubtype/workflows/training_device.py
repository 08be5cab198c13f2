"""Lend a network to the processor that trains it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.errors import DeviceLostError, OutOfMemoryError
from napari_mmsubtype.inference.batch_limit import is_out_of_memory
from napari_mmsubtype.inference.device import choose_processor
from napari_mmsubtype.inference.device_loss import watch_device

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from torch import nn


@contextmanager
def lent_to(device: str, network: nn.Module, section: str) -> Iterator[torch.device]:
    """Move a network to a processor, and back to the CPU afterwards.

    Parameters
    ----------
    device : str
        As `inference.device.choose_processor` takes it.
    network : Module
        Trained within, in place.
    section : {"fusion_training", "patch_training"}
        Of the preset, which says how it is trained.

    Yields
    ------
    torch.device
        Where the network is.

    Raises
    ------
    ConfigurationError
        If the device is not there.
    OutOfMemoryError
        If a step does not fit into its memory.
    DeviceLostError
        If it stopped answering; the network is lost with it.
    """
    place = choose_processor(device).device
    is_lost = False
    try:
        with watch_device(place):
            network.to(place)
            yield place
    except DeviceLostError:
        is_lost = True
        raise
    except (RuntimeError, MemoryError) as err:
        if not is_out_of_memory(err):
            raise
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        advice = f"or {pass_option('device', 'cpu')}; " if place.type != "cpu" else ""
        msg = (
            f"a training step does not fit into the memory of {place} ({reason}); take "
            f"it in more parts (setting {section}.accumulation), {advice}what was done "
            "is kept"
        )
        raise OutOfMemoryError(msg) from err
    finally:
        if not is_lost:
            network.cpu()
