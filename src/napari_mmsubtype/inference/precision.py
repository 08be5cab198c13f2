"""Choose the precision of an encoder from what it does on the slide at hand."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import SlideReadError
from napari_mmsubtype.inference.device import Processor, fast_in_bfloat16
from napari_mmsubtype.results import schema

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.inference.stream import ReadsPatches, Transform
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter

    Judge = Callable[[NDArray[np.float16]], Sequence[float]]

logger = logging.getLogger(__name__)

MIN_COSINE = 0.999
"""Every embedding must point this closely where the one of float32 points."""
MIN_CENTERED = 0.995
"""The same of all patches together, less what they have in common."""
MAX_PROBABILITY_CHANGE = 0.01
"""No class probability of the patches tried may change by more."""

_TRIED = 16
_FEWEST = 64
"""Patches below which a slide is not worth a trial."""
_WORTH_S = 5.0
_WORTH_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Agreement:
    """How closely a lower precision follows float32.

    Attributes
    ----------
    cosine : float
        Cosine similarity of the embeddings, of the patch where it is lowest.
    centered : float
        Cosine similarity of the embeddings of all patches, each less the mean over
        the patches in float32.
    probability_change : float
        Largest change of a class probability.
    """

    cosine: float
    centered: float
    probability_change: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the two differ by no more than is allowed."""
        return (
            self.cosine >= MIN_COSINE
            and self.centered >= MIN_CENTERED
            and self.probability_change <= MAX_PROBABILITY_CHANGE
        )


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
    """

    processor: Processor
    reason: str
    warning: str = ""

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
        cls, processor: Processor, provenance: Mapping[str, Any]
    ) -> PrecisionChoice:
        """Keep to the precision that a store was begun in.

        Parameters
        ----------
        processor : Processor
            Of this run, perhaps on another machine.
        provenance : mapping
            Of the store, as begun.

        Returns
        -------
        PrecisionChoice
            On this run's device: one store holds numbers of one precision.
        """
        kind = getattr(torch, provenance["precision"])
        lowered = None if kind is torch.float32 else kind
        return cls(
            replace(processor, autocast=lowered),
            provenance.get("precision_reason", ""),
            provenance.get("precision_warning", ""),
        )


def compare(
    expected: NDArray[np.floating[Any]], found: NDArray[np.floating[Any]]
) -> Agreement:
    """Compare embeddings with those computed in float32.

    Parameters
    ----------
    expected : ndarray of float, shape (n, d)
        In float32, at least one.
    found : ndarray of float, shape (n, d)
        In a lower precision.

    Returns
    -------
    Agreement
        Without probabilities. Patches that do not differ in float32 have nothing
        left to be compared once centered; the rest then counts as equal.
    """
    whole, low = np.asarray(expected, np.float64), np.asarray(found, np.float64)
    mean = whole.mean(axis=0)
    return Agreement(
        cosine=min(_cosine(a, b) for a, b in zip(whole, low, strict=True)),
        centered=_cosine((whole - mean).ravel(), (low - mean).ravel())
        if np.ptp(whole, axis=0).any()
        else 1.0,
    )


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

    bfloat16 is taken on a CPU only where all of this holds: nothing else was asked for,
    the CPU has it in hardware, a trial on patches from all over the slide shows that it
    saves seconds, and embeddings and class probabilities of the trial stay what they
    are in float32.

    Parameters
    ----------
    encoder : Encoder
        Prepared for float32.
    source : ReadsPatches
        The patches to do.
    processor : Processor
        As chosen for ``asked``.
    asked : str
        The request: one of `recipe.PRECISIONS`.
    judge : callable
        Gives the class probabilities of embeddings, float16, shape (n, d).
    transform : callable, optional
        Change of color of the patches before they are encoded.

    Returns
    -------
    PrecisionChoice
        Precision and reason.
    """
    if asked != "auto":
        return PrecisionChoice(processor, "as asked")
    if processor.device.type != "cpu":
        return PrecisionChoice(processor, "usual on this device")
    if not fast_in_bfloat16():
        return PrecisionChoice(processor, "this CPU has no bfloat16 in hardware")
    if len(source) < _FEWEST:
        return PrecisionChoice(processor, "too few patches to gain from less")
    patches = _sample(source, transform)
    if not len(patches):
        return PrecisionChoice(processor, "no patch of the trial could be read")
    low = replace(processor, autocast=torch.bfloat16)
    whole, whole_s = _trial(encoder, patches, processor)
    less, less_s = _trial(encoder, patches, low)
    saved = (whole_s - less_s) * len(source)
    if saved < _WORTH_S or less_s > (1 - _WORTH_SHARE) * whole_s:
        return PrecisionChoice(
            processor, f"bfloat16 would save {max(saved, 0):.0f} s of this slide"
        )
    before, after = judge(whole.astype(np.float16)), judge(less.astype(np.float16))
    agreement = replace(
        compare(whole, less),
        probability_change=float(np.abs(np.subtract(before, after)).max()),
    )
    tried = (
        f"embeddings of {len(patches)} patches tried agree to {agreement.cosine:.4f} "
        f"({agreement.centered:.4f} less their mean), class probabilities within "
        f"{agreement.probability_change:.4f}"
    )
    if not agreement.holds:
        warning = (
            "the encoder was run in float32, because bfloat16 changes what it says of "
            f"this slide: {tried}; the result is as usual, it took longer"
        )
        logger.warning(warning)
        return PrecisionChoice(processor, f"bfloat16 does not hold: {tried}", warning)
    return PrecisionChoice(low, f"saves about {saved:.0f} s; {tried}")


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
        Prepared for ``processor``.
    source : ReadsPatches
        The patches to do.
    writer : StoreWriter
        Keeps the choice in its provenance.
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
        return PrecisionChoice.resume(processor, writer.attributes["provenance"])
    yield Progress("patches", 0, len(source), "choosing the precision")
    choice = settle(encoder, source, processor, asked, judge=judge, transform=transform)
    writer.write_provenance(choice.to_dict())
    return choice


def _sample(source: ReadsPatches, transform: Transform | None) -> NDArray[np.uint8]:
    """Read patches spread over the slide, leaving out those that are damaged."""
    patches = []
    for index in np.linspace(0, len(source) - 1, _TRIED).round().astype(int):
        try:
            patches.append(source.read(int(index)))
        except SlideReadError as err:
            # The run itself marks the patch and counts it.
            logger.debug("patch %d left out of the trial: %s", index, err)
    if not patches:
        return np.empty((0, 0, 0, 3), np.uint8)
    pixels = np.stack(patches)
    return pixels if transform is None else transform(pixels)


@torch.inference_mode()
def _trial(
    encoder: Encoder, patches: NDArray[np.uint8], processor: Processor
) -> tuple[NDArray[np.float32], float]:
    """Embed patches in two halves; give the seconds per patch of the faster one."""
    rows, seconds = [], []
    for part in torch.from_numpy(patches).chunk(2):
        start = time.perf_counter()
        with processor.autocasting():
            features = encoder.feature_map(encoder.normalize(part))
        rows.append(features.float().mean(dim=(2, 3)).numpy())
        seconds.append((time.perf_counter() - start) / len(part))
    return np.concatenate(rows), min(seconds)


def _cosine(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Give the cosine similarity; not-a-number and zero agree with nothing."""
    norm = float(np.linalg.norm(a) * np.linalg.norm(b))
    value = float(a @ b) / norm if norm else float(not a.any() and not b.any())
    return value if np.isfinite(value) else -1.0
