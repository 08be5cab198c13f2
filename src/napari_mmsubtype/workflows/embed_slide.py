"""Embed one slide of a cohort with the encoder that all of them share."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.inference.allocator import memory_kept
from napari_mmsubtype.inference.batch_limit import choose_limit
from napari_mmsubtype.inference.cohort_encoder import fuse_for_cohort, keep_as_begun
from napari_mmsubtype.inference.decoding_choice import choose_source, record_decoding
from napari_mmsubtype.inference.device import Processor, choose_processor
from napari_mmsubtype.inference.encode import encode_job, prepare
from napari_mmsubtype.inference.plan import AnalysisPlan, plan_job
from napari_mmsubtype.inference.precision import settled_job
from napari_mmsubtype.results import schema
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.quality_measures import PatchMeter
from napari_mmsubtype.slides.registry import open_quietly
from napari_mmsubtype.workflows.folder_files import write_array
from napari_mmsubtype.workflows.outcome import choose_patches
from napari_mmsubtype.workflows.slide_files import write_state
from napari_mmsubtype.workflows.store_opening import claim_store

if TYPE_CHECKING:
    from pathlib import Path

    from napari_mmsubtype.core.progress import Job
    from napari_mmsubtype.models.bundle_schema import Bundle
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter
    from napari_mmsubtype.workflows.manifest import SlideEntry


@dataclass(frozen=True, slots=True, eq=False)
class CohortEngine:
    """What all slides of a cohort are embedded with.

    Attributes
    ----------
    model : Bundle
        With its encoder prepared in float32.
    lowered : Encoder
        The same, prepared in the precision of the cohort, its steps fused.
    processor : Processor
        Device and precision.
    precision : str
        As it was asked for.
    batch_size : int or None
        Patches per forward pass; None takes what suits.
    """

    model: Bundle
    lowered: Encoder
    processor: Processor
    precision: str
    batch_size: int | None

    @classmethod
    def prepare(
        cls, model: Bundle, device: str, precision: str, batch_size: int | None
    ) -> CohortEngine:
        """Bring copies of an encoder to a device.

        Parameters
        ----------
        model : Bundle
            As `embedding_model` makes them; left as it is.
        device : str
            As `device.choose_processor`.
        precision : str
            As `device.choose_processor`.
        batch_size : int or None
            Patches per forward pass.

        Returns
        -------
        CohortEngine
            Ready for slides.

        Raises
        ------
        ConfigurationError
            If the device is not there.
        """
        processor = choose_processor(device, precision)
        if precision == "auto" and processor.autocast is torch.float16:
            # Its numbers may overflow, and no trial would tell.
            processor = processor.in_float32()
        # They are fused for speed and moved, and the caller's goes into bundles.
        whole = prepare(copy.deepcopy(model.encoder), processor.in_float32())
        lowered = whole
        if processor.autocast is not None:
            lowered = prepare(copy.deepcopy(whole), processor)
            lowered = fuse_for_cohort(lowered, processor)
        model = replace(model, encoder=whole)
        return cls(model, lowered, processor, precision, batch_size)


def embed_slide_job(
    slide: SlideEntry, engine: CohortEngine, out: Path, bag: Path
) -> Job[None]:
    """Fill the store of one slide, and put its usable embeddings into a bag.

    Parameters
    ----------
    slide : SlideEntry
        Of a manifest.
    engine : CohortEngine
        That embeds it.
    out : Path
        Folder of the store.
    bag : Path
        File for the embeddings, float16, shape (patches, d).

    Yields
    ------
    Progress
        Stages ``open``, ``tissue`` and ``patches``.

    Raises
    ------
    MMSubtypeError
        If the slide cannot be read or the store not be written.
    """
    model = engine.model
    recipe = AnalyzeRecipe(
        slide=slide.path,
        bundle=model.name,
        mpp=slide.mpp,
        out=str(out),
        precision=engine.precision,
    )
    icc = bool(model.info.get("icc", False))
    with open_quietly(slide.path, mpp=slide.mpp, icc=icc) as opened:
        plan = yield from plan_job(recipe, opened, model)
        with claim_store(plan, engine.processor, exact=False) as writer:
            yield from _encode(plan, writer, engine)
            used = choose_patches(writer, plan).used
            values = writer.read(schema.EMBEDDING)[used]
    write_array(bag, np.asarray(values, np.float16))
    # Last: a bag counts only with what says which slide it is of.
    write_state(bag, slide)


def _encode(plan: AnalysisPlan, writer: StoreWriter, engine: CohortEngine) -> Job[None]:
    """Run the encoder over the patches that the store lacks."""
    spec, encoder, processor = plan.grid.spec, engine.lowered, engine.processor
    source = PatchSource(plan.slide, plan.grid)
    transform = None if plan.stain is None else plan.stain.transform
    if engine.precision == "auto":
        writer.use_processor(str(processor.device), processor.precision)
    else:
        # What was asked for is what all slides get; the store tells what it costs.
        yield from settled_job(
            engine.model.encoder,
            source,
            writer,
            processor,
            engine.precision,
            judge=lambda _: (1.0,),
            transform=transform,
        )
    encoder = keep_as_begun(encoder, writer, processor)
    shared: dict[str, Any] = {
        "size_px": spec.size_px,
        "batch_size": engine.batch_size or processor.default_batch_size(spec.size_px),
        "transform": transform,
        "meter": PatchMeter(plan.recipe.quality_spec, spec.size_px, spec.mpp),
        "limit": choose_limit(processor, encoder, spec.size_px, engine.batch_size),
    }
    reader = choose_source(source, encoder, writer, processor, **shared)
    with memory_kept():
        yield from encode_job(
            encoder, reader, writer, processor, queries=None, **shared
        )
    record_decoding(reader, writer, processor)
