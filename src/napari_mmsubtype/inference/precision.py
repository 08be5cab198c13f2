"""Choose the precision of an encoder from what it does on the slide at hand."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference.device import (
    INT8,
    Processor,
    fast_in_bfloat16,
    fast_in_int8,
    quantized_on_cpu,
)
from napari_mmsubtype.inference.precision_trial import try_in_float32
from napari_mmsubtype.inference.quantized_graph import quantize_encoder
from napari_mmsubtype.inference.trial import Trial, sample_patches, try_patches
from napari_mmsubtype.results import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.agreement import Agreement
    from napari_mmsubtype.inference.stream import ReadsPatches, Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter

    Judge = Callable[[NDArray[np.float16]], Sequence[float]]

logger = logging.getLogger(__name__)

_FEWEST = 64
"""Patches below which a slide is not worth a trial of what nobody asked for."""
_SAMPLED_FOR_INT8 = 24
_TELL_RANGES = slice(None, None, 3)
_WORTH_S = 1.0
_WORTH_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """A precision, and why.

    Attributes
    ----------
    processor : Processor
        With the precision to use.
    reason : str
        For the provenance.
    warning : str
        What the user should know; empty where nothing is unusual.
    trial : Trial or None
        What the encoder made of some patches in this precision, if it was tried.
    encoder : Encoder or None
        The one to use, where the precision takes another than the one given.
    """

    processor: Processor
    reason: str
    warning: str = ""
    trial: Trial | None = None
    encoder: Encoder | None = None

    def to_dict(self) -> dict[str, str]:
        """Turn the choice into what the provenance of a store records.

        Returns
        -------
        dict of str to str
            Device, precision, reason and, where there is one, warning.
        """
        entry = {
            "device": str(self.processor.device),
            "precision": self.processor.precision,
            "precision_reason": self.reason,
            "precision_warning": self.warning,
        }
        return {name: text for name, text in entry.items() if text}

    @classmethod
    def resume(
        cls, processor: Processor, asked: str, provenance: Mapping[str, Any]
    ) -> PrecisionChoice:
        """Keep to the precision that a store was begun in.

        Parameters
        ----------
        processor : Processor
            Of this run, perhaps on another machine, as chosen for ``asked``.
        asked : str
            The request: one of `recipe.PRECISIONS`.
        provenance : mapping
            Of the store, as begun.

        Returns
        -------
        PrecisionChoice
            On this run's device. What suited a GPU may be slow on a CPU: on another
            kind of device its usual precision is taken, unless one was asked for, and
            the result tells which patches ran in which.
        """
        reason = provenance.get("precision_reason", "")
        warning = provenance.get("precision_warning", "")
        begun = str(provenance["device"]).partition(":")[0]
        if asked == "auto" and begun == processor.device.type:
            if provenance["precision"] == INT8:
                if fast_in_int8():
                    processor = quantized_on_cpu(processor.device)
            else:
                kind = getattr(torch, provenance["precision"])
                lowered = None if kind is torch.float32 else kind
                processor = replace(processor, autocast=lowered)
        return cls(processor, reason, warning)


def settle(
    encoder: Encoder,
    source: ReadsPatches,
    processor: Processor,
    asked: str,
    *,
    judge: Judge,
    transform: Transform | None = None,
) -> PrecisionChoice:
    """Choose the precision of a new run.

    Unless it is asked for, less than float32 is taken only where embeddings and class
    probabilities of patches from all over the slide stay what they are in float32; on a
    CPU it must also be in hardware and save seconds. Where it is asked for, the same
    patches tell what it costs. Half of them do where they differ by half of what is
    allowed, or less.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the device in float32.
    source : ReadsPatches
        The patches to do.
    processor : Processor
        As chosen for ``asked``.
    asked : str
        The request: one of `recipe.PRECISIONS`, but int8.
    judge : callable
        Gives the class probabilities of embeddings, float16, shape (n, d).
    transform : callable, optional
        Change of color of the patches before they are encoded.

    Returns
    -------
    PrecisionChoice
        Precision and reason.
    """
    whole = processor.in_float32()
    is_cpu = processor.device.type == "cpu"
    if asked == "float32":
        return PrecisionChoice(whole, "as asked")
    if asked == "auto" and is_cpu and not fast_in_bfloat16():
        return PrecisionChoice(whole, "this CPU has no bfloat16 in hardware")
    if asked == "auto" and is_cpu and len(source) < _FEWEST:
        return PrecisionChoice(whole, "too few patches to gain from less")
    low = processor
    if processor.autocast is None and (asked == "bfloat16" or is_cpu):
        low = replace(processor, autocast=torch.bfloat16)
    if low.autocast is None:
        return PrecisionChoice(whole, "usual on this device")
    patches = sample_patches(source, transform)
    if not len(patches):
        kept = low if asked == "bfloat16" else whole
        return PrecisionChoice(kept, "no patch of the trial could be read")
    in_low = Trial(patches, *try_patches(encoder, patches, low))
    in_whole, agreement = try_in_float32(encoder, whole, in_low, judge)
    whole_s, less_s = in_whole.seconds, in_low.seconds
    tried = f"in {len(in_whole.rows)} patches tried, {agreement}"
    if asked == "bfloat16":
        return replace(_obey(low, agreement, tried), trial=in_low)
    saved = (whole_s - less_s) * len(source)
    if is_cpu and (saved < _WORTH_S or less_s > (1 - _WORTH_SHARE) * whole_s):
        reason = f"{low.precision} would save {max(saved, 0):.0f} s of this slide"
        return PrecisionChoice(whole, reason, trial=in_whole)
    if agreement.holds:
        reason = f"saves about {saved:.0f} s" if is_cpu else "usual on this device"
        return PrecisionChoice(low, f"{reason}; {tried}", trial=in_low)
    warning = (
        f"the encoder was run in float32, because {low.precision} changes what it says "
        f"of this slide: {tried}; the result is as usual, it took longer"
    )
    logger.warning(warning)
    reason = f"{low.precision} does not hold: {tried}"
    return PrecisionChoice(whole, reason, warning, in_whole)


def settle_in_int8(
    encoder: Encoder,
    source: ReadsPatches,
    processor: Processor,
    *,
    judge: Judge,
    transform: Transform | None = None,
) -> PrecisionChoice:
    """Make a new run one of 8-bit whole numbers, and tell what that costs.

    A third of the patches drawn tell the range of each map; those that are compared
    lie between them.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the CPU in float32; left as it is.
    source : ReadsPatches
        The patches to do.
    processor : Processor
        Of `device.quantized_on_cpu`.
    judge : callable
        As `settle` takes it.
    transform : callable, optional
        As `settle` takes it.

    Returns
    -------
    PrecisionChoice
        With the encoder to use; float32 where no patch could be read.

    Raises
    ------
    ConfigurationError
        If this encoder cannot be run so.
    """
    whole = processor.in_float32()
    patches = sample_patches(source, transform, _SAMPLED_FOR_INT8)
    if not len(patches):
        return PrecisionChoice(whole, "no patch of the trial could be read")
    made = _quantized(encoder, patches, processor)
    # One patch alone tells its range and is compared.
    rest = np.delete(patches, _TELL_RANGES, axis=0) if len(patches) > 1 else patches
    in_low = Trial(rest, *try_patches(made, rest, processor))
    in_whole, agreement = try_in_float32(encoder, whole, in_low, judge)
    tried = f"in {len(in_whole.rows)} patches tried, {agreement}"
    choice = _obey(processor, agreement, tried)
    return replace(choice, encoder=made)


def settled_before(
    encoder: Encoder,
    source: ReadsPatches,
    processor: Processor,
    asked: str,
    begun: Mapping[str, Any],
    *,
    transform: Transform | None = None,
) -> PrecisionChoice:
    """Keep to the precision that a run was begun in, and to its encoder.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the device in float32.
    source : ReadsPatches
        The patches of the run.
    processor : Processor
        As chosen for ``asked``.
    asked : str
        The request: one of `recipe.PRECISIONS`.
    begun : mapping
        Provenance of the store.
    transform : callable, optional
        As `settle` takes it.

    Returns
    -------
    PrecisionChoice
        As `PrecisionChoice.resume` gives it; whole numbers are made of the same
        patches again.
    """
    choice = PrecisionChoice.resume(processor, asked, begun)
    if not choice.processor.quantized:
        return choice
    patches = sample_patches(source, transform, _SAMPLED_FOR_INT8)
    if not len(patches):
        return replace(choice, processor=choice.processor.in_float32())
    made = _quantized(encoder, patches, choice.processor)
    return replace(choice, encoder=made)


def require_quantizable(encoder: Encoder, size_px: int, processor: Processor) -> None:
    """Refuse an encoder that cannot be run in whole numbers, before a run is begun.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the CPU in float32; left as it is.
    size_px : int
        Side of the patches.
    processor : Processor
        Of `device.quantized_on_cpu`.

    Raises
    ------
    ConfigurationError
        If `settle_in_int8` would refuse it.
    """
    pixels = np.random.default_rng(0).integers(0, 256, (1, size_px, size_px, 3))
    _quantized(encoder, pixels.astype(np.uint8), processor)


def _quantized(
    encoder: Encoder, patches: NDArray[np.uint8], processor: Processor
) -> Encoder:
    """Make an encoder of whole numbers; the same patches always give the same one."""
    kind = processor.autocast or torch.float32
    made = quantize_encoder(encoder, torch.from_numpy(patches[_TELL_RANGES]), kind)
    if made is None:
        msg = (
            f"precision int8 is for networks of convolutions whose steps can be "
            f"followed, and encoder {encoder.name!r} is none for PyTorch "
            f"{torch.__version__}; use --precision bfloat16 or float32"
        )
        raise ConfigurationError(msg)
    return made


def _obey(low: Processor, agreement: Agreement, tried: str) -> PrecisionChoice:
    """Take the precision that was asked for, and say what it costs."""
    if agreement.holds:
        return PrecisionChoice(low, f"as asked; {tried}")
    warning = (
        f"the encoder was run in {low.precision} as asked, although it changes what "
        f"the encoder says of this slide: {tried}; "
        "ask for float32 to be sure"
    )
    logger.warning(warning)
    return PrecisionChoice(low, f"as asked; {tried}", warning)


def settled_job(
    encoder: Encoder,
    source: ReadsPatches,
    writer: StoreWriter,
    processor: Processor,
    asked: str,
    *,
    judge: Judge,
    transform: Transform | None = None,
) -> Job[PrecisionChoice]:
    """Choose the precision of a run, or keep to that of the run it resumes.

    Parameters
    ----------
    encoder : Encoder
        Prepared for the device in float32.
    source : ReadsPatches
        The patches to do.
    writer : StoreWriter
        Keeps the choice in its provenance, and is told what it receives from now on.
    processor : Processor
        As chosen for ``asked``.
    asked : str
        The request: one of `recipe.PRECISIONS`.
    judge : callable
        As `settle` takes it.
    transform : callable, optional
        As `settle` takes it.

    Yields
    ------
    Progress
        One event, of stage ``patches``, where there is something to try.

    Returns
    -------
    PrecisionChoice
        What the store is, or was begun, in.
    """
    done = int(np.count_nonzero(writer.read(schema.STATUS)))
    if done:
        begun = writer.attributes["provenance"]
        choice = settled_before(
            encoder, source, processor, asked, begun, transform=transform
        )
        facts = None
    else:
        yield Progress("patches", 0, len(source), "choosing the precision")
        choose = settle_in_int8 if asked == INT8 else partial(settle, asked=asked)
        choice = choose(encoder, source, processor, judge=judge, transform=transform)
        facts = choice.to_dict()
    used = choice.processor
    writer.use_processor(str(used.device), used.precision, facts)
    return choice
