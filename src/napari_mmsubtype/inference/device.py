"""Which processor runs the networks, and in which precision."""

from __future__ import annotations

import logging
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any

import torch

from napari_mmsubtype.core.recipe import PRECISIONS
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.models.graphics_card import (
    has_bfloat16,
    lacks_kernels,
    whole_float32,
)

logger = logging.getLogger(__name__)

INT8 = "int8"
"""The precision in which convolutions multiply 8-bit whole numbers."""

_CPU_BATCH_PIXELS = 16 * 224 * 224
_GPU_FACTOR = 8


@dataclass(frozen=True, slots=True)
class Processor:
    """A device and the precision that suits it.

    Attributes
    ----------
    device : torch.device
        Where the networks run.
    autocast : torch.dtype or None
        Reduced precision for convolutions, or None for float32 throughout.
    quantized : bool
        Whether convolutions multiply 8-bit whole numbers, on a CPU; what is left is
        done as ``autocast`` says.
    """

    device: torch.device
    autocast: torch.dtype | None
    quantized: bool = False

    @property
    def precision(self) -> str:
        """Name of the precision, for the provenance."""
        if self.quantized:
            return INT8
        kind = self.autocast or torch.float32
        return str(kind).removeprefix("torch.")

    def in_float32(self) -> Processor:
        """Give the same device without reduced precision.

        Returns
        -------
        Processor
            To prepare an encoder for, before its precision is chosen.
        """
        return replace(self, autocast=None, quantized=False)

    def autocasting(self, *, keeps: bool = True) -> AbstractContextManager[object]:
        """Give the context in which the encoder runs.

        Parameters
        ----------
        keeps : bool, default: True
            Whether weights in lower precision are kept for what follows in it.

        Returns
        -------
        context manager
            Autocast where it helps; else float32, which cards would round otherwise.
        """
        if self.autocast is not None:
            kind = self.device.type
            return torch.autocast(kind, dtype=self.autocast, cache_enabled=keeps)
        return whole_float32() if self.device.type == "cuda" else nullcontext()

    def default_batch_size(self, patch_size_px: int) -> int:
        """Choose how many patches go through the encoder at once.

        Parameters
        ----------
        patch_size_px : int
            Side of a patch.

        Returns
        -------
        int
            At least 1; the same pixels per batch whatever the patch size.
        """
        pixels = _CPU_BATCH_PIXELS
        if self.device.type != "cpu":
            pixels *= _GPU_FACTOR
        return max(1, min(pixels // patch_size_px**2, 256))


def fast_in_bfloat16() -> bool:
    """Tell whether this CPU multiplies bfloat16 numbers in hardware.

    Returns
    -------
    bool
        Whether it has AMX tiles or AVX-512 BF16; elsewhere bfloat16 is emulated, and
        slower than float32.
    """
    return has_tiles() or _has("_is_avx512_bf16_supported")


def has_tiles() -> bool:
    """Tell whether this CPU multiplies small matrices at once, with AMX.

    Returns
    -------
    bool
        Products are so fast there that what a network does besides takes as long.
    """
    return _has("_is_amx_tile_supported")


def _has(test: str) -> bool:
    """Ask PyTorch about the processor."""
    # Tests that it keeps private; where a version has them no more, no is the safe
    # answer.
    return bool(getattr(torch.cpu, test, bool)())


def fast_in_int8() -> bool:
    """Tell whether this CPU sums products of 8-bit numbers in hardware.

    Returns
    -------
    bool
        Whether it has AVX-512 VNNI or AVX VNNI; elsewhere sums may overflow.
    """
    # The other, public one is of later versions.
    if _has("_is_vnni_supported"):
        return True
    told: dict[str, Any] = getattr(torch.cpu, "get_capabilities", dict)()
    return any(told.get(name, False) for name in ("avx512_vnni", "avx_vnni"))


def quantized_on_cpu(device: torch.device) -> Processor:
    """Give the processor for 8-bit whole numbers.

    Parameters
    ----------
    device : torch.device
        Where the networks run.

    Returns
    -------
    Processor
        What is not in whole numbers is in the fastest precision of the CPU.

    Raises
    ------
    ConfigurationError
        If it is no CPU, or one without the instructions.
    """
    if device.type != "cpu":
        msg = (
            f"precision int8 runs on CPUs, and this run would use {device}; use "
            "--device cpu, or --precision auto"
        )
        raise ConfigurationError(msg)
    if not fast_in_int8():
        msg = (
            "precision int8 needs a CPU with VNNI instructions (Intel since 2019, AMD "
            "since 2022), which this one lacks; use --precision auto"
        )
        raise ConfigurationError(msg)
    rest = torch.bfloat16 if fast_in_bfloat16() else None
    return Processor(device, rest, quantized=True)


def choose_processor(name: str = "auto", precision: str = "auto") -> Processor:
    """Turn a device name into a processor that is really there.

    Parameters
    ----------
    name : str, default: "auto"
        ``auto`` takes CUDA where this PyTorch was built for the card, then Apple's MPS,
        then the CPU; or ``cpu``, ``cuda``, ``cuda:1``, ``mps``.
    precision : {"auto", "float32", "bfloat16", "int8"}, default: "auto"
        ``auto`` takes what suits a GPU, and float32 elsewhere, where
        `precision.settle` may find that a slide repays less.

    Returns
    -------
    Processor
        Device and precision.

    Raises
    ------
    ConfigurationError
        If the device asked for is not there, or the precision is unknown or not to be
        had there.
    """
    if precision not in PRECISIONS:
        msg = f"unknown precision {precision!r}; use one of {', '.join(PRECISIONS)}"
        raise ConfigurationError(msg)
    forced = {"float32": None, "bfloat16": torch.bfloat16}
    if name == "auto":
        if torch.cuda.is_available() and not _told_lack():
            name = "cuda"
        elif torch.backends.mps.is_available():
            name = "mps"
        else:
            name = "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as err:
        msg = f"unknown device {name!r}; use auto, cpu, cuda, cuda:<number> or mps"
        raise ConfigurationError(msg) from err
    _check_it_is_there(device)
    if precision == INT8:
        return quantized_on_cpu(device)
    if device.type == "cuda":
        half = torch.bfloat16 if has_bfloat16(device) else torch.float16
        return Processor(device, forced.get(precision, half))
    return Processor(device, forced.get(precision))


def _told_lack() -> bool:
    """Tell whether the card cannot be used, and log why."""
    lack = lacks_kernels(torch.device("cuda"))
    if lack:
        logger.warning("%s: it is not used", lack)
    return bool(lack)


def _check_it_is_there(device: torch.device) -> None:
    """Refuse a device that this machine lacks."""
    name = str(device)
    if device.type == "cuda":
        count = torch.cuda.device_count() if torch.cuda.is_available() else 0
        if (device.index or 0) >= count:
            msg = (
                f"device {name!r} is not there: PyTorch {torch.__version__} sees "
                f"{count} CUDA devices; use --device auto or cpu, or check the driver"
            )
            raise ConfigurationError(msg)
        lack = lacks_kernels(device)
        if lack:
            msg = f"{lack}; install one that was, or use --device cpu"
            raise ConfigurationError(msg)
    if device.type == "mps" and not torch.backends.mps.is_available():
        msg = f"device {name!r} is not there: this machine has no Apple GPU; use cpu"
        raise ConfigurationError(msg)
