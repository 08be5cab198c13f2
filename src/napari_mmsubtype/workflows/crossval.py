"""Cross-validate presets and everything they have to beat, on the same folds."""

from __future__ import annotations

import logging
import time
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from napari_mmsubtype.core.cases import Modality
from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.workflows.cohort_setup import (
    CohortRequest,
    OpenedCohort,
    PresetInput,
    open_cohort_job,
)
from napari_mmsubtype.workflows.crossval_results import (
    PREDICTIONS,
    RESULTS,
    write_results,
)
from napari_mmsubtype.workflows.fold_bundle import has_bundle, save_fold_bundle
from napari_mmsubtype.workflows.fold_data import TableCache, place_of, prepare_fold
from napari_mmsubtype.workflows.fold_fusion import SkippedFoldError, fit_fold_job
from napari_mmsubtype.workflows.fold_logistic import (
    SimpleData,
    feature_data,
    fit_logistic,
    one_hot_sites,
)
from napari_mmsubtype.workflows.fold_plan import FoldPlan, plan_folds
from napari_mmsubtype.workflows.fold_store import FoldStore
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import (
    MISSINGNESS,
    FusionVariant,
    SimpleModel,
    fusion_variants,
    simple_models,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from napari_mmsubtype.evaluation.splits import Split
    from napari_mmsubtype.training.preset import Preset
    from napari_mmsubtype.workflows.fold_data import FoldData

logger = logging.getLogger(__name__)

BUNDLES = "bundles"
_VERSION = 1


@dataclass(frozen=True, slots=True)
class CrossvalOutcome:
    """Where a cross-validation left its results.

    Attributes
    ----------
    folder : Path
        Of everything.
    results, predictions : Path
        The files that a report reads.
    bundles : tuple of Path
        One for each preset and fold.
    """

    folder: Path
    results: Path
    predictions: Path
    bundles: tuple[Path, ...]


def crossval(
    manifest: str | Path,
    preset: str | Path | Iterable[str | Path],
    *,
    out: str | Path,
    overrides: Iterable[str] = (),
    rna: str | Path | None = None,
    methylation: str | Path | None = None,
    clinical: str | Path | None = None,
    rna_unit: str | None = None,
    methylation_unit: str | None = None,
    embeddings: str | Path | None = None,
    device: str = "auto",
    batch_size: int | None = None,
    on_progress: Callable[[Progress], object] | None = None,
) -> CrossvalOutcome:
    """Cross-validate presets on a cohort and wait for the results.

    Parameters
    ----------
    manifest : str or Path
        CSV with one row per slide, see `manifest.read_manifest`.
    preset : str, Path or iterable of these
        Presets; folds, seeds and resamples are those of the first.
    out : str or Path
        Folder that receives everything; the same request goes on there.
    overrides : iterable of str, default: ()
        Settings to change in every preset, such as ``fusion_training.epochs=10``.
    rna, methylation, clinical : str or Path, optional
        Tables of the whole cohort.
    rna_unit, methylation_unit : str, optional
        Units of the tables, where what is detected is wrong.
    embeddings : str or Path, optional
        Where `embed` left the slides; a folder in ``out`` if left out.
    device : str, default: "auto"
        As `analyze`.
    batch_size : int, optional
        Patches per forward pass of the encoder.
    on_progress : callable, optional
        Receives every `Progress` event.

    Returns
    -------
    CrossvalOutcome
        Where results, predictions and bundles are.

    Raises
    ------
    MMSubtypeError
        One clear message where manifest, tables or presets cannot serve.
    """
    request = make_request(
        manifest,
        preset,
        out=out,
        overrides=overrides,
        tables={"rna": rna, "methylation": methylation, "clinical": clinical},
        units={"rna": rna_unit, "methylation": methylation_unit},
        embeddings=embeddings,
        device=device,
        batch_size=batch_size,
    )
    return run_job(crossval_job(request), on_progress)


def make_request(
    manifest: str | Path,
    preset: str | Path | Iterable[str | Path],
    *,
    out: str | Path,
    overrides: Iterable[str],
    tables: Mapping[str, str | Path | None],
    units: Mapping[str, str | None],
    embeddings: str | Path | None,
    device: str,
    batch_size: int | None,
) -> CohortRequest:
    """Put what a user gave into a request.

    Parameters
    ----------
    manifest : str or Path
        CSV with one row per slide.
    preset : str, Path or iterable of these
        One or several.
    out : str or Path
        Folder that receives everything.
    overrides : iterable of str
        Settings to change.
    tables : mapping of str to str, Path or None
        Tables by modality.
    units : mapping of str to str or None
        Units by modality.
    embeddings : str, Path or None
        Where slides are embedded.
    device : str
        As `analyze`.
    batch_size : int or None
        Patches per forward pass.

    Returns
    -------
    CohortRequest
        Without what was left out.
    """
    names = [preset] if isinstance(preset, str | Path) else list(preset)
    return CohortRequest(
        manifest=manifest,
        presets=tuple(str(name) for name in names),
        out=Path(out).expanduser().absolute(),
        overrides=tuple(overrides),
        tables={Modality(m): path for m, path in tables.items() if path is not None},
        reading={Modality(m): {"unit": u} for m, u in units.items() if u is not None},
        embeddings=None if embeddings is None else Path(embeddings),
        device=device,
        batch_size=batch_size,
    )


@dataclass(slots=True)
class _Run:
    """A cross-validation at work."""

    request: CohortRequest
    opened: OpenedCohort
    plan: FoldPlan
    store: FoldStore
    variants: dict[str, list[FusionVariant]]
    simple: list[SimpleModel]
    done: int = 0
    started: float = field(default_factory=time.monotonic)

    @property
    def models(self) -> list[FusionVariant | SimpleModel]:
        """Every model, in the order of the results."""
        fused = [v for variants in self.variants.values() for v in variants]
        return [*fused, *self.simple]

    @property
    def total(self) -> int:
        """Fits of all models on all folds."""
        return len(self.models) * len(self.plan.splits)

    def step(self, message: str) -> Progress:
        """Tell how many fits are done."""
        return Progress("folds", self.done, self.total, message)


def crossval_job(request: CohortRequest) -> Job[CrossvalOutcome]:
    """Cross-validate presets, step by step.

    Parameters
    ----------
    request : CohortRequest
        What is asked.

    Yields
    ------
    Progress
        Stages ``open``, ``tables``, ``slides``, ``patches``, ``folds`` (fits of all
        models on all folds), ``fusion training`` and ``results``.

    Returns
    -------
    CrossvalOutcome
        Closing the job loses the fold it is at; the same request goes on.
    """
    opened = yield from open_cohort_job(request)
    cohort, inputs = opened.cohort, opened.inputs
    plan = plan_folds(cohort, inputs[0].preset.validation)
    given = [
        m for column, m in enumerate(cohort.modalities) if cohort.has()[:, column].any()
    ]
    run = _Run(
        request=request,
        opened=opened,
        plan=plan,
        store=FoldStore(request.out),
        variants={entry.preset.name: fusion_variants(entry.preset) for entry in inputs},
        simple=simple_models(given, with_sites=len(set(cohort.sites)) > 1),
    )
    for split in plan.splits:
        cache = TableCache(cohort)
        for entry in inputs:
            yield from _preset_fold_job(run, entry, split, cache)
        yield from _simple_fold_job(run, split, cache)
        last = split is plan.splits[-1]
        yield Progress("results", message="scoring" if last else "scoring so far")
        write_results(request, opened, plan, run.models, run.store, complete_run=last)
    return CrossvalOutcome(
        request.out,
        request.out / RESULTS,
        request.out / PREDICTIONS,
        tuple(sorted((request.out / BUNDLES).glob("*/fold-*"))),
    )


def _preset_fold_job(
    run: _Run, entry: PresetInput, split: Split, cache: TableCache
) -> Job[None]:
    """Train what is not trained yet of one preset on one fold."""
    preset = entry.preset.with_seed(run.plan.seeds[split.repeat])
    place = place_of(split)
    asked = _asked(run, split, preset, entry.digest)
    data: FoldData | None = None
    for variant in run.variants[preset.name]:
        own = {**asked, "variant": [variant.kind, *variant.modalities, variant.fusion]}
        target = _bundle_folder(run.request.out, preset, place)
        known = run.store.find(variant.name, **place, request=own)
        whole = variant.kind != "fusion" or has_bundle(target) or (
            known is not None and bool(known.get("skipped"))
        )  # fmt: skip
        run.done += 1
        yield run.step(f"{variant.name}, {split.name}")
        if known is not None and whole:
            continue
        if data is None:
            data = prepare_fold(run.opened.cohort, preset, entry.bags, split, cache)
        job = fit_fold_job(data, variant)
        try:
            with closing(job):
                fitted = yield from job
        except SkippedFoldError as err:
            logger.warning("%s, %s: %s", variant.name, split.name, err)
            run.store.keep(variant.name, **place, request=own,
                           facts={"skipped": str(err)}, predictions=None)  # fmt: skip
            continue
        if variant.kind == "fusion":
            save_fold_bundle(target, entry, data, fitted, cohort=run.opened.cohort)
        run.store.keep(variant.name, **place, request=own,
                       facts=fitted.facts, predictions=fitted.predictions)  # fmt: skip


def _simple_fold_job(run: _Run, split: Split, cache: TableCache) -> Job[None]:
    """Fit what is not fitted yet of the logistic regressions on one fold."""
    preset = _union_preset(run.opened.inputs)
    seed = run.plan.seeds[split.repeat]
    place = place_of(split)
    first = run.opened.inputs[0]
    asked = _asked(run, split, preset, first.digest)
    data: FoldData | None = None
    for model in run.simple:
        run.done += 1
        yield run.step(f"{model.name}, {split.name}")
        if run.store.find(model.name, **place, request=asked) is not None:
            continue
        if data is None:
            data = prepare_fold(run.opened.cohort, preset, first.bags, split, cache)
        try:
            frame, facts = fit_logistic(
                _simple_data(model, data, run.opened, split),
                name=model.name,
                classes=len(run.opened.cohort.classes),
                seed=seed,
            )
        except SkippedFoldError as err:
            run.store.keep(model.name, **place, request=asked,
                           facts={"skipped": str(err)}, predictions=None)  # fmt: skip
            continue
        run.store.keep(model.name, **place, request=asked, facts=facts,
                       predictions=frame.assign(**place))  # fmt: skip


def _simple_data(
    model: SimpleModel, data: FoldData, opened: OpenedCohort, split: Split
) -> SimpleData:
    """Give a logistic regression its numbers."""
    if model.modalities:
        train = np.concatenate([data.train, data.validation])
        return feature_data(data.cases, data.sites, train, data.test, model.modalities)
    cohort = opened.cohort
    train = np.concatenate([split.train, split.validation])
    image = np.array([len(bag) > 0 for bag in opened.inputs[0].bags])
    has = cohort.has(image)
    if model.name.endswith(MISSINGNESS):
        values = has.astype(np.float64)
    else:
        values = one_hot_sites(cohort.sites, train)
    return SimpleData(
        values=values,
        labels=cohort.labels,
        patients=cohort.patients,
        sites=cohort.sites,
        present=tuple(cohort.pattern(row) for row in has),
        train=train,
        test=split.test,
        subset="",
    )


def _union_preset(inputs: tuple[PresetInput, ...]) -> Preset:
    """Give the first preset every table of all, for models beside them."""
    joint = dict(inputs[0].preset.modalities)
    for entry in inputs[1:]:
        joint = {**entry.preset.modalities, **joint}
    return replace(inputs[0].preset, modalities=joint)


def _asked(run: _Run, split: Split, preset: Preset, digest: str) -> dict[str, Any]:
    """Gather everything that decides what a model says on a fold."""
    cohort = run.opened.cohort
    names = np.asarray(cohort.patients)
    return {
        "version": _VERSION,
        "preset": preset.to_dict(),
        "seed": run.plan.seeds[split.repeat],
        "manifest": cohort.manifest.digest,
        "tables": {str(m): table.digest for m, table in cohort.tables.items()},
        "reading": {str(m): dict(o) for m, o in run.request.reading.items()},
        "embeddings": digest,
        "parts": {part: names[rows].tolist() for part, rows in split.parts().items()},
    }


def _bundle_folder(out: Path, preset: Preset, place: Mapping[str, int]) -> Path:
    name = preset.name.replace(":", "-").replace("/", "-")
    return out / BUNDLES / name / f"fold-{place['repeat']}-{place['fold']}"
