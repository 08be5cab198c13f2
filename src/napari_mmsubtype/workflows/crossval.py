"""Cross-validate presets and everything they have to beat, on the same folds."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Unpack

from napari_mmsubtype.core.progress import Job, Progress
from napari_mmsubtype.results.crossval_report import REPORT_NAME, write_crossval_report
from napari_mmsubtype.workflows.cohort_request import (
    CohortOptions,
    CohortRequest,
    make_request,
)
from napari_mmsubtype.workflows.cohort_setup import open_cohort_job
from napari_mmsubtype.workflows.crossval_folds import (
    BUNDLES,
    CrossvalRun,
    preset_fold_job,
    simple_fold_job,
)
from napari_mmsubtype.workflows.crossval_results import (
    PREDICTIONS,
    RESULTS,
    write_results,
)
from napari_mmsubtype.workflows.fold_data import TableCache
from napari_mmsubtype.workflows.fold_plan import plan_folds
from napari_mmsubtype.workflows.fold_store import FoldStore
from napari_mmsubtype.workflows.jobs import run_job
from napari_mmsubtype.workflows.model_list import fusion_variants, simple_models
from napari_mmsubtype.workflows.started_processes import join_work

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from napari_mmsubtype.workflows.shared_work import SharedWork


@dataclass(frozen=True, slots=True)
class CrossvalOutcome:
    """Where a cross-validation left its results.

    Attributes
    ----------
    folder : Path
        Of everything.
    results, predictions : Path
        All numbers, and every out-of-fold answer.
    report : Path
        HTML, for people.
    bundles : tuple of Path
        One for each preset and fold.
    """

    folder: Path
    results: Path
    predictions: Path
    report: Path
    bundles: tuple[Path, ...]


def crossval(
    manifest: str | Path,
    preset: str | Path | Iterable[str | Path],
    *,
    out: str | Path,
    on_progress: Callable[[Progress], object] | None = None,
    **options: Unpack[CohortOptions],
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
    on_progress : callable, optional
        Receives every `Progress` event.
    **options
        Tables, settings, device and so on: any of `cohort_request.CohortOptions`.

    Returns
    -------
    CrossvalOutcome
        Where results, predictions, report and bundles are.

    Raises
    ------
    MMSubtypeError
        One clear message where manifest, tables or presets cannot serve.
    """
    request = make_request(manifest, preset, out=out, **options)
    return run_job(crossval_job(request), on_progress)


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

    Notes
    -----
    Processes that ``torchrun`` started share out slides and folds. Each trains all
    models of the folds that it takes, so that features and an encoder of its own are
    fitted once for each fold. The first process writes the results when all folds are
    done; until then no process returns.
    """
    with join_work() as work, closing(_shared_job(request, work)) as job:
        return (yield from job)


def _shared_job(request: CohortRequest, work: SharedWork) -> Job[CrossvalOutcome]:
    """Do one process's share of a cross-validation."""
    yield from work.follow_job()
    # What is written tells of the device that was asked for, whoever had which.
    own = replace(request, device=work.device(request.device))
    opened = yield from open_cohort_job(own, work)
    cohort, inputs = opened.cohort, opened.inputs
    plan = plan_folds(cohort, inputs[0].preset.validation)
    given = [
        m for column, m in enumerate(cohort.modalities) if cohort.has()[:, column].any()
    ]
    run = CrossvalRun(
        request=own,
        opened=opened,
        plan=plan,
        store=FoldStore(request.out),
        variants={entry.preset.name: fusion_variants(entry.preset) for entry in inputs},
        simple=simple_models(given, with_sites=len(set(cohort.sites)) > 1),
        work=work,
    )
    folds = work.units(plan.splits, "folds")
    for split in folds:
        cache = TableCache(cohort)
        for entry in inputs:
            yield from preset_fold_job(run, entry, split, cache)
        yield from simple_fold_job(run, split, cache)
        if work.rank == 0 and not folds.all_taken:
            yield Progress("results", message="scoring so far")
            write_results(
                request, opened, plan, run.models, run.store, complete_run=False
            )
    yield from folds.gather_job(None, run.step)
    if work.rank == 0:
        yield Progress("results", message="scoring")
        write_results(request, opened, plan, run.models, run.store, complete_run=True)
        yield Progress("results", message="writing the report")
        write_crossval_report(request.out)
    yield from work.units((), "results").gather_job(None)
    return CrossvalOutcome(
        request.out,
        request.out / RESULTS,
        request.out / PREDICTIONS,
        request.out / REPORT_NAME,
        tuple(sorted((request.out / BUNDLES).glob("*/fold-*"))),
    )
