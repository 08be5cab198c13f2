"""Everything at hand to draw patches of a finished analysis by another method."""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING, Any, Protocol, Self

import torch

from napari_mmsubtype.core.cam_methods import ROLLOUT, checked_cam, require_redrawable
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.errors import ConfigurationError
from napari_mmsubtype.inference.batch_limit import choose_limit
from napari_mmsubtype.inference.device import INT8, choose_processor
from napari_mmsubtype.inference.draw_cells import draw_cells_job, gradient_maps
from napari_mmsubtype.inference.encode import prepare
from napari_mmsubtype.inference.precision import settled_before
from napari_mmsubtype.inference.replay import replay_case_job
from napari_mmsubtype.models.attention_rollout import AttentionTap
from napari_mmsubtype.results.stored_slide import slide_place
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.registry import open_quietly
from napari_mmsubtype.slides.stain import StainNormalizer

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    import numpy as np
    from numpy.typing import NDArray

    from napari_mmsubtype.inference.replay import ReplayedCase
    from napari_mmsubtype.results.store import Result
    from napari_mmsubtype.slides.slide import Slide


class TakesCells(Protocol):
    """Anything that keeps maps of patches, such as `CamWriter`."""

    def write_cells(self, start: int, cells: NDArray[np.float32]) -> None:
        """Keep a run of patches.

        Parameters
        ----------
        start : int
            Index of the first patch.
        cells : ndarray of float32, shape (k, channels, y, x)
            Their maps.
        """


class Drawing:
    """Draws patches of one analysis by one method; made by `drawing_job`.

    It holds the slide open until it is closed, and can be used again and again.

    Parameters
    ----------
    replayed : ReplayedCase
        The analysis.
    method : str
        One of `cam_methods.METHODS` that suits the model.
    slide : Slide
        Open, in the colors that the model sees.
    device : str
        Where the encoder runs.

    Attributes
    ----------
    method : str
        As given.
    batch_size : int
        Patches that belong together: drawn together they always give the same numbers.
    used : ndarray of bool, shape (n,)
        Patches that the call was made from.
    factor : ndarray of float32, shape (n,)
        What the cells of each patch are multiplied by in the map: 0 for patches that
        are not used; for a rollout, the weight of the patch.
    """

    def __init__(
        self, replayed: ReplayedCase, method: str, slide: Slide, device: str
    ) -> None:
        result, encoder = replayed.result, replayed.bundle.encoder
        self.method = method
        self._slide = slide
        self._size_px = result.grid.spec.size_px
        self._tap = AttentionTap(encoder) if method == ROLLOUT else None
        self._source = PatchSource(slide, result.grid)
        stain = result.stain
        self._transform = StainNormalizer.from_dict(stain).transform if stain else None
        # Whole numbers are for CPUs; on another device its usual precision serves.
        asked = result.recipe.precision
        asked = "auto" if asked == INT8 else asked
        processor = choose_processor(device, asked)
        choice = settled_before(
            prepare(encoder, processor.in_float32()),
            self._source,
            processor,
            asked,
            result.provenance,
            transform=self._transform,
        )
        self._processor = processor = choice.processor
        self._encoder = prepare(choice.encoder or encoder, processor)
        size = result.recipe.batch_size
        self.batch_size = size or processor.default_batch_size(self._size_px)
        self._limit = choose_limit(processor, self._encoder, self._size_px, size)
        self.used = replayed.used
        if self._tap is None:
            self._gradients = torch.from_numpy(replayed.gradients())
            self._channels, self._cells = len(result.classes), encoder.cells
            self.factor = self.used.astype("float32")
        else:
            self._channels, self._cells = 1, self._tap.cells
            self.factor = result.patch_weights

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """Patches, channels, and rows and columns of cells."""
        return len(self._source), self._channels, self._cells, self._cells

    def close(self) -> None:
        """Let go of the slide; a second call does nothing."""
        self._slide.close()

    def draw_job(
        self,
        writer: TakesCells,
        mapped: NDArray[np.uint8],
        batches: list[range] | None = None,
    ) -> Job[None]:
        """Draw what is not drawn yet.

        Parameters
        ----------
        writer : CamWriter or alike
            Receives it.
        mapped : ndarray of uint8, shape (n,)
            Non-zero where a patch is drawn.
        batches : list of range, optional
            Draw these only, in this order.

        Yields
        ------
        Progress
            After each batch, with its maps as `PartialCells`; closing the job there
            loses at most one batch.
        """
        shared: dict[str, Any] = {
            "size_px": self._size_px,
            "batch_size": self.batch_size,
            "mapped": mapped,
            "write": writer.write_cells,
            "batches": batches,
            "transform": self._transform,
            "limit": self._limit,
        }
        tap = self._tap
        if tap is None:
            shared["draw"] = gradient_maps(self._gradients, self.method)
            listening: AbstractContextManager[Any] = nullcontext()
        else:
            shared["draw"] = lambda _features, _part: tap.maps()
            listening = tap
        with listening:
            yield from draw_cells_job(
                self._encoder, self._source, self._processor, **shared
            )


def drawing_job(result: Result, method: str, device: str) -> Job[Drawing]:
    """Prepare to draw a finished analysis by another method.

    Parameters
    ----------
    result : Result
        The analysis.
    method : str
        One of `cam_methods.METHODS`.
    device : str
        Where the encoder runs, as `device.choose_processor` takes it; it runs in the
        precision of the analysis, if it can there.

    Yields
    ------
    Progress
        Stages ``open`` and ``tables``.

    Returns
    -------
    Drawing
        To be closed by the caller.

    Raises
    ------
    ConfigurationError
        If the method does not suit the model, or model, tables or slide have changed.
    StoreError
        If the analysis was interrupted.
    SlideError
        If the slide cannot be opened.
    """
    method = checked_cam(method)
    require_redrawable(
        method, result.cam_method, exact=result.exact, rollout=result.offers_rollout
    )
    replayed = yield from replay_case_job(result)
    yield Progress("open", message=f"opening {result.slide_name}")
    icc = bool(replayed.bundle.info.get("icc", False))
    slide = open_quietly(slide_place(result), mpp=result.recipe.mpp, icc=icc)
    try:
        shape = slide.levels[0].shape
        if tuple(shape) != result.slide_shape:
            msg = (
                f"slide {slide.path!r} is {shape[0]} x {shape[1]} px, but "
                f"{result.slide_shape[0]} x {result.slide_shape[1]} px were analysed; "
                "bring the analysed file back"
            )
            raise ConfigurationError(msg)
        if result.slide_content not in (None, slide.content):
            msg = (
                f"slide {slide.path!r} is not the file that was analysed: it has the "
                "size in px, but other content; bring the analysed file back, or "
                "analyze this one"
            )
            raise ConfigurationError(msg)
        return Drawing(replayed, method, slide, device)
    except BaseException:
        slide.close()
        raise
