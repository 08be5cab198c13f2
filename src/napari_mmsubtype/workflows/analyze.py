"""Analyse one patient: slide and tables in, store out."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from napari_mmsubtype.core.cam_methods import ROLLOUT
from napari_mmsubtype.core.option_words import pass_option
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.core.quality_spec import checked_flags
from napari_mmsubtype.core.recipe import AnalyzeRecipe
from napari_mmsubtype.errors import DeviceLostError
from napari_mmsubtype.inference.allocator import memory_kept
from napari_mmsubtype.inference.attribution import attribute_features
from napari_mmsubtype.inference.batch_limit import choose_limit
from napari_mmsubtype.inference.decoding_choice import choose_source, record_decoding
from napari_mmsubtype.inference.device import choose_processor
from napari_mmsubtype.inference.draw_cells import map_cells_job
from napari_mmsubtype.inference.encode import encode_job, prepare
from napari_mmsubtype.inference.fuse import CaseTensors, fuse, patch_gradients
from napari_mmsubtype.inference.fused_choice import choose_encoder
from napari_mmsubtype.inference.patch_calls import patch_calls
from napari_mmsubtype.inference.plan import plan_job
from napari_mmsubtype.inference.precision import require_quantizable, settled_job
from napari_mmsubtype.inference.provisional import ProvisionalJudge
from napari_mmsubtype.inference.recorded_encoder import choose_recorded
from napari_mmsubtype.models.bundle import load_bundle
from napari_mmsubtype.models.bundle_address import is_remote
from napari_mmsubtype.results import schema
from napari_mmsubtype.results.out_folder import require_folder
from napari_mmsubtype.results.patch_calls import write_patch_calls
from napari_mmsubtype.results.store import Result, open_result
from napari_mmsubtype.slides.patch_source import PatchSource
from napari_mmsubtype.slides.quality_measures import PatchMeter
from napari_mmsubtype.slides.registry import open_quietly
from napari_mmsubtype.workflows.draw_cam import draw_cam_job
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.outcome import choose_patches, write_outcome
from napari_mmsubtype.workflows.store_opening import claim_store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

    from napari_mmsubtype.inference.device import Processor
    from napari_mmsubtype.inference.plan import AnalysisPlan
    from napari_mmsubtype.models.encoders import Encoder
    from napari_mmsubtype.results.store_writer import StoreWriter

logger = logging.getLogger(__name__)


def analyze(
    slide: str | Path,
    bundle: str | Path = "demo",
    *,
    patient: str | None = None,
    rna: str | Path | None = None,
    methylation: str | Path | None = None,
    clinical: str | Path | None = None,
    rna_unit: str | None = None,
    methylation_unit: str | None = None,
    rna_samples_in: str | None = None,
    methylation_samples_in: str | None = None,
    mpp: float | None = None,
    stride_px: int | None = None,
    min_tissue: float | None = None,
    edge: str = "cover",
    regions: str | Path | None = None,
    exclude: Iterable[str] | None = None,
    quality: Mapping[str, float] | None = None,
    tissue: str | Path | None = None,
    set_coverage: float | None = None,
    cam_method: str | None = None,
    device: str = "auto",
    fallback_cpu: bool = False,
    precision: str = "auto",
    batch_size: int | None = None,
    out: str | Path | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> Result:
    """Analyse one patient and wait for the result.

    Parameters
    ----------
    slide : str or Path
        Path of the slide, or a ``synthetic:`` address.
    bundle : str or Path, default: "demo"
        ``"demo"``, the name of a bundle of the library, the path of a folder or zip,
        or an address (``hf://org/name``, ``https://``), which is downloaded once.
    patient : str, optional
        Identifier to look up in the tables; needed where a table is given.
    rna, methylation, clinical : str or Path, optional
        Tables; what is left out counts as missing.
    rna_unit, methylation_unit : str, optional
        Units of the tables, where what is detected is wrong; see `read_omics`.
    rna_samples_in, methylation_samples_in : {"rows", "columns"}, optional
        Where the tables hold their samples, where what is detected is wrong.
    mpp : float, optional
        Microns per pixel of level 0, overriding the slide's own.
    stride_px : int, optional
        Step between patches, in pixels that the model sees; the bundle's own if left
        out.
    min_tissue : float, optional
        Share of a patch that must be tissue, 0 to 1; the bundle's own if left out.
    edge : {"cover", "inside"}, default: "cover"
        Pad patches that reach beyond the slide with white, or leave them out.
    regions : str or Path, optional
        GeoJSON file with what to analyze and what to leave out.
    exclude : iterable of str, optional
        Quality flags whose patches stay out of the call: any of ``pen``, ``blur``,
        ``fold`` and ``bubble``. Empty leaves all in; ``pen``, ``blur`` and ``bubble``
        if left out.
    quality : mapping of str to float, optional
        Thresholds of the flags that differ from those of `QualitySpec`, for example
        ``{"blur_ratio": 0.05}``.
    tissue : str or Path, optional
        Tissue mask to use instead of the one found: ``*.tissue.zarr`` or GeoJSON.
    set_coverage : float, optional
        Share of patients whose true class the prediction set shall hold; 0.9 if left
        out. Bundles are calibrated for 0.8, 0.9, 0.95 and 0.99.
    cam_method : str, optional
        How the map of a model is drawn whose evidence does not add up: ``grad-cam``
        (if left out), ``grad-cam++``, ``hires-cam`` or ``layer-cam``.
        ``attention-rollout`` is drawn beside the map, of vision transformers.
    device : str, default: "auto"
        ``auto``, ``cpu``, ``cuda``, ``cuda:<number>`` or ``mps``.
    fallback_cpu : bool, default: False
        Go on with the CPU where the device stops answering.
    precision : {"auto", "float32", "bfloat16", "int8"}, default: "auto"
        Of the encoder; ``auto`` takes the lower one where the device is faster with it
        and a trial shows that the model holds it.
    batch_size : int, optional
        Patches per forward pass.
    out : str or Path, optional
        Folder that receives the store; the current one if left out.
    on_progress : callable, optional
        Receives every `Progress` event; may raise `JobCancelled`.

    Returns
    -------
    Result
        The complete store, open for reading.

    Raises
    ------
    MMSubtypeError
        One clear message where slide, tables, model or request cannot serve.

    Examples
    --------
    >>> result = analyze("slide.svs", rna="rna.tsv", patient="P1")  # doctest: +SKIP
    >>> result.prediction.label  # doctest: +SKIP
    'Luminal'
    """
    recipe = AnalyzeRecipe(
        slide=str(slide),
        # A path is one, also where a bundle of the library has the same name.
        bundle=bundle if isinstance(bundle, str) else str(bundle.absolute()),
        patient=patient,
        rna=_text(rna),
        methylation=_text(methylation),
        clinical=_text(clinical),
        rna_unit=rna_unit,
        methylation_unit=methylation_unit,
        rna_samples_in=rna_samples_in,
        methylation_samples_in=methylation_samples_in,
        mpp=mpp,
        stride_px=stride_px,
        min_tissue=min_tissue,
        edge=edge,
        regions=_text(regions),
        quality=None if quality is None else dict(quality),
        exclude=None if exclude is None else checked_flags(exclude),
        tissue=_text(tissue),
        set_coverage=set_coverage,
        cam_method=cam_method,
        device=device,
        fallback_cpu=fallback_cpu,
        precision=precision,
        batch_size=batch_size,
        out=_text(out),
    )
    return run_job(analyze_job(recipe), on_progress)


def _text(path: str | Path | None) -> str | None:
    return None if path is None else str(path)


def analyze_job(recipe: AnalyzeRecipe) -> Job[Result]:
    """Analyse one patient, step by step.

    Parameters
    ----------
    recipe : AnalyzeRecipe
        The request.

    Yields
    ------
    Progress
        Stages ``open``, ``tables``, ``tissue``, ``patches``, ``fuse`` and ``maps``.

    Returns
    -------
    Result
        The complete store. A store that an earlier run of the same request left is
        resumed, or handed back where it is complete.
    """
    # The same file is the same request from wherever it is asked for.
    recipe = recipe.located()
    yield Progress("open", message="opening slide and model")
    require_folder(recipe.out or ".")
    processor = choose_processor(recipe.device, recipe.precision)
    if is_remote(recipe.bundle):
        yield Progress("open", message=f"fetching model {recipe.bundle}")
    bundle = load_bundle(recipe.bundle)
    # The model sees the colors that it was trained with.
    icc = bool(bundle.info.get("icc", False))
    with open_quietly(recipe.slide, mpp=recipe.mpp, icc=icc) as slide:
        plan = yield from plan_job(recipe, slide, bundle)
        encoder = prepare(bundle.encoder, processor.in_float32())
        if processor.quantized:
            # A store that was begun would promise that it can be resumed.
            require_quantizable(encoder, plan.grid.spec.size_px, processor)
        case = CaseTensors(bundle.fusion.eval(), plan.omics, bundle.heads)
        exact = case.queries() is not None
        with claim_store(plan, processor, exact=exact) as writer:
            if writer.is_complete:
                done = len(plan.grid)
                yield Progress("patches", done, done, "already analysed: nothing to do")
            else:
                with memory_kept():
                    yield from _fill_on(plan, encoder, case, writer, processor)
    if recipe.cam_method == ROLLOUT:
        return (yield from draw_cam_job(writer.path, ROLLOUT, device=recipe.device))
    return open_result(writer.path)


def _fill_on(
    plan: AnalysisPlan,
    encoder: Encoder,
    case: CaseTensors,
    writer: StoreWriter,
    processor: Processor,
) -> Job[None]:
    """Fill a store; go on with the CPU where the device is lost, if that is asked."""
    try:
        yield from _fill_store(plan, encoder, case, writer, processor)
    except DeviceLostError as err:
        if not plan.recipe.fallback_cpu:
            advice = pass_option("fallback_cpu", True)
            err.add_note(f"{advice} to have the CPU go on by itself from there")
            raise
        logger.warning("%s; going on with the CPU", err)
        yield Progress("open", message="the device is lost: going on with the CPU")
    else:
        return
    # Nothing can be read back from a lost device: the model is loaded anew.
    processor = choose_processor("cpu", plan.recipe.precision)
    bundle = load_bundle(plan.recipe.bundle)
    plan = replace(plan, bundle=bundle)
    encoder = prepare(bundle.encoder, processor.in_float32())
    case = CaseTensors(bundle.fusion.eval(), plan.omics, bundle.heads)
    yield from _fill_store(plan, encoder, case, writer, processor)


def _fill_store(
    plan: AnalysisPlan,
    encoder: Encoder,
    case: CaseTensors,
    writer: StoreWriter,
    processor: Processor,
) -> Job[None]:
    """Do what a store still lacks, up to the prediction."""
    bundle, spec = plan.bundle, plan.grid.spec
    queries = case.queries()
    source = PatchSource(plan.slide, plan.grid)
    transform = None if plan.stain is None else plan.stain.transform
    choice = yield from settled_job(
        encoder,
        source,
        writer,
        processor,
        plan.recipe.precision,
        judge=lambda rows: fuse(case, rows, bundle.calibration).call.probabilities,
        transform=transform,
    )
    processor = choice.processor
    encoder = prepare(choice.encoder or encoder, processor)
    encoder = choose_encoder(
        encoder, source, writer, processor, transform=transform, trial=choice.trial
    )
    if choice.warning:
        plan = replace(plan, warnings=(*plan.warnings, choice.warning))
    shared: dict[str, Any] = {
        "size_px": spec.size_px,
        "batch_size": plan.recipe.batch_size
        or processor.default_batch_size(spec.size_px),
        "limit": choose_limit(processor, encoder, spec.size_px, plan.recipe.batch_size),
        "transform": transform,
    }
    meter = PatchMeter(plan.recipe.quality_spec, spec.size_px, spec.mpp)
    judge = ProvisionalJudge(case, writer.path, len(plan.grid))
    reader = choose_source(source, encoder, writer, processor, meter=meter, **shared)
    encoder = choose_recorded(
        encoder,
        processor,
        size_px=spec.size_px,
        batch_size=shared["limit"].size,
        count=len(source),
    )
    yield from encode_job(
        encoder,
        reader,
        writer,
        processor,
        queries=queries,
        meter=meter,
        judge=judge if queries is None else None,
        **shared,
    )
    record_decoding(reader, writer, processor)
    yield Progress("fuse", message="judging patches, fusing modalities")
    patches = choose_patches(writer, plan)
    ok = patches.used
    embeddings = writer.read(schema.EMBEDDING)[ok]
    fused = fuse(case, embeddings, bundle.calibration)
    alone = patch_calls(case, embeddings, bundle.calibration)
    if alone is not None:
        write_patch_calls(writer.path, ok, alone)
    if queries is None:
        gradients = np.zeros((len(ok), len(bundle.classes), encoder.dim), np.float32)
        gradients[ok] = patch_gradients(case, embeddings)
        yield from map_cells_job(
            encoder,
            reader,
            writer,
            processor,
            gradients=torch.from_numpy(gradients),
            method=plan.cam_method,
            **shared,
        )
    if plan.omics:
        yield Progress("fuse", message="asking each feature what it adds")
    attributions = attribute_features(
        case, embeddings, bundle.modalities, processor.device
    )
    yield Progress("maps", message="stitching the evidence map")
    write_outcome(
        writer,
        plan,
        fused,
        patches,
        exact=queries is not None,
        attributions=attributions,
    )


__all__ = ["analyze", "analyze_job"]
