"""Calibration and guard of the demo model, and how well they keep their promises."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from napari_mmsubtype.core.cases import Modality, subset_key, subsets
from napari_mmsubtype.core.trust import TYPICAL, UNLIKE
from napari_mmsubtype.evaluation.calibration import (
    calibrate,
    expected_calibration_error,
)
from napari_mmsubtype.evaluation.calibration_record import Calibration
from napari_mmsubtype.evaluation.conformal import ConformalRule, fit_conformal
from napari_mmsubtype.evaluation.metrics import binary_auc
from napari_mmsubtype.evaluation.scaling import Scaling, fit_scaling
from napari_mmsubtype.training.fusion_views import predict_views
from napari_mmsubtype.workflows.demo_patients import make_bag_set

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from napari_mmsubtype.core.trust import GuardReport
    from napari_mmsubtype.evaluation.guard import Guard
    from napari_mmsubtype.models.fusion import FusionModel
    from napari_mmsubtype.omics.modality_spec import ModalitySpec
    from napari_mmsubtype.omics.synthetic import SyntheticCohort
    from napari_mmsubtype.training.bags import BagSet
    from napari_mmsubtype.workflows.demo_images import CohortImages

ECE_BINS = 15


@dataclass(frozen=True, slots=True)
class TrustScores:
    """How calibration and guard do on patients that nothing was fitted to.

    Attributes
    ----------
    ece : dict of str to tuple of float
        By subset: calibration error of the logits as they are, and after calibration.
    ece_patients : int
        Patients behind these.
    covered : dict of float to tuple of float
        By promised coverage: share of sets from all data that hold the true class, and
        their mean size.
    typical, unlike : dict of str to float
        By modality: share of unchanged patients with that verdict.
    caught : dict of str to tuple of float
        By kind of change: share of changed patients called unlike the training ones,
        and the area under the ROC curve of their oddness against unchanged ones.
    patients : int
        Held-out patients behind all but the first.
    """

    ece: dict[str, tuple[float, float]]
    ece_patients: int
    covered: dict[float, tuple[float, float]]
    typical: dict[str, float]
    unlike: dict[str, float]
    caught: dict[str, tuple[float, float]]
    patients: int


def subset_logits(
    model: FusionModel, cases: BagSet, classes: int | None = None
) -> dict[str, NDArray[np.float64]]:
    """Classify cases from every subset of the modalities.

    Parameters
    ----------
    model : FusionModel
        Trained.
    cases : BagSet
        With all modalities.
    classes : int or None, default: None
        Columns that tell the classes, which come first; None where all of them do.

    Returns
    -------
    dict of str to ndarray of float64, shape (n, c)
        By `cases.subset_key`, the whole set first.
    """
    matrix = subsets(cases.modalities)
    shown = [cases.present & np.isin(cases.modalities, subset) for subset in matrix]
    answers = predict_views(model, cases, shown)
    return {
        subset_key(subset): logits[:, :classes]
        for subset, logits in zip(matrix, answers, strict=True)
    }


def fit_calibration(
    model: FusionModel, validation: BagSet, fresh: BagSet, classes: int | None = None
) -> Calibration:
    """Fit scalings and prediction sets for every subset of the modalities.

    Parameters
    ----------
    model : FusionModel
        Trained.
    validation : BagSet
        Patients that chose the epoch; they choose temperatures and offsets. A subset is
        fitted to those who have all of it.
    fresh : BagSet
        Patients that nothing was fitted to; prediction sets, which promise a coverage,
        come from them alone.
    classes : int or None, default: None
        Columns of the logits that tell the classes, where the model has other heads.

    Returns
    -------
    Calibration
        Its `temperature` and `offset` are those of all modalities, which the subsets
        are expected around.
    """
    scalings: dict[str, Scaling] = {}
    rules: dict[str, ConformalRule] = {}
    whole = subset_key(validation.modalities)
    seen, unseen = (_of_subsets(model, cases, classes) for cases in (validation, fresh))
    for key, (cases, logits) in seen.items():
        fitted = scalings.get(whole)
        if len(cases):
            scalings[key] = fit_scaling(
                cases.labels, logits, around=fitted, patients=cases.patients
            )
        scaling = scalings.setdefault(key, fitted or Scaling())
        cases, logits = unseen[key]
        if len(cases):
            rules[key] = fit_conformal(
                cases.labels, scaling.probabilities(logits), by_class=True
            )
    return replace(Calibration.of(scalings, whole), conformal=rules)


def _of_subsets(
    model: FusionModel, cases: BagSet, classes: int | None
) -> dict[str, tuple[BagSet, NDArray[np.float64]]]:
    """Answer from every subset for the cases of known class that have all of it."""
    known = cases.take(np.flatnonzero(cases.labels >= 0))
    shown = {
        subset_key(subset): np.isin(cases.modalities, subset)
        for subset in subsets(cases.modalities)
    }
    # Together, so that the patches of a case are read once.
    answers = predict_views(
        model, known, [known.present & columns for columns in shown.values()]
    )
    found = {}
    for (key, columns), logits in zip(shown.items(), answers, strict=True):
        rows = np.flatnonzero(known.present[:, columns].all(axis=1))
        found[key] = known.take(rows), logits[rows, :classes]
    return found


def score_trust(
    model: FusionModel,
    calibration: Calibration,
    guard: Guard,
    *,
    test: BagSet,
    fresh: BagSet,
    changed: Mapping[str, BagSet],
    names: Mapping[Modality, Sequence[str]],
) -> TrustScores:
    """See whether promises are kept.

    Parameters
    ----------
    model : FusionModel
        Trained.
    calibration : Calibration
        As `fit_calibration`.
    guard : Guard
        Fitted to training patients.
    test : BagSet
        Held-out patients.
    fresh : BagSet
        Patients of the prediction sets; they chose no temperature.
    changed : mapping of str to BagSet
        Held-out patients with one kind of data changed, by the kind of change.
    names : mapping of Modality to sequence of str
        Of the features.

    Returns
    -------
    TrustScores
        On held-out patients; calibration errors on both.
    """
    labels = np.concatenate([test.labels, fresh.labels])
    ours, others = subset_logits(model, test), subset_logits(model, fresh)
    ece = {}
    for subset, logits in ours.items():
        both = np.concatenate([logits, others[subset]])
        before, after = (
            expected_calibration_error(labels, p, bins=ECE_BINS)
            for p in (calibrate(both, 1.0), calibration.probabilities(subset, both))
        )
        ece[subset] = (before, after)
    whole = subset_key(test.modalities)
    rule = calibration.conformal[whole]
    probabilities = calibration.probabilities(whole, ours[whole])
    covered = {}
    for coverage, limits in rule.quantiles.items():
        if None in limits:
            continue
        inside = rule.sets(probabilities, coverage)
        hit = inside[np.arange(len(test)), test.labels]
        covered[coverage] = (float(hit.mean()), float(inside.sum(axis=1).mean()))
    reports = judge_all(guard, test, names)
    verdicts = {
        finding.modality: [r.findings[i].verdict for r in reports]
        for i, finding in enumerate(reports[0].findings)
    }
    return TrustScores(
        ece=ece,
        ece_patients=len(labels),
        covered=covered,
        typical={m: v.count(TYPICAL) / len(v) for m, v in verdicts.items()},
        unlike={m: v.count(UNLIKE) / len(v) for m, v in verdicts.items()},
        caught={
            kind: _caught(reports, judge_all(guard, cases, names))
            for kind, cases in changed.items()
        },
        patients=len(test),
    )


def _caught(
    usual: Sequence[GuardReport], changed: Sequence[GuardReport]
) -> tuple[float, float]:
    """Count the changed patients that are called so, and rank them among the others."""
    oddness = [
        max((finding.percentile for finding in report.findings), default=0.0)
        for report in (*usual, *changed)
    ]
    truth = np.repeat([0, 1], [len(usual), len(changed)])
    share = np.mean([report.verdict == UNLIKE for report in changed])
    return float(share), binary_auc(truth, np.asarray(oddness))


def changed_patients(
    cohort: SyntheticCohort,
    images: CohortImages,
    specs: Mapping[Modality, ModalitySpec],
    rows: Sequence[int],
    *,
    seed: int = 0,
) -> dict[str, BagSet]:
    """Change one kind of data of held-out patients, as happens with real data.

    Parameters
    ----------
    cohort : SyntheticCohort
        Synthetic patients.
    images : CohortImages
        Their slides, those of `rows` also in another stain.
    specs : mapping of Modality to ModalitySpec
        As fitted on training patients.
    rows : sequence of int
        Held-out patients.
    seed : int, default: 0
        Of the permutation.

    Returns
    -------
    dict of str to BagSet
        By kind of change.
    """
    rng = np.random.default_rng(seed)
    values = cohort.rna.to_numpy()
    tables = {
        "RNA in TPM, read as log2(TPM + 1)": {"rna": 2**cohort.rna - 1},
        "RNA values under the names of other genes": {
            "rna": pd.DataFrame(
                rng.permuted(values, axis=1),
                index=cohort.rna.index,
                columns=cohort.rna.columns,
            )
        },
        "methylation as its complement": {"methylation": 1 - cohort.methylation},
    }
    found = {
        "slides of another stain": make_bag_set(cohort, images.stained, specs, rows)
    }
    for kind, table in tables.items():
        found[kind] = make_bag_set(replace(cohort, **table), images.bags, specs, rows)
    return found


def judge_all(
    guard: Guard, cases: BagSet, names: Mapping[Modality, Sequence[str]]
) -> list[GuardReport]:
    """Compare every case with the training patients.

    Parameters
    ----------
    guard : Guard
        Fitted to training patients.
    cases : BagSet
        With what each case has in `present`.
    names : mapping of Modality to sequence of str
        Of the features.

    Returns
    -------
    list of GuardReport
        One per case.
    """
    place = {m: i for i, m in enumerate(cases.modalities)}
    return [
        guard.judge(
            cases.bags[row] if cases.present[row, 0] else None,
            {m: v[row] for m, v in cases.omics.items() if cases.present[row, place[m]]},
            names,
        )
        for row in range(len(cases))
    ]


def describe_trust(scores: TrustScores) -> dict[str, str]:
    """Put scores into the form of a model card.

    Parameters
    ----------
    scores : TrustScores
        As `score_trust`.

    Returns
    -------
    dict of str to str
        Sentences by what was measured.
    """
    before, after = (
        float(np.mean([pair[i] for pair in scores.ece.values()])) for i in (0, 1)
    )
    n = scores.patients
    facts = {
        "calibration error, mean over subsets of the data": (
            f"{before:.3f} before calibration, {after:.3f} with a temperature and "
            f"offsets for each of {len(scores.ece)} ({scores.ece_patients} patients "
            f"that chose neither, {ECE_BINS} bins)"
        ),
    }
    for coverage, (hit, size) in scores.covered.items():
        facts[f"prediction sets, {100 * coverage:g} % promised"] = (
            f"{100 * hit:.1f} % of {n} held-out patients covered, {size:.2f} classes "
            "on average"
        )
    for modality, share in scores.typical.items():
        facts[f"guard, {modality}"] = (
            f"of {n} held-out patients {100 * share:.1f} % typical (95 % expected), "
            f"{100 * scores.unlike[modality]:.1f} % unlike training (1 % expected)"
        )
    for kind, (share, auc) in scores.caught.items():
        facts[f"guard, {kind}"] = (
            f"{100 * share:.1f} % of {n} such patients called unlike the training "
            f"ones, ROC-AUC {auc:.3f} against the same patients unchanged"
        )
    return facts
