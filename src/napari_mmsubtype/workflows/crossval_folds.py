"""The fits of a cross-validation: every model on every fold, once."""

from __future__ import annotations

import logging
from contextlib import closing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.workflows.fold_bundle import (
    has_bundle,
    plain_name,
    save_fold_bundle,
)
from napari_mmsubtype.workflows.fold_data import place_of, prepare_fold
from napari_mmsubtype.workflows.fold_encoder import (
    fold_input_job,
    labels_of,
    with_encoder,
)
from napari_mmsubtype.workflows.fold_fusion import (
    SkippedFoldError,
    fit_fold_job,
    shuffled_cases,
)
from napari_mmsubtype.workflows.fold_logistic import (
    SimpleData,
    feature_data,
    fit_logistic,
    one_hot_sites,
)
from napari_mmsubtype.workflows.fold_request import fold_request, variant_request
from napari_mmsubtype.workflows.model_list import MISSINGNESS
from napari_mmsubtype.workflows.shared_work import SharedWork

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from pathlib import Path

    from napari_mmsubtype.evaluation.splits import Split
    from napari_mmsubtype.training.preset import Preset
    from napari_mmsubtype.workflows.cohort_request import CohortRequest
    from napari_mmsubtype.workflows.cohort_setup import OpenedCohort, PresetInput
    from napari_mmsubtype.workflows.fold_data import FoldData, TableCache
    from napari_mmsubtype.workflows.fold_plan import FoldPlan
    from napari_mmsubtype.workflows.fold_store import FoldStore
    from napari_mmsubtype.workflows.model_list import FusionVariant, SimpleModel

logger = logging.getLogger(__name__)

T = TypeVar("T")

BUNDLES = "bundles"

_FITS = "fits"


@dataclass(slots=True)
class CrossvalRun:
    """A cross-validation at work.

    Attributes
    ----------
    request : CohortRequest
        What was asked.
    opened : OpenedCohort
        The cohort.
    plan : FoldPlan
        Its folds.
    store : FoldStore
        What is done.
    variants : dict of str to list of FusionVariant
        Models by preset.
    simple : list of SimpleModel
        Models beside the presets.
    work : SharedWork
        The processes that share out the folds.
    """

    request: CohortRequest
    opened: OpenedCohort
    plan: FoldPlan
    store: FoldStore
    variants: dict[str, list[FusionVariant]]
    simple: list[SimpleModel]
    work: SharedWork = field(default_factory=SharedWork)

    @property
    def models(self) -> list[FusionVariant | SimpleModel]:
        """Every model, in the order of the results."""
        fused = [v for variants in self.variants.values() for v in variants]
        return [*fused, *self.simple]

    @property
    def total(self) -> int:
        """Number of fits, of all models on all folds."""
        return len(self.models) * len(self.plan.splits)

    def step(self, message: str) -> Progress:
        """Tell how many fits are done, by all processes and by an earlier run too.

        Parameters
        ----------
        message : str
            What comes next.

        Returns
        -------
        Progress
            Stage ``folds``.
        """
        return Progress("folds", self.work.count(_FITS), self.total, message)

    def counted(self, models: Iterable[T]) -> Iterator[T]:
        """Count models as fitted when the next one is asked for.

        Parameters
        ----------
        models : iterable
            To fit on one fold.

        Yields
        ------
        object
            Each of them.
        """
        for model in models:
            yield model
            self.work.add(_FITS)


def preset_fold_job(
    run: CrossvalRun, entry: PresetInput, split: Split, cache: TableCache
) -> Job[None]:
    """Train what is not trained yet of one preset on one fold.

    Parameters
    ----------
    run : CrossvalRun
        The cross-validation.
    entry : PresetInput
        The preset.
    split : Split
        The fold.
    cache : TableCache
        Of the fold.

    Yields
    ------
    Progress
        Stages ``folds``, ``patch training``, ``patches`` and ``fusion training``.
    """
    preset = entry.preset.with_seed(run.plan.seeds[split.repeat])
    place = place_of(split)
    asked = _asked(run, split, preset, entry.digest)
    plain: _Prepared | None = None
    for variant in run.counted(run.variants[preset.name]):
        own = variant_request(asked, variant)
        target = bundle_folder(run.request.out, preset, place)
        known = run.store.find(variant.name, **place, request=own)
        yield run.step(f"{variant.name}, {split.name}")
        if known is not None and _has_all(known, variant, target):
            continue
        begun = run.store.checkpoint(variant.name, **place, request=own)
        log = log_folder(run.request, variant.name, place)
        try:
            if plain is None:
                plain = yield from _prepare_job(run, entry, preset, split, cache)
            ready = plain
            if variant.shuffled and entry.pixels is not None:
                ready = yield from _prepare_job(
                    run, entry, preset, split, cache, instead=plain.data
                )
            job = fit_fold_job(
                ready.data, variant, checkpoint=begun, log=log,
                device=run.request.device,
            )  # fmt: skip
            with closing(job):
                fitted = yield from job
        except SkippedFoldError as err:
            logger.warning("%s, %s: %s", variant.name, split.name, err)
            run.store.keep(variant.name, **place, request=own,
                           facts={"skipped": str(err)}, predictions=None)  # fmt: skip
            continue
        if variant.kind == "fusion":
            save_fold_bundle(
                target, ready.entry, ready.data, fitted, cohort=run.opened.cohort
            )
        facts = with_encoder(fitted.facts, variant, ready.entry)
        run.store.keep(variant.name, **place, request=own,
                       facts=facts, predictions=fitted.predictions)  # fmt: skip


@dataclass(frozen=True, slots=True, eq=False)
class _Prepared:
    """A fold in the embeddings of its own encoder."""

    entry: PresetInput
    data: FoldData


def _prepare_job(
    run: CrossvalRun,
    entry: PresetInput,
    preset: Preset,
    split: Split,
    cache: TableCache,
    *,
    instead: FoldData | None = None,
) -> Job[_Prepared]:
    """Train the encoder of a fold, or of its control, and prepare its cases."""
    cohort = run.opened.cohort
    place, labels = "fold-{repeat}-{fold}".format(**place_of(split)), None
    if instead is not None:
        place = f"{place}-random-labels"
        shuffled = shuffled_cases(instead.cases, preset.fusion_training.seed)
        labels = labels_of(cohort, shuffled)
    own = yield from fold_input_job(
        run.request, cohort, entry, preset, split, place=place, labels=labels
    )
    return _Prepared(own, prepare_fold(cohort, preset, own.bags, split, cache))


def simple_fold_job(run: CrossvalRun, split: Split, cache: TableCache) -> Job[None]:
    """Fit what is not fitted yet of the logistic regressions on one fold.

    Parameters
    ----------
    run : CrossvalRun
        The cross-validation.
    split : Split
        The fold.
    cache : TableCache
        Of the fold.

    Yields
    ------
    Progress
        Stage ``folds``.
    """
    preset = _union_preset(run.opened.inputs)
    seed = run.plan.seeds[split.repeat]
    place = place_of(split)
    first = run.opened.inputs[0]
    asked = _asked(run, split, preset, first.digest)
    data: FoldData | None = None
    for model in run.counted(run.simple):
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


def _has_all(known: Mapping[str, Any], variant: FusionVariant, target: Path) -> bool:
    """Tell whether a fold that is done has its bundle too, where it has one."""
    return variant.kind != "fusion" or bool(known.get("skipped")) or has_bundle(target)


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


def _asked(
    run: CrossvalRun, split: Split, preset: Preset, digest: str
) -> dict[str, Any]:
    """Gather everything that decides what a model says on a fold."""
    seed = run.plan.seeds[split.repeat]
    return fold_request(
        run.request, run.opened.cohort, split, preset, seed=seed, embeddings=digest
    )


def bundle_folder(out: Path, preset: Preset, place: Mapping[str, int]) -> Path:
    """Say where the bundle of a fold is.

    Parameters
    ----------
    out : Path
        Folder of the cross-validation.
    preset : Preset
        The model.
    place : mapping of str to int
        ``repeat`` and ``fold``.

    Returns
    -------
    Path
        Of the bundle.
    """
    return (
        out / BUNDLES / plain_name(preset) / f"fold-{place['repeat']}-{place['fold']}"
    )


def log_folder(
    request: CohortRequest, model: str, place: Mapping[str, int]
) -> Path | None:
    """Say where the curves of a training go.

    Parameters
    ----------
    request : CohortRequest
        With the folder of all curves, or None.
    model : str
        Its name.
    place : mapping of str to int
        ``repeat`` and ``fold``.

    Returns
    -------
    Path or None
        One run of TensorBoard; None where no curves are asked for.
    """
    if request.tensorboard is None:
        return None
    name = model.replace(":", "-")
    return request.tensorboard / name / f"fold-{place['repeat']}-{place['fold']}"
